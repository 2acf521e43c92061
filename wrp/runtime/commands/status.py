"""status: how the daemon of this node is."""

from wrp.comm.sizes import format_size
from wrp.runtime.commands.output import show
from wrp.runtime.daemon.view import View


def status(args):
    """Print it. Local."""
    with View(args.name) as view:
        found = view.status()
    show(found, list(_lines(found)), args.json)


def _lines(found):
    yield f"{found['name']}: {found['state']}, process {found['pid']}, since {found['started']} ({found['uptime_s']:g} s)"
    yield f"nodes: {found['nodes']}; ranks: {found['ranks']}, here {found['ranks_on_node']}: processes {', '.join(map(str, found['pids']))}"
    yield f"attached: {len(found['attached'])}" + (f": processes {', '.join(map(str, found['attached']))}" if found["attached"] else "")
    yield f"pools: {', '.join(found['pools']) or 'none'}"
    yield f"segment: {format_size(found['segment_nbytes'])} of address space"
