"""What all pools and devices of a process share of its node: the segment, the layout in it, the deadline. Starts nothing."""

from wrp.comm import inside, left, memory, reserve, window
from wrp.comm.segment import Segment
from wrp.errors import UsageError
from wrp.runtime import layout as layouts
from wrp.runtime.pools import PoolTable

_TABLES_NBYTES = 24 << 20       # for the tables of devices, at most; pages are backed as devices are made
_SLACK = 4 << 20
_GUESS = 1 << 30                # where nothing says how much memory there is
_RAM_PAGES = 1 << 18            # a device in ram has a table of a word per 2 MiB


class Node:
    """Making and closing it is collective over the ranks of one node of `job`, the Ranks of a runtime.

    make_segment(ranks, nbytes) : where the segment comes from, when not from memory that goes with the job
    Attributes: ranks (of this node), number (of this node), count (of nodes), segment, address, layout, table; own_lane, the address of that of this
    rank's jitted worker; and see `asking`: doer; driver, on the rank of the postman.
    """

    def __init__(self, job, config, make_segment=None):
        self.ranks = ranks = job.on_node
        self.number, self.count = job.node, job.nodes
        self.timeout_s = config.get("runtime.timeout_s")
        self.spin_ns = 1000 * config.get("runtime.first_busy_wait")
        depth = config.get("runtime.queue_depth")
        most = layouts.most_records()           # that of the first rank counts
        counts = (ranks.size, job.nodes, job.size), depth, most, config.get("networking.mailbox_depth")
        self.segment = _segment(ranks, config, counts, make_segment or _of_job)
        self.address = self.segment.address
        self.is_open, self.driver, self.doer = True, 0, 0
        self._is_forked, self.is_alone = False, ranks.size == 1 and make_segment is None
        layout = None
        with ranks.agreed("laying out the runtime's segment"):
            if ranks.rank == 0:
                layout = layouts.create(self.segment, *counts)
        self.layout = ranks.share(layout, "layout of the runtime's segment")
        self.own_lane = self.address + self.layout.lane(2 * ranks.rank)
        self.table = PoolTable(self.address + self.layout.pools, self.timeout_s)

    def check_open(self):
        """UsageError once the runtime was closed: its memory is gone; and in a child that was forked by a process that has its node alone."""
        if self._is_forked:
            raise UsageError("this process was forked by the one that has the runtime, whose memory is its own: start the runtime here, or attach "
                             "both to a daemon")
        if not self.is_open:
            raise UsageError("the runtime was closed: its pools and devices can't be used any more")

    def leave(self):
        """In a forked child of a process that has its node alone: nobody serves what is asked here."""
        self.is_open, self._is_forked = False, True

    def close(self):
        self.is_open = False
        self.segment.close(is_used=not inside.wait_out(self.segment))


def _segment(ranks, config, counts, make_segment):
    """The node's segment: a window when there are several ranks, memory of this process when it is alone."""
    nbytes = None
    with ranks.agreed("sizing the runtime's segment"):
        if ranks.rank == 0:
            is_private = ranks.size == 1 and make_segment is _of_job
            if not is_private:
                left.sweep()            # what was left by the killed takes room that may be needed
            nbytes = layouts.nbytes_of(*counts) + _room(config, None if is_private else reserve.free_bytes())
    nbytes = ranks.share(nbytes, "size of the runtime's segment")
    return make_segment(ranks, nbytes)


def _of_job(ranks, nbytes):
    """A window when there are several ranks, memory of this process when it is alone."""
    return Segment.alone(nbytes) if ranks.size == 1 else window.allocate(ranks, nbytes)


def _room(config, shared):
    """Bytes of address space for devices and their tables. A capacity of 0 is half of the free memory, at most three quarters of the `shared` bytes
    that shared memory has free (None: it takes none); more where the configuration's tiers and pools of ram, and its cache, need it. A tier on another's pool takes none."""
    capacity = config.get("runtime.segment_capacity")
    if not capacity:
        limits = [free * part // 4 for free, part in ((memory.available(), 2), (shared, 3)) if free is not None]
        pools, tiers = ([entry for entry in config.get(name) if entry["bdev_type"] in ("ram", "pinned")] for name in ("compose", "storage"))
        own = [*(entry["capacity_limit"] for entry in tiers if not entry["existing_pool_id"]), *(entry["capacity"] for entry in pools)]
        wanted = sum(own) + len(own) * _SLACK
        if not all(own):
            wanted += (memory.total() or _GUESS) * 9 // 10 if shared is None else min((memory.total() or _GUESS) * 9 // 10, shared)
        capacity = max(min(limits, default=_GUESS), wanted + config.get("targets.cache"))
    tables = _TABLES_NBYTES if shared is None else min(_TABLES_NBYTES, shared // 8)
    return capacity + capacity // _RAM_PAGES + tables + _SLACK
