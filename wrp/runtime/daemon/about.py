"""About: the record in a daemon's segment that says who it is, how it is and where its tables lie."""

import dataclasses
import sys
import time

from wrp.comm import atomics, extents, lock, ring
from wrp.comm import segment as segments
from wrp.comm.shape import shape
from wrp.errors import StoreError, StoreVersion
from wrp.runtime import bdev, clients, lanes, pools, queues, tasks
from wrp.runtime.daemon import processes
from wrp.runtime.clients import READY, STARTING, STOPPING
from wrp.runtime.devices.safe import asking
from wrp.runtime.devices.safe import board as boards
from wrp.runtime.layout import Layout
from wrp.runtime.meeting import rooms
from wrp.runtime.meter import block, histogram
from wrp.runtime.waiting import parking

REGION = "about"
VERSION = 1
STATES = {0: "starting", STARTING: "starting", READY: "ready", STOPPING: "stopping"}
MOST_RANKS = 1024

# Byte offsets of words
VERSION_AT, SHAPE_AT, _STATE, _STARTED, _NAMESPACE, _LEADER = 0, 8, 16, 24, 32, 40
_NODE, _NODES, _SIZE, _LOCAL_SIZE, _CLIENTS, _NAMES = 48, 56, 64, 72, 80, 88
_BELL, _STOP, _HEARTBEAT, _ORDER = 128, 136, 144, 152
_LAYOUT = 192                   # the words of a Layout
_PIDS = 512                     # identity of every rank of the node
TEXT = _PIDS + 8 * MOST_RANKS   # an order of the first rank to all of the node: its length and bytes
TEXT_NBYTES = 8192
NBYTES = TEXT + 8 + TEXT_NBYTES

_WORDS = {"state": _STATE, "started_ns": _STARTED, "leader": _LEADER, "node": _NODE, "nodes": _NODES, "size": _SIZE,
          "local_size": _LOCAL_SIZE, "clients": _CLIENTS, "names": _NAMES, "stop": _STOP, "heartbeat": _HEARTBEAT,
          "order": _ORDER, "bell": _BELL}

# what two processes must agree on besides the version; whatever is changed in one of these makes another word of it
_SHARED = (extents, lock, ring, segments, bdev, boards, asking, clients, lanes, pools, queues, tasks, rooms, block, histogram, parking, sys.modules[__name__])
SHAPE = shape(*_SHARED, more=[field.name for field in dataclasses.fields(Layout)])


class About:
    """The record at an address. Its words are attributes: state, started_ns (wall clock), leader (identity of the node's first
    rank), node, nodes, size, local_size, clients and names (offsets), stop, heartbeat, order, bell."""

    def __init__(self, address):
        object.__setattr__(self, "address", address)

    def __getattr__(self, name):
        if name not in _WORDS:
            raise AttributeError(name)
        return atomics.load(self.address + _WORDS[name])

    def __setattr__(self, name, value):
        atomics.store(self.address + _WORDS[name], value)

    @classmethod
    def create(cls, segment, ranks):
        """Make the record of a daemon that starts. On one rank of the node, the first thing in a fresh segment."""
        with segment.placing(REGION, NBYTES) as (offset, _):
            segment.reserve(offset, NBYTES)
            about = cls(segment.address + offset)
            about.state, about.started_ns, about.leader = STARTING, time.time_ns(), processes.identity()
            about.node, about.nodes, about.size, about.local_size = ranks.node, ranks.nodes, ranks.size, ranks.local_size
            atomics.store(about.address + _NAMESPACE, processes.namespace())
            atomics.store(about.address + SHAPE_AT, SHAPE)
            atomics.store(about.address + VERSION_AT, VERSION)
        return about

    @classmethod
    def find(cls, segment):
        """The record of a segment; None when it has none yet."""
        found = segment.find(REGION)
        return cls(segment.address + found[0]) if found else None

    def check(self, name):
        """Refuse a daemon that this process can't talk to: StoreVersion, StoreError."""
        version, shape = atomics.load(self.address + VERSION_AT), atomics.load(self.address + SHAPE_AT)
        if (version, shape) != (VERSION, SHAPE):
            raise StoreVersion(f"the daemon {name!r} (process {self.pid}) is of another version of wrp (records {version}, here {VERSION}"
                               f"{'' if version != VERSION else ', laid out differently'}): stop it and start this one's, or use its version")
        if atomics.load(self.address + _NAMESPACE) != processes.namespace():
            raise StoreError(f"the daemon {name!r} runs in another pid namespace (container): start this process in the same one")

    @property
    def state_address(self):
        return self.address + _STATE

    @property
    def pid(self):
        """Of the node's first rank."""
        return processes.pid_of(self.leader)

    @property
    def identities(self):
        """Of the node's ranks; 0 of one that hasn't entered."""
        return [atomics.load(self.address + _PIDS + 8 * rank) for rank in range(self.local_size)]

    @property
    def pids(self):
        """Pids of the node's ranks."""
        return [processes.pid_of(word) for word in self.identities]

    def enter(self, local_rank):
        """Show this process as a rank of the node."""
        atomics.store(self.address + _PIDS + 8 * local_rank, processes.identity())

    def is_alive(self):
        """True while every rank of the node lives that has entered."""
        return all(processes.lives(word) for word in [self.leader, *self.identities] if word)

    # where the tables lie

    def set_layout(self, layout):
        for number, word in enumerate(dataclasses.astuple(layout)):
            atomics.store(self.address + _LAYOUT + 8 * number, word)

    def layout(self):
        count = len(dataclasses.fields(Layout))
        return Layout(*(atomics.load(self.address + _LAYOUT + 8 * number) for number in range(count)))

    # waking the daemon's ranks

    def ring(self):
        """Wake the ranks of the node that hold the runtime."""
        atomics.add(self.address + _BELL, 1)
        atomics.futex_wake(self.address + _BELL, 1 << 30)

    def listen(self, seen, timeout_us):
        """Sleep until the bell rings after `seen`, or the time is over."""
        atomics.futex_wait(self.address + _BELL, seen, timeout_us)
