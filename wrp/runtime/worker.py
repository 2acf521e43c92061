"""The workers of a rank: two threads, one in a jitted loop without the GIL, one serving modules written in Python."""

import logging
import os
import threading

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import lanes, records
from wrp.runtime.lanes import lane_next, lane_poll, lane_stop
from wrp.runtime.stepping import end_all, go_on, start, time_over
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.parking import first_due, next_due, next_ready, take_finished

_ENDED, _GROW = 0, 1
_AT_ONCE = 16               # waiting tasks taken up before the next new one
_log = logging.getLogger("wrp.runtime")


@kernel
def worker_loop(context, spin_ns, fds):
    """Run tasks of one lane: _ENDED when it is stopped and empty, _GROW when a handler found no free record.

    context : address of the worker's context
    fds : int64 array, this process's file descriptor of each pool, or -1
    """
    lane = atomics.load(context + own.LANE)
    while True:
        if atomics.load(context + own.WANTS_RECORDS):
            atomics.store(context + own.WANTS_RECORDS, 0)
            return _GROW
        if _take_up(context, fds):
            offset = lane_poll(lane)
        else:
            offset = lane_next(lane, spin_ns, first_due(context))
        if offset >= 0:
            start(context, offset, fds)
        elif atomics.load(lane + lanes.STOP) == 1 and atomics.load(context + own.IN_FLIGHT) == 0:
            return _ENDED


@kernel
def _take_up(context, fds):
    """Run the next steps of some tasks whose wait is over; True if there was one."""
    take_finished(context)
    count = 0
    if first_due(context):
        now = atomics.now_ns()
        offset = next_due(context, now)
        while offset and count < _AT_ONCE:
            time_over(context, offset, fds)
            count += 1
            offset = next_due(context, now) if count < _AT_ONCE else 0
    for _ in range(_AT_ONCE):
        offset = next_ready(context)
        if offset == 0:
            break
        go_on(context, offset, fds)
        count += 1
    return count > 0


class JittedLoop:
    """The loop of a jitted worker. `context`: its Context, `fds`: see `worker_loop`."""

    def __init__(self, node, context, fds):
        self._node, self._context, self._fds = node, context, fds

    def __call__(self):
        node, address = self._node, self._context.address
        while worker_loop(address, node.spin_ns, self._fds) == _GROW:
            records.grow(node.segment, node.layout, node.timeout_s)
        end_all(address, node.layout.records, records.count(node.address, node.layout), self._fds)


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
