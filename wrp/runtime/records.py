"""Growing the pool of task records: more of them are backed with memory when all are in use. Knows no task's content."""

from wrp.comm import atomics
from wrp.comm.lock import Token
from wrp.errors import OutOfSpace
from wrp.runtime import tasks

_TOKEN = 128                    # byte offset of the token beside the free list's head
_STEP = 1 << 14                 # records added at once, at most


def count(address, layout):
    """Records that are backed."""
    return atomics.load(address + layout.free + tasks.GROWN)


def grow(segment, layout, timeout_s):
    """Back more records and put them on the free list: True when there are free ones now, False at the most there can be.

    Any process of the node may call it. Memory is reserved before a record is promised; where there is none, the records
    that are there have to do.
    """
    free = segment.address + layout.free
    seen = count(segment.address, layout)
    with Token(free + _TOKEN, "the pool of task records").held("the pool of task records (to grow it)", timeout_s):
        now = count(segment.address, layout)
        if now != seen:                                 # somebody else has just done it
            return True
        try:
            return add(segment, layout, min(now, _STEP, layout.most_records - now))
        except OutOfSpace:
            return False


def add(segment, layout, more):
    """Back `more` records and put them on the free list; False when that is none. Raises OutOfSpace."""
    if more <= 0:
        return False
    now = count(segment.address, layout)
    first, free = layout.records + now * tasks.NBYTES, segment.address + layout.free
    segment.reserve(first, more * tasks.NBYTES)
    tasks.task_fill(segment.address, free, first, more)
    atomics.store(free + tasks.GROWN, now + more)
    return True
