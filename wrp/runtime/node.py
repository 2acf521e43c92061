"""What all pools and devices of a process share of its node: the segment, the layout in it, the deadline. Starts nothing."""

import os

from wrp.comm.segment import Segment
from wrp.errors import UsageError
from wrp.runtime import layout as layouts
from wrp.runtime.pools import PoolTable

_TABLES_NBYTES = 24 << 20       # for the tables of devices, at most; pages are backed as devices are made
_RAM_PAGES = 1 << 18            # a device in ram has a table of a word per 2 MiB


class Node:
    """Making and closing it is collective over `ranks`, the ranks of one node."""

    def __init__(self, ranks, config):
        self.ranks = ranks
        self.timeout_s = config.get("runtime.timeout_s")
        self.spin_ns = 1000 * config.get("runtime.first_busy_wait")
        depth = config.get("runtime.queue_depth")
        self.segment = _segment(ranks, config, depth)
        self.address = self.segment.address
        self.is_open = True
        layout = None
        with ranks.agreed("laying out the runtime's segment"):
            if ranks.rank == 0:
                layout = layouts.create(self.segment, ranks.size, depth)
        self.layout = ranks.share(layout, "layout of the runtime's segment")
        self.table = PoolTable(self.address + self.layout.pools, self.timeout_s)

    def check_open(self):
        """UsageError once the runtime was closed: its memory is gone."""
        if not self.is_open:
            raise UsageError("the runtime was closed: its pools and devices can't be used any more")

    def close(self):
        self.is_open = False
        self.segment.close()


def _segment(ranks, config, depth):
    """The node's segment: a window when there are several ranks, memory of this process when it is alone."""
    nbytes = None
    with ranks.agreed("sizing the runtime's segment"):
        if ranks.rank == 0:
            nbytes = layouts.nbytes_of(ranks.size, depth) + _room(config.get("runtime.segment_capacity"))
    nbytes = ranks.share(nbytes, "size of the runtime's segment")
    return Segment.private(nbytes) if ranks.size == 1 else Segment.window(ranks, nbytes)


def _room(capacity):
    """Bytes of address space for devices with their tables. `capacity` 0: half of the free memory and three quarters of shared memory."""
    shared = os.statvfs("/dev/shm")
    shared = shared.f_bavail * shared.f_frsize
    if not capacity:
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
        capacity = min(free // 2, shared * 3 // 4)
    return capacity + capacity // _RAM_PAGES + min(_TABLES_NBYTES, shared // 8) + (4 << 20)
