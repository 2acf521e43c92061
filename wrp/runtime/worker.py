"""The workers of a rank: two threads, one in a jitted loop without the GIL, one serving modules written in Python."""

import logging
import os
import threading

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.lock import is_alive
from wrp.errors import WrpError
from wrp.runtime import lanes, records
from wrp.runtime.inline import count_noted
from wrp.runtime.lanes import lane_give, lane_hold, lane_poll, lane_rest, lane_stop
from wrp.runtime.meter import block
from wrp.runtime.stepping import end_all, go_on, start, time_over
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.parking import first_due, next_due, next_ready, take_finished

_ENDED, _GROW, _HELD = 0, 1, 2
_AT_ONCE = 16               # waiting tasks taken up before the next new one
_log = logging.getLogger("wrp.runtime")


@kernel
def worker_loop(context, spin_ns):
    """Run tasks of one lane: _ENDED when it is stopped and empty, _GROW when a handler found no free record, _HELD when somebody else has held it for long.

    context : address of the worker's context; the worker holds its lane except while it rests, and in the end for good
    """
    lane = atomics.load(context + own.LANE)
    if not lane_hold(lane, atomics.load(context + own.PID)):
        return _HELD
    while True:
        if atomics.load(lane + lanes.NEWS):
            atomics.exchange(lane + lanes.NEWS, 0)          # what others left before they said so is seen from here on
            count_noted(context)
        if atomics.load(context + own.WANTS_RECORDS):
            atomics.store(context + own.WANTS_RECORDS, 0)
            lane_give(lane)
            return _GROW
        worked = _take_up(context)
        offset = lane_poll(lane)
        if offset >= 0:
            start(context, offset)
        elif not worked:
            if atomics.load(lane + lanes.STOP) == 1 and atomics.load(context + own.IN_FLIGHT) + atomics.load(context + own.LENT) == 0:
                return _ENDED
            due = first_due(context)
            block.meter_rest(atomics.load(context + own.METER))
            lane_give(lane)
            slept = lane_rest(lane, spin_ns, due)
            if not lane_hold(lane, atomics.load(context + own.PID)):
                return _HELD
            if slept:
                block.meter_woke(atomics.load(context + own.METER))


@kernel
def _take_up(context):
    """Run the next steps of some tasks whose wait is over; True if there was one."""
    take_finished(context)
    count = 0
    if first_due(context):
        now = atomics.now_ns()
        offset = next_due(context, now)
        while offset and count < _AT_ONCE:
            time_over(context, offset)
            count += 1
            offset = next_due(context, now) if count < _AT_ONCE else 0
    for _ in range(_AT_ONCE):
        offset = next_ready(context)
        if offset == 0:
            break
        go_on(context, offset)
        count += 1
    return count > 0


class JittedLoop:
    """The loop of a jitted worker. `context`: its Context."""

    def __init__(self, node, context):
        self._node, self._context = node, context

    def __call__(self):
        node, address = self._node, self._context.address
        why = _GROW
        while why != _ENDED:
            why = worker_loop(address, node.spin_ns)
            if why == _GROW:
                records.grow(node.segment, node.layout, node.timeout_s)
            elif why == _HELD:
                self._check_holder()
        end_all(address, node.layout.records, records.count(node.address, node.layout))

    def _check_holder(self):
        """WrpError when the one who ran a task of this worker has died in it: nobody knows what is half changed."""
        pid = atomics.load(self._context[own.LANE] + lanes.HELD)
        if pid and not is_alive(pid):
            raise WrpError(f"process {pid} died while it ran a task of this worker: what the worker has may be half changed, and isn't used any more")


class Worker:
    """One thread and its lane. `run` is the loop; `node`, whose memory it looks at, lives as long as the thread."""

    def __init__(self, node, name, number, run):
        self.lane = node.address + node.layout.lane(number)
        self._thread = threading.Thread(target=self._guarded, args=(run, node), name=name, daemon=True)

    def start(self, rank):
        atomics.store(self.lane + lanes.RANK, rank)
        atomics.store(self.lane + lanes.PID, os.getpid())
        self._thread.start()

    def stop(self, timeout_s):
        """Let it finish the tasks in its lane; True when the thread has ended within the time."""
        lane_stop(self.lane)
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _guarded(self, run, node):
        try:
            run()
        except BaseException:
            _log.exception("a worker of process %d ended with an error", os.getpid())
        finally:
            atomics.store(self.lane + lanes.ENDED, 1)
