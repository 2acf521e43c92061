"""What jitted handlers of modules call: their arguments and results, and the waits that end a step. Runs no task.

A handler is a kernel ``handler(context, task, state, step) -> code``: addresses of its worker's context, of the task and of its
pool's state (zeroed bytes that one worker alone changes), and the number of the step. It returns 0 or another return code
when the task is done, or what one of the waits below gave: then it is called again with the next step once the wait is over.
RETRY asks for the same step again a moment later. A task that is cancelled, or whose deadline is over, while it waits is
called once more with step ``-1 - s``, where s (1 or more) is the step it would have gone on with: there it lets go of the
locks it has.
"""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import pools, tasks
from wrp.runtime.routing.address import SLOT_BITS
from wrp.runtime.tasks import task_value
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.parking import (EXCLUSIVE, LOCK_NBYTES, SHARED, SUBTASKS, TIMER, lock_enter, lock_leave, make_ready,
                                         park, serial_of)

WAIT, RETRY = -1001, -1002      # not return codes of tasks

__all__ = ["EXCLUSIVE", "LOCK_NBYTES", "RETRY", "SHARED", "WAIT", "argument", "call", "child_code", "child_value", "expect",
           "keep", "kept", "lock_leave", "result", "wait_calls", "wait_lock", "wait_timer"]

result = task_value


@kernel
def argument(task, number):
    """One of the six arguments."""
    return atomics.load(task + tasks.ARGS + 8 * number)


@kernel
def keep(task, number, value):
    """Keep a word (number 0 or 1) for the next steps."""
    atomics.store(task + tasks.LOCALS + 8 * number, value)


@kernel
def kept(task, number):
    """A word kept by `keep`."""
    return atomics.load(task + tasks.LOCALS + 8 * number)


@kernel
def wait_timer(context, task, delay_ns):
    """WAIT: go on after `delay_ns` nanoseconds."""
    serial_of(context, task)
    park(context, task, TIMER, atomics.now_ns() + max(0, delay_ns))
    return WAIT


@kernel
def call(context, task, pool, method, a0, a1, a2, a3, a4, a5):
    """Submit a subtask to the pool with this number (`Pool.number`, also of one that `Pool.towards` gave): 0, or RETRY when there is
    no room now."""
    offset = _child(context, task, pool, method, a0, a1, a2, a3, a4, a5)
    if offset < 0:
        return RETRY
    if pool >> SLOT_BITS == 0:
        number = atomics.load(atomics.load(context + own.POOLS) + pool * pools.ENTRY + pools.LANE)
    else:
        number = atomics.load(context + own.LANE_COUNT) - 1         # the postman's
    lane = atomics.load(context + own.LANES) + number * atomics.load(context + own.LANE_NBYTES)
    if tasks.task_hand(atomics.load(context + own.BASE), atomics.load(context + own.FREE), lane, offset) < 0:
        return RETRY
    _count(task)
    return 0


@kernel
def expect(context, task):
    """A subtask that somebody else does, such as a thread that moves bytes: its record's offset, or RETRY when there is none.

    Who has done it calls `tasks.task_finish(base, free, offset, code)`, in any process of the node.
    """
    offset = _child(context, task, -1, 0, 0, 0, 0, 0, 0, 0)
    if offset < 0:
        return RETRY
    _count(task)
    return offset


@kernel
def _child(context, task, pool, method, a0, a1, a2, a3, a4, a5):
    base = atomics.load(context + own.BASE)
    serial = serial_of(context, task)
    offset = tasks.task_new(base, atomics.load(context + own.FREE), tasks.WATCHED, pool, method, tasks.ARGUMENTS, a0, a1, a2, a3, a4, a5)
    if offset < 0:
        atomics.store(context + own.WANTS_RECORDS, 1)
        return offset
    atomics.store(base + offset + tasks.WATCH_LANE, atomics.load(context + own.LANE_OFFSET))
    atomics.store(base + offset + tasks.WATCHER, task - base)
    atomics.store(base + offset + tasks.WATCH_SERIAL, serial)
    return offset


@kernel
def _count(task):
    """One more subtask is under way; only this worker takes results, so none is overlooked."""
    _begin_sums(task)
    atomics.store(task + tasks.COLLECTED, 0)
    atomics.store(task + tasks.PENDING, atomics.load(task + tasks.PENDING) + 1)


@kernel
def _begin_sums(task):
    """New sums, unless subtasks have been called since the last wait for them."""
    if atomics.load(task + tasks.COLLECTED):
        atomics.store(task + tasks.CHILD_CODE, 0)
        for number in range(tasks.RESULTS):
            atomics.store(task + tasks.CHILD_VALUES + 8 * number, 0)


@kernel
def wait_calls(context, task):
    """WAIT: go on when all subtasks are done."""
    serial_of(context, task)
    _begin_sums(task)
    atomics.store(task + tasks.COLLECTED, 1)
    park(context, task, SUBTASKS, 0)
    if atomics.load(task + tasks.PENDING) == 0:
        make_ready(context, task)
    return WAIT


@kernel
def child_code(task):
    """The first return code of the subtasks that isn't 0."""
    return atomics.load(task + tasks.CHILD_CODE)


@kernel
def child_value(task, number):
    """The sum over the subtasks of one of the four results."""
    return atomics.load(task + tasks.CHILD_VALUES + 8 * number)


@kernel
def wait_lock(context, task, lock, mode):
    """WAIT: go on when the task has the lock (LOCK_NBYTES of the pool's state), EXCLUSIVE or SHARED; first come, first served.

    `lock_leave(context, lock)` gives it up.
    """
    serial_of(context, task)
    if lock_enter(context, task, lock, mode):
        make_ready(context, task)
    return WAIT
