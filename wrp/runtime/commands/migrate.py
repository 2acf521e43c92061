"""migrate: bring a container of a daemon's pool to another node."""

from wrp.errors import UsageError
from wrp.runtime.commands.output import show
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View


def migrate(args):
    """Ask for it and wait. Local."""
    if (args.pool is None) == (args.pool_id is None):
        raise UsageError("give --pool NAME or --pool-id MAJOR.MINOR, one of them")
    with attach(args.name, args.timeout) as attached:
        name = args.pool or _named(attached.name, args.pool_id)
        attached.pool(name).migrate(args.container, args.node, args.drain)
    show({"pool": name, "container": args.container, "node": args.node}, [f"container {args.container} of {name} is on node {args.node}"], args.json)


def _named(daemon, number):
    with View(daemon) as view:
        found = [pool["name"] for pool in view.pools() if pool["id"] == number]
    if not found:
        raise UsageError(f"the daemon {daemon!r} has no pool with the id {number}: see 'wrp-runtime monitor --once'")
    return found[0]
