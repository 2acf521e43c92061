"""Queues of attached processes: one per process and lane, one producer, one consumer. Knows no task's content.

A process that dies at any instruction leaves nothing half done here: a task is in the queue once its tail was stored, and is
not in it before. The lane's worker sweeps all queues when the lane's bell has rung since it last found them empty.
"""

from wrp.comm import atomics
from wrp.comm.jit import kernel

# Byte offsets of a lane's record, which tells its worker where the queues are
BELL = 0            # times that processes rang
FIRST = 64          # address of the first process's queue, relative to this record
STRIDE = 72         # bytes from one process's queue to the next one's
HIGH = 80           # processes that may have a queue
MARKS = 88          # address of the mark of value 0, relative to this record: the worker sets the mark of an even value that it takes
SWEPT = 128         # of the worker: the bell when all queues were empty
CURSOR = 136        # of the worker: the process it looks at first
NBYTES = 192

# Byte offsets of a queue
_TAIL = 0           # of the process: tasks ever pushed
_HEAD = 64          # of the worker: tasks ever taken
_VALUES = 128
CAPACITY = 512
TASKS_AT_ONCE = CAPACITY // 2       # records that a process has; the other half is for odd values, see `queue_push_word`
QUEUE_NBYTES = _VALUES + 8 * CAPACITY


@kernel
def queue_push(queue, value):
    """Append `value`; one producer at a time. A process has no more than TASKS_AT_ONCE even values at once: a queue is never full."""
    tail = atomics.load(queue + _TAIL)
    atomics.store(queue + _VALUES + (tail & (CAPACITY - 1)) * 8, value)
    atomics.store(queue + _TAIL, tail + 1)


@kernel
def queue_push_word(queue, value):
    """Append an odd value, word about a task that was queued before; False when there are many already."""
    if queue_count(queue) >= CAPACITY - TASKS_AT_ONCE:
        return False
    queue_push(queue, value)
    return True


@kernel
def queue_count(queue):
    """Values in the queue."""
    return atomics.load(queue + _TAIL) - atomics.load(queue + _HEAD)


@kernel
def queues_ring(record):
    """Tell the worker that a queue has something; wake it afterwards."""
    atomics.add(record + BELL, 1)


@kernel
def queues_ringing(record):
    """True while the worker hasn't found all queues empty since the bell rang last."""
    return atomics.load(record + BELL) != atomics.load(record + SWEPT)


@kernel
def queues_take(record):
    """The worker's: the oldest value of the next process that has one, or -1."""
    bell = atomics.load(record + BELL)
    if bell == atomics.load(record + SWEPT):
        return -1
    high, cursor = atomics.load(record + HIGH), atomics.load(record + CURSOR)
    first, stride = record + atomics.load(record + FIRST), atomics.load(record + STRIDE)
    for step in range(high):
        process = (cursor + step) % high
        queue = first + process * stride
        head = atomics.load(queue + _HEAD)
        if head != atomics.load(queue + _TAIL):
            value = atomics.load(queue + _VALUES + (head & (CAPACITY - 1)) * 8)
            if value & 1 == 0:
                atomics.store(record + atomics.load(record + MARKS) + value, 1)     # before it leaves the queue: it is in one or marked
            atomics.store(queue + _HEAD, head + 1)
            atomics.store(record + CURSOR, process + 1)
            return value
    atomics.store(record + SWEPT, bell)
    return -1
