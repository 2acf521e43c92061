"""migrate: bring a container of a daemon's pool to another node."""

import re

from wrp.errors import UsageError
from wrp.runtime.commands.output import show
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.finding import tell_of_wait
from wrp.runtime.daemon.view import View


def migrate(args):
    """Ask for it and wait. Local."""
    _check(args)
    tell_of_wait(args.name, args.timeout)
    with attach(args.name, args.timeout) as attached:
        name = args.pool or _named(attached.name, args.pool_id)
        attached.pool(name).migrate(args.container, args.node, args.drain)
    show({"pool": name, "container": args.container, "node": args.node}, [f"container {args.container} of {name} is on node {args.node}"], args.json)


def _check(args):
    """UsageError for all that is missing or wrong, at once; the numbers become numbers."""
    wrong = []
    if (args.pool is None) == (args.pool_id is None):
        wrong.append("--pool NAME or --pool-id MAJOR.MINOR, one of them")
    elif args.pool_id is not None and not re.fullmatch("[0-9]+[.][0-9]+", args.pool_id):
        wrong.append(f"--pool-id MAJOR.MINOR, not {args.pool_id!r}")
    for option, value in (("--container N", args.container), ("--node M", args.node)):
        if value is None or not re.fullmatch("[+-]?[0-9]+", value):
            wrong.append(option if value is None else f"{option}, a whole number, not {value!r}")
    if wrong:
        raise UsageError(f"give {'; '.join(wrong)}: wrp-runtime migrate --help shows how to call it")
    args.container, args.node = int(args.container), int(args.node)


def _named(daemon, number):
    with View(daemon) as view:
        found = [pool["name"] for pool in view.pools() if pool["id"] == number]
    if not found:
        raise UsageError(f"the daemon {daemon!r} has no pool with the id {number}: see 'wrp-runtime monitor --once'")
    return found[0]
