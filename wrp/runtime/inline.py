"""Inline: how another thread of its process runs a short task of a worker that rests. Knows no queue and no letter.

What belongs to a worker, its shards' state and its context, is touched by whoever holds its context alone. The worker lets go of it while
it spins and sleeps; so a task that is short costs no switch from thread to thread, and a worker that is busy keeps its order.
"""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import bdev, lanes, pools
from wrp.runtime.meter import block
from wrp.runtime.stepping import start
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.parking import first_due


@kernel
def context_hold(context):
    """Have the context; others hold it for a short task only."""
    while atomics.load(context + own.HELD) != 0 or atomics.swap(context + own.HELD, 0, 1) != 0:
        atomics.yield_core()                # who holds it may need this core


@kernel
def context_give(context):
    """Let go of it."""
    atomics.store(context + own.HELD, 0)


@kernel
def run_inline(context, offset, _pool, _method):
    """Start the task with this record here: 1; 0 when its worker is at work, or has something to do first."""
    lane, done = atomics.load(context + own.LANE), 0
    if atomics.load(context + own.HELD) != 0 or atomics.swap(context + own.HELD, 0, 1) != 0:
        return 0
    if not lanes.lane_has(lane) and atomics.load(lane + lanes.STOP) == 0:
        due = first_due(context)
        # no push: counted as what comes from the queues of attached processes
        atomics.store(lane + lanes.TAKEN, atomics.load(lane + lanes.TAKEN) + 1)
        start(context, offset)
        block.meter_rest(atomics.load(context + own.METER))
        done = 1
        if first_due(context) != due or atomics.load(context + own.READY_FIRST) != 0 or atomics.load(context + own.WANTS_RECORDS) != 0:
            atomics.store(lane + lanes.NEWS, 1)
    context_give(context)
    if atomics.load(lane + lanes.NEWS) != 0:
        lanes.lane_wake(lane)
    return done


@kernel
def is_short(kind, method, shorts):
    """True when a method of a pool of this kind is over in a moment; `shorts`: those of a jitted module, a bit each."""
    if kind == pools.BDEV_KIND:
        return method != bdev.READ and method != bdev.WRITE and method != bdev.SYNC
    if kind == pools.JITTED_KIND:
        return 0 <= method < own.METHODS and shorts >> method & 1 != 0
    return kind == pools.ADMIN_KIND
