"""The steps of jitted tasks: start one, take one up again, end one. Chooses no order (see `worker`)."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import lanes, pools, tasks
from wrp.runtime.admin import AGAIN, admin_run
from wrp.runtime.bdev import bdev_run
from wrp.runtime.calling import call_handler
from wrp.runtime.handlers import RETRY, WAIT
from wrp.runtime.meter import block
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.parking import NOTHING, OTHERS, TIMER, is_waiting, next_ready, park, serial_of, stop_waiting
from wrp.runtime.waiting.period import period_missed, period_next

UNKNOWN_METHOD = -1
_ROUNDS = 16                # of ending what waits: each frees who waited for the former
_RETRY_NS = 100_000         # until a task that found no room, or waits for others, is run again


@kernel
def start(context, offset):
    """A task that has just come in, or word that one is to be cancelled (its offset + 1)."""
    lane = atomics.load(context + own.LANE)
    if offset & 1:
        _cancel_waiting(context, offset - 1)
        lanes.lane_done(lane)
        return
    task = atomics.load(context + own.BASE) + offset
    if atomics.load(task + tasks.CANCEL):
        _finish(context, offset, tasks.CANCELLED, 0)
    elif atomics.load(task + tasks.DUE) and atomics.now_ns() >= atomics.load(task + tasks.DUE):
        _finish(context, offset, tasks.DEADLINE, 0)
    else:
        if atomics.load(task + tasks.PERIOD):
            atomics.store(task + tasks.NEXT_AT, atomics.now_ns())
            atomics.store(task + tasks.RUNS, 0)
            atomics.store(task + tasks.MISSED, 0)
            lanes.lane_done(lane)           # it never ends by itself: nobody is to wait for that
        _step(context, offset, atomics.load(task + tasks.BORN))


@kernel
def go_on(context, offset):
    """A task that waited and is ready."""
    task = atomics.load(context + own.BASE) + offset
    _unpark(context, task)
    atomics.store(task + tasks.WAITING, NOTHING)
    _step(context, offset, 0)


@kernel
def time_over(context, offset):
    """A task whose timer went off: its wait is over, or its deadline."""
    task = atomics.load(context + own.BASE) + offset
    due = atomics.load(task + tasks.DUE)
    if due and atomics.now_ns() >= due:
        _call_off(context, offset, tasks.DEADLINE)
    elif atomics.load(task + tasks.WAITING) == TIMER or atomics.load(task + tasks.WAITING) == OTHERS:
        go_on(context, offset)


@kernel
def end_all(context, records, count):
    """Call off all tasks that wait on this worker; `records`: offset of the first of `count` records."""
    base = atomics.load(context + own.BASE)
    for _ in range(_ROUNDS):
        for number in range(count):
            _cancel_any(context, records + number * tasks.NBYTES)
        # those who get the locks of the former run up to their next wait
        offset = next_ready(context)
        if offset == 0:
            break
        while offset:
            atomics.store(base + offset + tasks.CANCEL, 1)
            go_on(context, offset)
            offset = next_ready(context)


@kernel
def _cancel_any(context, offset):
    task = atomics.load(context + own.BASE) + offset
    if is_waiting(context, task):
        _call_off(context, offset, tasks.CANCELLED)


@kernel
def _cancel_waiting(context, offset):
    if atomics.load(atomics.load(context + own.BASE) + offset + tasks.CANCEL):     # else it is another task by now
        _cancel_any(context, offset)


@kernel
def _call_off(context, offset, code):
    """End a task that waits. It may let go of what it holds first."""
    task = atomics.load(context + own.BASE) + offset
    _unpark(context, task)
    stop_waiting(context, task)
    kind = atomics.load(atomics.load(context + own.POOLS) + atomics.load(task + tasks.POOL) * pools.ENTRY + pools.KIND)
    if kind == pools.JITTED_KIND and atomics.load(task + tasks.STEP) > 0:
        _run(context, offset, -1 - atomics.load(task + tasks.STEP))
        stop_waiting(context, task)         # a wait of its last step counts for nothing
    _finish(context, offset, code, 0)


@kernel
def _unpark(context, task):
    if atomics.load(task + tasks.WAITING) == OTHERS:
        atomics.store(context + own.AGAIN_COUNT, atomics.load(context + own.AGAIN_COUNT) - 1)
    if atomics.load(task + tasks.PERIOD) == 0:
        atomics.store(context + own.PARKED, atomics.load(context + own.PARKED) - 1)


@kernel
def _step(context, offset, born):
    """Run the step that is next, then finish the task or leave it waiting. `born`: of a task that has just come, else 0."""
    task = atomics.load(context + own.BASE) + offset
    step, meter = atomics.load(task + tasks.STEP), atomics.load(context + own.METER)
    begin = block.meter_begin(meter, born)
    pool, method = atomics.load(task + tasks.POOL), atomics.load(task + tasks.METHOD)
    code = _run(context, offset, step)
    if code == WAIT or code == RETRY or code == AGAIN:
        block.meter_end(meter, begin, pool, method, offset, 0)
        _wait(context, offset, code)
    elif atomics.load(task + tasks.PERIOD):
        block.meter_end(meter, begin, pool, method, offset, 1)
        _again(context, offset, code)
    else:
        _finish(context, offset, code, begin)


@kernel
def _wait(context, offset, code):
    task = atomics.load(context + own.BASE) + offset
    if code == WAIT:
        atomics.store(task + tasks.STEP, atomics.load(task + tasks.STEP) + 1)
    serial_of(context, task)
    if code == AGAIN:
        park(context, task, OTHERS, atomics.now_ns() + _RETRY_NS)
        atomics.store(context + own.AGAIN_COUNT, atomics.load(context + own.AGAIN_COUNT) + 1)
    elif code == RETRY or atomics.load(task + tasks.WAITING) == NOTHING:
        park(context, task, TIMER, atomics.now_ns() + _RETRY_NS)
    block.count(atomics.load(context + own.METER), block.WAITS)
    if atomics.load(task + tasks.PERIOD) == 0:
        atomics.store(context + own.PARKED, atomics.load(context + own.PARKED) + 1)
    if atomics.load(task + tasks.CANCEL):
        _cancel_any(context, offset)


@kernel
def _again(context, offset, code):
    """A run of a periodic task has ended: its next one is due on the grid of its periods."""
    task = atomics.load(context + own.BASE) + offset
    atomics.store(task + tasks.RUNS, atomics.load(task + tasks.RUNS) + 1)
    due, period, now = atomics.load(task + tasks.NEXT_AT), atomics.load(task + tasks.PERIOD), atomics.now_ns()
    atomics.store(task + tasks.MISSED, atomics.load(task + tasks.MISSED) + period_missed(due, period, now))
    due = period_next(due, period, now)
    atomics.store(task + tasks.NEXT_AT, due)
    atomics.store(task + tasks.STEP, 0)
    serial_of(context, task)
    park(context, task, TIMER, due)
    if atomics.load(task + tasks.CANCEL):
        _cancel_any(context, offset)


@kernel
def _finish(context, offset, code, begin):
    base = atomics.load(context + own.BASE)
    task = base + offset
    tasks.put(task + tasks.SERIAL, 0)               # subtasks that are under way find nobody
    block.meter_done(atomics.load(context + own.METER), task, offset, code, begin)
    if atomics.load(task + tasks.PERIOD):
        tasks.task_value(task, 0, atomics.load(task + tasks.RUNS))
        tasks.task_value(task, 1, atomics.load(task + tasks.MISSED))
    else:
        # counted before the caller may look
        lanes.lane_done(atomics.load(context + own.LANE))
    tasks.task_finish(base, atomics.load(context + own.FREE), offset, code)


@kernel
def _run(context, offset, step):
    """Call the handler: its code, or WAIT, RETRY, AGAIN."""
    base = atomics.load(context + own.BASE)
    task = base + offset
    pool = atomics.load(task + tasks.POOL)
    entry = atomics.load(context + own.POOLS) + pool * pools.ENTRY
    kind = atomics.load(entry + pools.KIND)
    if kind == pools.BDEV_KIND:
        return bdev_run(context, task, entry + pools.PARAMS, step)
    if kind == pools.ADMIN_KIND:
        parked = atomics.load(context + own.PARKED) - atomics.load(context + own.AGAIN_COUNT) + atomics.load(context + own.LENT)
        return admin_run(task, atomics.load(context + own.LANES), atomics.load(context + own.LANE_COUNT),
                         atomics.load(context + own.LANE_NBYTES), atomics.load(context + own.LANE), parked)
    if kind == pools.JITTED_KIND:
        method = atomics.load(task + tasks.METHOD)
        if 0 <= method < own.METHODS:
            handler = atomics.load(atomics.load(context + own.HANDLERS) + (pool * own.METHODS + method) * 8)
            if handler:
                return call_handler(handler, context, task, base + atomics.load(entry + pools.PARAMS), step)
    return UNKNOWN_METHOD
