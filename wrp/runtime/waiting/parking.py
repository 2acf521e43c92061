"""How a jitted worker parks tasks that wait and takes them up again: timers, subtasks, locks, cancelling. Runs no handler."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import lanes, tasks
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.heap import heap_due, heap_first, heap_put, heap_remove

# What a task waits for
NOTHING, TIMER, SUBTASKS, LOCK, READY, OTHERS = 0, 1, 2, 3, 4, 5    # OTHERS: it looks again and again, by a timer
MOVING = 6          # bytes that a thread moves to or from the caller's buffer: nothing calls that off

# A lock: byte offsets of its words in zeroed memory that one worker alone changes
HOLDERS = 0         # -1: one alone, n: n that share
FIRST, LAST = 8, 16     # list of the tasks that wait, 0: none
LOCK_NBYTES = 64
EXCLUSIVE, SHARED = 1, 2
_NO_TIME = (1 << 63) - 1


@kernel
def park(context, task, why, wake_ns):
    """Note that the task waits; `wake_ns`: until when, 0: for something else. Its own deadline ends the wait too."""
    due = atomics.load(task + tasks.DUE)
    at = wake_ns if wake_ns > 0 else _NO_TIME
    if due > 0 and why != MOVING:
        at = min(at, due)
    base = atomics.load(context + own.BASE)
    if at != _NO_TIME:
        heap_put(base, atomics.load(context + own.HEAP), task - base, at)
    atomics.store(task + tasks.WAITING, why)


@kernel
def serial_of(context, task):
    """The task's serial, given at its first wait."""
    serial = atomics.load(task + tasks.SERIAL)
    if serial == 0:
        count = atomics.load(context + own.SERIALS) + 1
        atomics.store(context + own.SERIALS, count)
        serial = (atomics.load(context + own.LANE_NUMBER) + 1) << 48 | count
        atomics.store(task + tasks.SERIAL, serial)
        atomics.store(task + tasks.PENDING, 0)
        atomics.store(task + tasks.COLLECTED, 1)
    return serial


@kernel
def make_ready(context, task):
    """The task can go on: behind those that could before."""
    base = atomics.load(context + own.BASE)
    heap_remove(base, atomics.load(context + own.HEAP), task - base)
    atomics.store(task + tasks.WAITING, READY)
    _append(base, context + own.READY_FIRST, context + own.READY_LAST, task - base)


@kernel
def next_ready(context):
    """Offset of the task that can go on first, taken out; 0 when there is none."""
    return _first_out(atomics.load(context + own.BASE), context + own.READY_FIRST, context + own.READY_LAST)


@kernel
def _append(base, first, last, offset):
    atomics.store(base + offset + tasks.LINK, 0)
    before = atomics.load(last)
    atomics.store(base + before + tasks.LINK if before else first, offset)
    atomics.store(last, offset)


@kernel
def _first_out(base, first, last):
    offset = atomics.load(first)
    if offset:
        after = atomics.load(base + offset + tasks.LINK)
        atomics.store(first, after)
        if after == 0:
            atomics.store(last, 0)
    return offset


@kernel
def _take_out(base, first, last, offset):
    """Remove one from the middle of a list."""
    before, seen = 0, atomics.load(first)
    while seen and seen != offset:
        before, seen = seen, atomics.load(base + seen + tasks.LINK)
    if seen == 0:
        return
    after = atomics.load(base + offset + tasks.LINK)
    atomics.store(base + before + tasks.LINK if before else first, after)
    if after == 0:
        atomics.store(last, before)


# locks

@kernel
def lock_enter(context, task, lock, mode):
    """True when the task has the lock now; False when it waits in the lock's list and will be made ready with it."""
    holders = atomics.load(lock + HOLDERS)
    if atomics.load(lock + FIRST) == 0 and (holders == 0 or mode == SHARED and holders > 0):
        atomics.store(lock + HOLDERS, holders + 1 if mode == SHARED else -1)
        return True
    base = atomics.load(context + own.BASE)
    atomics.store(task + tasks.LOCK_OF, lock)
    atomics.store(task + tasks.LOCK_MODE, mode)
    _append(base, lock + FIRST, lock + LAST, task - base)
    park(context, task, LOCK, 0)
    return False


@kernel
def lock_leave(context, lock):
    """Give the lock up: the first waiters that may have it now are made ready, in their order."""
    holders = atomics.load(lock + HOLDERS)
    if holders != 0:
        atomics.store(lock + HOLDERS, holders - 1 if holders > 0 else 0)
    _grant(context, lock)


@kernel
def _grant(context, lock):
    base = atomics.load(context + own.BASE)
    while True:
        first, holders = atomics.load(lock + FIRST), atomics.load(lock + HOLDERS)
        if first == 0:
            break
        shares = atomics.load(base + first + tasks.LOCK_MODE) == SHARED
        if holders != 0 and not (shares and holders > 0):
            break
        _first_out(base, lock + FIRST, lock + LAST)
        atomics.store(lock + HOLDERS, holders + 1 if shares else -1)
        make_ready(context, base + first)


@kernel
def stop_waiting(context, task):
    """The task, which waits, isn't to go on any more: out of all lists; its subtasks are nobody's."""
    base = atomics.load(context + own.BASE)
    offset = task - base
    heap_remove(base, atomics.load(context + own.HEAP), offset)
    if atomics.load(task + tasks.WAITING) == LOCK:
        lock = atomics.load(task + tasks.LOCK_OF)
        _take_out(base, lock + FIRST, lock + LAST, offset)
        _grant(context, lock)           # those behind it may have waited for it only
    atomics.store(task + tasks.WAITING, NOTHING)
    atomics.store(task + tasks.SERIAL, 0)


@kernel
def is_waiting(context, task):
    """True when the task waits on this worker and can be called off."""
    waiting = atomics.load(task + tasks.WAITING)
    return (waiting != NOTHING and waiting != READY and waiting != MOVING
            and atomics.load(task + tasks.SERIAL) >> 48 == atomics.load(context + own.LANE_NUMBER) + 1)


@kernel
def take_finished(context):
    """Hand the results of subtasks that are done to those who wait for them; their records are free then."""
    base, lane = atomics.load(context + own.BASE), atomics.load(context + own.LANE)
    if atomics.load(lane + lanes.FINISHED) == 0:
        return
    newest, oldest = atomics.exchange(lane + lanes.FINISHED, 0), 0
    while newest:                       # the stack has the last one first
        after = atomics.load(base + newest + tasks.LINK)
        atomics.store(base + newest + tasks.LINK, oldest)
        newest, oldest = after, newest
    while oldest:
        after = atomics.load(base + oldest + tasks.LINK)
        watcher = atomics.load(base + oldest + tasks.WATCHER)
        if watcher and atomics.load(base + watcher + tasks.SERIAL) == atomics.load(base + oldest + tasks.WATCH_SERIAL):
            _take_result(context, base + watcher, base + oldest)
        tasks.task_free(base, atomics.load(context + own.FREE), oldest)
        oldest = after


@kernel
def _take_result(context, task, child):
    if atomics.load(task + tasks.CHILD_CODE) == 0:
        atomics.store(task + tasks.CHILD_CODE, atomics.load(child + tasks.CODE))
    for number in range(tasks.RESULTS):
        place = 8 * number
        total = atomics.load(task + tasks.CHILD_VALUES + place) + atomics.load(child + tasks.VALUES + place)
        atomics.store(task + tasks.CHILD_VALUES + place, total)
    pending = atomics.load(task + tasks.PENDING) - 1
    atomics.store(task + tasks.PENDING, pending)
    waiting = atomics.load(task + tasks.WAITING)
    if pending == 0 and (waiting == SUBTASKS or waiting == MOVING):
        make_ready(context, task)


@kernel
def next_due(context, now):
    """Offset of a task whose time has come, taken off the timers; 0 when there is none."""
    heap = atomics.load(context + own.HEAP)
    due = heap_due(heap)
    if due == 0 or due > now:
        return 0
    offset = heap_first(heap)
    heap_remove(atomics.load(context + own.BASE), heap, offset)
    return offset


@kernel
def first_due(context):
    """When the next timer is due (ns), 0: there is none."""
    return heap_due(atomics.load(context + own.HEAP))
