"""status: how the daemon of this node is."""

from wrp.comm.sizes import format_size
from wrp.runtime.commands.output import show
from wrp.runtime.daemon.view import View


def status(args):
    """Print it. Local."""
    with View(args.name) as view:
        found = view.status()
    show(found, list(lines(found)), args.json)


def lines(found):
    """For people."""
    yield f"{found['name']}: {found['state']}, process {found['pid']}, since {found['started']} ({found['uptime_s']:g} s)"
    yield f"nodes: {found['nodes']}; ranks: {found['ranks']}, here {found['ranks_on_node']}: processes {', '.join(map(str, found['pids']))}"
    yield f"attached: {len(found['attached'])}" + (f": processes {', '.join(map(str, found['attached']))}" if found["attached"] else "")
    yield f"pools: {', '.join(pool if isinstance(pool, str) else pool['name'] for pool in found['pools']) or 'none'}"
    yield f"segment: {format_size(found['segment_nbytes'])} of address space"
