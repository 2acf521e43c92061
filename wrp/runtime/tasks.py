"""Task records: fixed layout in the segment, taken from a free list, handed over by their offset. Knows no pool's methods."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import lanes
from wrp.runtime.lanes import lane_push, lane_wake

NBYTES = 384
ARGUMENTS, RESULTS = 6, 4

# Byte offsets. A round trip is as fast as few cache lines change hands, so the first line is what the worker answers, the second
# what the caller asks, and the words of the third are written only where they change.
STATE = 0           # a futex
CODE = 8            # return code, 0 = success
VALUES = 16         # 4 words
TOOK = 48           # once it is done: ns since BORN
LINK = 56           # the next record of the list that this one is in: free, finished, ready, waiting for a lock
POOL = 64           # slot in the pool table
METHOD = 72
COUNT = 80          # arguments given
BORN = 88           # when it was submitted (ns, monotonic)
ARGS = 96           # 6 words
DUE = 144           # its deadline (ns, monotonic), 0: none
CANCEL = 152        # 1: somebody asked to cancel it
PERIOD = 160        # ns between two runs of a periodic task, 0: it runs once
SERIAL = 168        # given by the worker at the first wait, unique in the node: lane number << 48 | count
WAITING = 176       # what it waits for, see `wrp.runtime.waiting.parking`
STEP = 184          # of a jitted handler
# of a subtask: who waits for it
WATCH_LANE = 192    # offset of the lane that is told
WATCHER = 200       # the record of the task that waits, 0: an object in Python
WATCH_SERIAL = 208  # its serial, else it is another task by now
# of a task with subtasks
PENDING = 216       # subtasks that aren't done
CHILD_CODE = 224    # the first return code that isn't 0
CHILD_VALUES = 232  # 4 words, the sums of the subtasks' results
NEXT_AT = 264       # when a periodic task is due
LOCALS = 272        # 2 words that a jitted handler keeps between its steps, beside its arguments
CLIENT = 288        # of an attached process's record: says whose it is, never changed; 0 for records of the runtime's ranks
TAKEN = 296         # of an attached process's record: 1 once the worker has taken it out of the process's queue
RUNS, MISSED = 304, 312     # of a periodic task
LOCK_OF, LOCK_MODE = 320, 328   # of one that waits for a lock
COLLECTED = 336     # 1: the results of its subtasks have been waited for, the next subtask begins new sums
PLACE = 344         # place in the worker's heap of timers, 0: none

# States. The worker exchanges the state for DONE and so learns whether somebody sleeps, a lane is to be told, or nobody waits.
SUBMITTED, SLEEPING, DONE, ABANDONED, WATCHED = 1, 2, 3, 4, 5

# Return codes of tasks that didn't come to their end
CANCELLED, DEADLINE = 97, 98

NO_RECORD, LANE_FULL = -1, -2
_PAUSES = 64

# The free list: a stack linked through the records. Its head is count << 34 | offset / 64; the count makes each head new.
GROWN, MOST = 64, 72            # byte offsets: records that are backed, records there is room for
FREE_NBYTES = 192
_UNIT, _INDEX_BITS = 64, 34
_INDEX = (1 << _INDEX_BITS) - 1
_COUNTS = (1 << 29) - 1


@kernel
def record_take(base, free):
    """The offset of a free record, or NO_RECORD."""
    head = atomics.load(free)
    while head & _INDEX:
        offset = (head & _INDEX) * _UNIT
        rest = atomics.load(base + offset + LINK)       # of no use if another took the record: then the head is another
        seen = atomics.swap(free, head, ((head >> _INDEX_BITS) + 1 & _COUNTS) << _INDEX_BITS | rest)
        if seen == head:
            return offset
        head = seen
    return NO_RECORD


@kernel
def task_free(base, free, offset):
    """Give the record of a task that is done back."""
    head = atomics.load(free)
    while True:
        atomics.store(base + offset + LINK, head & _INDEX)
        seen = atomics.swap(free, head, ((head >> _INDEX_BITS) + 1 & _COUNTS) << _INDEX_BITS | offset // _UNIT)
        if seen == head:
            break
        head = seen


@kernel
def task_fill(base, free, first, count):
    """Put `count` records beginning at offset `first` on the free list."""
    for number in range(count - 1, -1, -1):
        task_free(base, free, first + number * NBYTES)


@kernel
def task_new(base, free, state, pool, method, count, a0, a1, a2, a3, a4, a5):
    """A record filled in, or NO_RECORD. `base`, `free` are addresses."""
    offset = record_take(base, free)
    if offset < 0:
        return offset
    task_prepare(base + offset, pool, method, count, a0, a1, a2, a3, a4, a5)
    atomics.store(base + offset + STATE, state)
    return offset


@kernel
def put(address, value):
    """Store a word that most often has this value already: its cache line stays with all who read it then."""
    if atomics.load(address) != value:
        atomics.store(address, value)


@kernel
def task_prepare(task, pool, method, count, a0, a1, a2, a3, a4, a5):
    """Fill the record at `task` (an address), which nobody else looks at yet."""
    atomics.store(task + POOL, pool)
    atomics.store(task + METHOD, method)
    atomics.store(task + COUNT, count)
    atomics.store(task + BORN, atomics.now_ns())
    atomics.store(task + ARGS, a0)
    atomics.store(task + ARGS + 8, a1)
    atomics.store(task + ARGS + 16, a2)
    atomics.store(task + ARGS + 24, a3)
    put(task + ARGS + 32, a4)
    put(task + ARGS + 40, a5)
    for word in (DUE, CANCEL, PERIOD, SERIAL, WAITING, STEP):
        put(task + word, 0)
    atomics.store(task + CODE, 0)
    for number in range(RESULTS):
        atomics.store(task + VALUES + 8 * number, 0)
    atomics.store(task + STATE, SUBMITTED)


@kernel
def row_prepare(task, pool, method, rows, number):
    """The same with the arguments of a row of `rows` (n, k), k at most six."""
    count = rows.shape[1]
    task_prepare(task, pool, method, count, _word(rows, number, 0), _word(rows, number, 1), _word(rows, number, 2),
                 _word(rows, number, 3), _word(rows, number, 4), _word(rows, number, 5))


@kernel
def _word(rows, number, place):
    return rows[number, place] if place < rows.shape[1] else 0


@kernel
def task_submit(base, free, lane, pool, method, count, a0, a1, a2, a3, a4, a5):
    """Fill a record and push it: its offset in the segment, NO_RECORD, or LANE_FULL. `base`, `free`, `lane` are addresses."""
    offset = task_new(base, free, SUBMITTED, pool, method, count, a0, a1, a2, a3, a4, a5)
    if offset < 0 or lane_push(lane, offset):
        return offset
    task_free(base, free, offset)
    return LANE_FULL


@kernel
def task_hand(base, free, lane, offset):
    """Push a record made by `task_new`: its offset, or LANE_FULL, and it is free again."""
    if lane_push(lane, offset):
        return offset
    task_free(base, free, offset)
    return LANE_FULL


@kernel
def task_finish(base, free, offset, code):
    """The worker's last act: publish results and code; tell who waits, or free the record if nobody does."""
    task = base + offset
    atomics.store(task + CODE, code)
    before = atomics.exchange(task + STATE, DONE)
    if before == SLEEPING:
        atomics.futex_wake(task + STATE, 1)
    elif before == ABANDONED:
        task_free(base, free, offset)
    elif before == WATCHED:
        _tell(base, base + atomics.load(task + WATCH_LANE), offset)


@kernel
def _tell(base, lane, offset):
    """Put a record that is done on the lane's stack of them; it never is full."""
    head = atomics.load(lane + lanes.FINISHED)
    while True:
        atomics.store(base + offset + LINK, head)
        seen = atomics.swap(lane + lanes.FINISHED, head, offset)
        if seen == head:
            break
        head = seen
    lane_wake(lane)


@kernel
def task_watch(base, offset, lane):
    """The lane at offset `lane` shall be told when the task is done; False if it is done already."""
    atomics.store(base + offset + WATCH_LANE, lane)
    atomics.store(base + offset + WATCHER, 0)
    return atomics.swap(base + offset + STATE, SUBMITTED, WATCHED) != DONE


@kernel
def task_unwatch(base, free, offset):
    """Nobody waits any more. Only on the lane that is told: if the task is done, its record still comes to that lane."""
    atomics.store(base + offset + WATCHER, 0)
    atomics.swap(base + offset + STATE, WATCHED, ABANDONED)


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
        task_free(base, free, offset)


@kernel
def task_result(task):
    """(code, the four results) of a task that is done."""
    return (atomics.load(task + CODE), atomics.load(task + VALUES), atomics.load(task + VALUES + 8),
            atomics.load(task + VALUES + 16), atomics.load(task + VALUES + 24))


@kernel
def task_value(task, number, value):
    """Set one of the four results."""
    atomics.store(task + VALUES + 8 * number, value)
