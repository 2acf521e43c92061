"""Where a daemon's segment lies: its name, its making over the ranks of a node, and the refusal of a second one."""

import getpass
import os
from functools import partial

from wrp.comm import names
from wrp.comm.segment import Segment
from wrp.errors import StoreBusy, StoreError, WrpError
from wrp.runtime import clients, pools
from wrp.runtime.daemon import about as abouts
from wrp.runtime.daemon.about import About

_MORE = 1 << 20                 # for the record about the daemon, names of pools, and alignment
_CALLS = 192 << 20              # address space for what attached processes and modules tell each other
_LANES_PER_RANK = 2


def default_name(environ=os.environ):
    """WRP_RUNTIME_NAME, else wrp-USER-runtime."""
    chosen = environ.get("WRP_RUNTIME_NAME")
    if chosen:
        return chosen
    try:
        user = getpass.getuser()
    except (KeyError, OSError):         # a user without an entry in the password file
        user = str(os.getuid())
    return f"wrp-{user}-runtime"


def name_on_node(ranks, name):
    """The name of this rank's node: `name`, with a number after it where one machine holds several nodes. Collective."""
    places = ranks.gather((ranks.node, ranks.host, _machine(), names.folder()), "names of the daemon's nodes")
    mine = places[ranks.rank]
    lower = {place[0] for place in places if place[1:] == mine[1:] and place[0] < mine[0]}
    return f"{name}.{len(lower)}" if lower else name


def maker(world, name):
    """make_segment(ranks, nbytes) for `Runtime`: a named segment that other processes of the node attach to."""
    return partial(_make, world, name)


def _make(world, name, ranks, nbytes):
    nbytes += clients.nbytes_of(_LANES_PER_RANK * ranks.size) + abouts.NBYTES + pools.MOST * 512 + _MORE + _CALLS
    segment = None
    try:
        with ranks.agreed("making the daemon's segment"):
            if ranks.rank == 0:
                segment = _created(world, name, nbytes)
        with ranks.agreed("opening the daemon's segment"):
            if ranks.rank != 0:
                segment = Segment.named(name)
            About.find(segment).enter(ranks.rank)
    except BaseException:
        if segment is not None:
            segment.close()
        raise
    return segment


def _created(world, name, nbytes):
    try:
        segment = Segment.named(name, nbytes, create=True)
    except StoreBusy as error:
        raise StoreBusy(f"{_running(name)}: attach to it, stop it with 'wrp-runtime stop --name {name}', or give another --name") from error
    try:
        About.create(segment, world)
    except BaseException:
        segment.close()
        raise
    return segment


def _running(name):
    """Half a sentence about the daemon that has the name."""
    try:
        with Segment.named(name) as segment:
            about = About.find(segment)
            pid = about.pid if about else 0
    except WrpError:
        pid = 0
    who = f"process {pid}" if pid else "another process"
    return f"a daemon {name!r} runs on this node already ({who})"


def attach_segment(name):
    """The Segment of a daemon that runs on this node. StoreError when there is none."""
    if not os.path.exists(names.path(name)):
        raise StoreError(f"no daemon {name!r} runs on this node for this user: start one with 'wrp-runtime start --name {name}'")
    return Segment.named(name)


def _machine():
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:                     # not Linux: the host's name has to do
        return ""
