"""The module admin: looks at all lanes of the node and stops its workers, as jitted handlers. Makes no pools."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime.lanes import DONE, PID, WAKEUPS, lane_idle, lane_stop, lane_waiting
from wrp.runtime.tasks import ARGS, METHOD, task_value

MONITOR, STOP_RUNTIME, FLUSH = 9, 12, 13
METHODS = {MONITOR: "Monitor", STOP_RUNTIME: "StopRuntime", FLUSH: "Flush"}

AGAIN = -1000           # not a return code: the task isn't done, run it again later
NO_SUCH_LANE = 2
UNKNOWN_METHOD = -1


@kernel
def admin_run(task, lanes, count, stride, own, parked):
    """Run one task: its return code, or AGAIN.

    lanes : address of the first of `count` lanes, `stride` bytes apart; `own`: the worker's, on which `parked` tasks wait
    """
    method = atomics.load(task + METHOD)
    if method == MONITOR:
        number = atomics.load(task + ARGS)
        if number < 0 or number >= count:
            return NO_SUCH_LANE
        lane = lanes + number * stride
        task_value(task, 0, atomics.load(lane + DONE))
        task_value(task, 1, atomics.load(lane + WAKEUPS))
        task_value(task, 2, lane_waiting(lane))
        task_value(task, 3, atomics.load(lane + PID))
        return 0
    if method == FLUSH:
        # tasks before this one in the worker's own lane have begun: it takes them in order
        if parked > 0:
            return AGAIN
        for number in range(count):
            lane = lanes + number * stride
            if lane != own and not lane_idle(lane):
                return AGAIN
        return 0
    if method == STOP_RUNTIME:
        for number in range(count):
            lane_stop(lanes + number * stride)
        return 0
    return UNKNOWN_METHOD
