"""Inline: how those who would wait for a worker that rests do its short tasks themselves. Knows no queue and no letter.

What belongs to a worker, its shards' state and its context, is touched by whoever holds its lane alone (see `lanes`). The worker lets go of it while
it spins and sleeps; so a task that is short costs no switch from thread to thread, and a worker that is busy keeps its order. Other threads of
its process run any short task; other ranks' take and give space of devices, all of whose state lies in the segment.
The bytes of a device are no worker's: who waits for them moves them, in any rank of the node, and holds nobody up.
"""

import numpy as np
from numba import config

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import asking, bdev, lanes, pools, tasks
from wrp.runtime.calling import address_of
from wrp.runtime.meter import block
from wrp.runtime.stepping import start
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.parking import first_due

# Byte offsets in a note of a task that was done while the worker was at work
_READY, _POOL, _METHOD, _OFFSET, _TOOK, _BEGIN, _END = (8 * number for number in range(7))
_TRIES = 64             # others than the worker hold a lane for less


def doer_of(context, shorts):
    """The words of a doer with this worker's context, an array that lives as long as somebody uses it; None where kernels aren't compiled. `shorts`: address
    of a word for each pool."""
    return None if config.DISABLE_JIT else np.array([address_of(do_here, "the kernel of callers"), context, shorts], np.int64)


@kernel
def run_inline(context, offset, _pool, _method):
    """Start the task with this record here: 1; 0 when its worker is at work, or has something to do first."""
    lane, done = atomics.load(context + own.LANE), 0
    if not lanes.lane_try(lane, atomics.load(context + own.PID)):
        return 0
    if _is_at_rest(lane):
        due = first_due(context)
        # no push: counted as what comes from the queues of attached processes
        block.count(lane, lanes.TAKEN)
        start(context, offset)
        block.meter_rest(atomics.load(context + own.METER))
        done = 1
        if first_due(context) != due or atomics.load(context + own.READY_FIRST) != 0 or atomics.load(context + own.WANTS_RECORDS) != 0:
            atomics.store(lane + lanes.NEWS, 1)
    lanes.lane_give(lane)
    if atomics.load(lane + lanes.NEWS) != 0:
        lanes.lane_wake(lane)
    return done


@kernel
def _is_at_rest(lane):
    return not lanes.lane_has(lane) and atomics.load(lane + lanes.STOP) == 0


@kernel
def do_here(doer, offset, lane, method):
    """A doer's kernel, see `asking`: do the task with this record, or begin to, in the thread that will wait for it: 1; 0 where its worker is to.
    `lane`: that worker's."""
    context = atomics.load(doer + asking.CONTEXT)
    pool = atomics.load(atomics.load(context + own.BASE) + offset + tasks.POOL)
    entry = atomics.load(context + own.POOLS) + pool * pools.ENTRY
    kind = atomics.load(entry + pools.KIND)
    if kind == pools.BDEV_KIND and (method == bdev.READ or method == bdev.WRITE):
        # behind the caller's tasks that haven't begun
        return 0 if lanes.lane_waiting(lane) > 0 else _move_here(context, offset, entry + pools.PARAMS)
    if lane == atomics.load(context + own.LANE):
        return run_inline(context, offset, pool, method) if is_short(kind, method, atomics.load(atomics.load(doer + asking.SHORTS) + 8 * pool)) else 0
    if kind == pools.BDEV_KIND and (method == bdev.ALLOCATE_BLOCKS or method == bdev.FREE_BLOCKS):
        return _divide_here(context, offset, lane, entry + pools.PARAMS)
    return 0


@kernel
def _divide_here(context, offset, lane, params):
    """Take or give space of a device whose worker, of another process, rests. What it knows of that lies in the segment; `context`: this process's."""
    task = atomics.load(context + own.BASE) + offset
    if not lanes.lane_try(lane, atomics.load(context + own.PID)):
        return 0
    if not _is_at_rest(lane):
        lanes.lane_give(lane)
        return 0
    number = (lane - atomics.load(context + own.LANES)) // atomics.load(context + own.LANE_NBYTES)
    meter = atomics.load(context + own.METER) + (number - atomics.load(context + own.LANE_NUMBER)) * block.NBYTES
    begin = _begin(meter)
    block.count(lane, lanes.TAKEN)
    code = bdev.bdev_run(context, task, params, 0)
    _count(meter, lane, task, offset, code, begin)
    lanes.lane_give(lane)
    tasks.task_finish(atomics.load(context + own.BASE), atomics.load(context + own.FREE), offset, code)
    return 1


@kernel
def _move_here(context, offset, params):
    """Move the bytes of a read or write; the worker of this context counts it as its own, and runs others meanwhile, for as long as there are any."""
    base, lane = atomics.load(context + own.BASE), atomics.load(context + own.LANE)
    task, meter = base + offset, atomics.load(context + own.METER)
    if not bdev.bdev_suits(context, task, params) or not lanes.lane_try(lane, atomics.load(context + own.PID)):
        return 0
    if not _is_at_rest(lane) or atomics.load(context + own.LENT) == own.LENT_MOST:
        lanes.lane_give(lane)
        return 0
    block.count(lane, lanes.TAKEN)
    block.count(context, own.LENT)
    lanes.lane_give(lane)
    begin = _begin(meter)
    done = bdev.bdev_move(context, task, params)
    if _try_for_long(lane, atomics.load(context + own.PID)):
        if done:
            _count(meter, lane, task, offset, 0, begin)
        else:
            lanes.lane_done(lane)           # it isn't: it begins anew
        atomics.store(context + own.LENT, atomics.load(context + own.LENT) - 1)
        lanes.lane_give(lane)
    else:
        _note(context, task, offset, done, begin)
    if not done:
        return 0
    tasks.task_finish(base, atomics.load(context + own.FREE), offset, 0)
    return 1


@kernel
def _try_for_long(lane, pid):
    for _ in range(_TRIES):
        if lanes.lane_try(lane, pid):
            return True
        atomics.pause()
    return False


@kernel
def _note(context, task, offset, done, begin):
    """Leave it to the worker, which is at work, to count this task when it comes to it. There is room: each of those that are lent has one note."""
    lane, number = atomics.load(context + own.LANE), atomics.add(context + own.NOTED, 1)
    note, now = context + own.NOTES + number % own.LENT_MOST * own.NOTE_NBYTES, atomics.now_ns()
    took = now - atomics.load(task + tasks.BORN) if done else -1
    if done:
        atomics.store(task + tasks.TOOK, took)
    atomics.store(note + _POOL, atomics.load(task + tasks.POOL))
    atomics.store(note + _METHOD, atomics.load(task + tasks.METHOD))
    atomics.store(note + _OFFSET, offset)
    atomics.store(note + _TOOK, took)
    atomics.store(note + _BEGIN, begin)
    atomics.store(note + _END, now)
    atomics.store(note + _READY, 1)
    atomics.store(lane + lanes.NEWS, 1)
    lanes.lane_wake(lane)


@kernel
def count_noted(context):
    """Count what others have done meanwhile. For who holds the lane."""
    lane, meter = atomics.load(context + own.LANE), atomics.load(context + own.METER)
    while True:
        note = context + own.NOTES + atomics.load(context + own.COUNTED) % own.LENT_MOST * own.NOTE_NBYTES
        if atomics.load(note + _READY) == 0:
            break
        took = atomics.load(note + _TOOK)
        if took >= 0:
            block.meter_late(meter, atomics.load(note + _POOL), atomics.load(note + _METHOD), atomics.load(note + _OFFSET), took,
                             atomics.load(note + _BEGIN), atomics.load(note + _END))
        lanes.lane_done(lane)
        atomics.store(note + _READY, 0)
        block.count(context, own.COUNTED)
        atomics.store(context + own.LENT, atomics.load(context + own.LENT) - 1)


@kernel
def _begin(meter):
    return atomics.now_ns() if atomics.load(meter + block.TRACE) else 0


@kernel
def _count(meter, lane, task, offset, code, begin):
    """What the worker of the lane counts when it ends a task."""
    block.meter_done(meter, task, offset, code, begin)
    block.meter_rest(meter)
    lanes.lane_done(lane)


@kernel
def is_short(kind, method, shorts):
    """True when a method of a pool of this kind is over in a moment; `shorts`: those of a jitted module, a bit each."""
    if kind == pools.BDEV_KIND:
        return method != bdev.READ and method != bdev.WRITE and method != bdev.SYNC
    if kind == pools.JITTED_KIND:
        return 0 <= method < own.METHODS and shorts >> method & 1 != 0
    return kind == pools.ADMIN_KIND
