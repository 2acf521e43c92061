"""The client's jitted loops: operations of tasks, one after the other, each with its own duration. Starts no threads."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import admin, asking, bdev, clients, lanes, tasks

LATENCY, TASK_ALLOC, ALLOCATION, IO = 0, 1, 2, 3
CASES = {"latency": LATENCY, "bdev_task_alloc": TASK_ALLOC, "bdev_allocation": ALLOCATION, "bdev_io": IO}
TIME_OVER, FULL, NO_ANSWER, GONE = 0, 1, 2, 3
_LATE, _GONE = -2000, -2001             # beside return codes
_NAP_US = 50


@kernel
def _submit(place, pool, method, a0, a1, a2, late):
    """Offset of the task's record, _LATE or _GONE."""
    base, free, lane, state, record, queue, own = place
    while True:
        if free:
            offset = asking.hand_over((base, free, lane, state, record), pool, method, 3, (a0, a1, a2, 0, 0, 0))
        else:
            offset = clients.client_submit((base, state, lane, record, queue), own, 0, pool, method, 3, a0, a1, a2, 0, 0, 0)
        if offset >= 0:
            return offset
        if offset == clients.GONE and not free:
            return _GONE
        if atomics.now_ns() >= late:
            return _LATE
        atomics.nap(_NAP_US)            # the lane is full, or all records are in use


@kernel
def trip(place, waits, pool, method, a0, a1, a2):
    """One task from submission to its results: (code, first result, second result).

    place : addresses (segment, free records or 0 of an attached process, lane, daemon's state, queues' record of the daemon, own queue), own record; of
    others the driver and the doer (see `asking`) instead of the daemon's
    waits : (least ns to spin, ns until it gives up, address of a word with the ns to spin now, see `asking.spin_next`)
    """
    base, free, began = place[0], place[1], atomics.now_ns()
    late, spin_ns = began + waits[1], atomics.load(waits[2])
    offset = _submit(place, pool, method, a0, a1, a2, late)
    if offset < 0:
        return offset, 0, 0
    task = base + offset
    while not asking.await_task(task, place[3] if free else 0, spin_ns, lanes.SLICE_US):
        if atomics.now_ns() >= late:
            if free:
                tasks.task_abandon(base, free, offset)
            return _LATE, 0, 0
    atomics.store(waits[2], asking.spin_next(spin_ns, waits[0], atomics.now_ns() - began))
    code, v0, v1, _, _ = tasks.task_result(task)
    if free:
        tasks.task_free(base, free, offset)
    return code, v0, v1


@kernel
def _allocated(place, waits, work):
    """Allocate, write if the case does, free: 0, or what went wrong. Bytes that weren't moved as asked are an error."""
    case, pool, nbytes, buffer = work
    code, offset, got = trip(place, waits, pool, bdev.ALLOCATE_BLOCKS, nbytes, 0, 0)
    if code != 0:
        return code
    wrong = 0 if got == nbytes else 1
    if case == IO and wrong == 0:
        code, moved, _ = trip(place, waits, pool, bdev.WRITE, offset, buffer, nbytes)
        if code == _LATE or code == _GONE:
            return code
        wrong = code if code != 0 else (0 if moved == nbytes else 1)
    code, _, _ = trip(place, waits, pool, bdev.FREE_BLOCKS, offset, got, 0)
    return code if code != 0 else wrong


@kernel
def operation(place, waits, work):
    """One operation of the case `work` = (case, pool, bytes, offset of the buffer in the segment): 0 when all of it went well."""
    case, pool, nbytes, buffer = work
    if case == LATENCY:
        code, _, _ = trip(place, waits, pool, admin.MONITOR, 0, 0, 0)
        return code
    if case == TASK_ALLOC:
        code, moved, _ = trip(place, waits, pool, bdev.WRITE, 0, buffer, 0)
        return code if code != 0 else (1 if moved != 0 else 0)
    return _allocated(place, waits, work)


@kernel
def loop(place, waits, work, until, durations):
    """Operations until the clock says what stands at the address `until` (ns), or `durations` (int64, ns of each that went well) is full.

    Gives (operations that went well, others, why it ended: TIME_OVER, FULL, NO_ANSWER, GONE).
    """
    done = failed = 0
    before = atomics.now_ns()
    while before < atomics.load(until):
        if done == len(durations):
            return done, failed, FULL
        code = operation(place, waits, work)
        now = atomics.now_ns()
        if code == _LATE:
            return done, failed, NO_ANSWER
        if code == _GONE:
            return done, failed, GONE
        if code == 0:
            durations[done] = now - before
            done += 1
        else:
            failed += 1
        before = now
    return done, failed, TIME_OVER
