"""Task records: fixed layout in the segment, taken from a free list, handed over by their offset. Knows no pool's methods."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.ring import ring_pop, ring_push
from wrp.runtime.lanes import lane_push

NBYTES = 192
ARGUMENTS, RESULTS = 6, 4

# Byte offsets
STATE = 0           # a futex
POOL = 8            # slot in the pool table
METHOD = 16
CODE = 24           # return code, 0 = success
COUNT = 32          # arguments given
ARGS = 40           # 6 words
VALUES = 88         # 4 words
CLIENT = 176        # of an attached process's record: its slot + 1, never changed; 0 for records of the runtime's ranks
TAKEN = 184         # of an attached process's record: 1 once the worker has taken it out of the process's queue

# States. The worker exchanges the state for DONE and so learns whether somebody sleeps or nobody waits any more.
SUBMITTED, SLEEPING, DONE, ABANDONED = 1, 2, 3, 4

NO_RECORD, LANE_FULL = -1, -2
_PAUSES = 64


@kernel
def task_submit(base, free, lane, pool, method, count, a0, a1, a2, a3, a4, a5):
    """Fill a record and push it: its offset in the segment, NO_RECORD, or LANE_FULL. `base`, `free`, `lane` are addresses."""
    offset = ring_pop(free)
    if offset < 0:
        return NO_RECORD
    task_prepare(base + offset, pool, method, count, a0, a1, a2, a3, a4, a5)
    if lane_push(lane, offset):
        return offset
    ring_push(free, offset)
    return LANE_FULL


@kernel
def task_prepare(task, pool, method, count, a0, a1, a2, a3, a4, a5):
    """Fill the record at `task` (an address), which nobody else looks at yet."""
    atomics.store(task + POOL, pool)
    atomics.store(task + METHOD, method)
    atomics.store(task + CODE, 0)
    atomics.store(task + COUNT, count)
    atomics.store(task + ARGS, a0)
    atomics.store(task + ARGS + 8, a1)
    atomics.store(task + ARGS + 16, a2)
    atomics.store(task + ARGS + 24, a3)
    atomics.store(task + ARGS + 32, a4)
    atomics.store(task + ARGS + 40, a5)
    for number in range(RESULTS):
        atomics.store(task + VALUES + 8 * number, 0)
    atomics.store(task + STATE, SUBMITTED)


@kernel
def task_finish(base, free, offset, code):
    """The worker's last act: publish results and code; free the record if nobody waits for it."""
    task = base + offset
    atomics.store(task + CODE, code)
    before = atomics.exchange(task + STATE, DONE)
    if before == SLEEPING:
        atomics.futex_wake(task + STATE, 1)
    elif before == ABANDONED:
        ring_push(free, offset)


@kernel
def task_wait(task, spin_ns, slice_us):
    """True when the task is done, after spinning `spin_ns` and then at most one sleep of `slice_us`."""
    until = atomics.now_ns() + spin_ns
    while True:
        for _ in range(_PAUSES):
            if atomics.load(task + STATE) == DONE:
                return True
            atomics.pause()
        if atomics.now_ns() >= until:
            break
        atomics.yield_core()                # the worker may need this core
    if slice_us > 0:
        if atomics.swap(task + STATE, SUBMITTED, SLEEPING) != DONE:
            atomics.futex_wait(task + STATE, SLEEPING, slice_us)
    return atomics.load(task + STATE) == DONE


@kernel
def task_abandon(base, free, offset):
    """Nobody will look at the task again: whoever is last frees the record."""
    if atomics.exchange(base + offset + STATE, ABANDONED) == DONE:
        ring_push(free, offset)


@kernel
def task_free(free, offset):
    """Give the record of a task that is done back."""
    ring_push(free, offset)


@kernel
def task_value(task, number, value):
    """Set one of the four results."""
    atomics.store(task + VALUES + 8 * number, value)


@kernel
def task_fill(base, free, first, count):
    """Put `count` records beginning at offset `first` on the free list."""
    for number in range(count):
        ring_push(free, first + number * NBYTES)
