"""The workers of a rank: two threads, one in a jitted loop without the GIL, one serving modules written in Python."""

import logging
import os
import threading

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import lanes, pools, tasks
from wrp.runtime.admin import AGAIN, admin_run
from wrp.runtime.bdev import bdev_run
from wrp.runtime.lanes import lane_next, lane_push, lane_stop, lane_waiting

EXCEPTION = 99                  # return code of a handler in Python that raised
UNKNOWN_METHOD = -1
_LEFT_OVER = 1                  # Flush: the lane was too full to wait in
_CONTROL_POOLS, _CONTROL_LANES, _CONTROL_COUNT, _CONTROL_STRIDE, _CONTROL_NBYTES = 0, 1, 2, 3, 4
_NAP_US = 50
_log = logging.getLogger("wrp.runtime")


@kernel
def worker_loop(base, free, lane, spin_ns, control, fds):
    """Run tasks of one lane until it is stopped and empty.

    base, free, lane : addresses of the segment, the free list of records and the lane
    control : int64 array, address of the pool table's entries; of the first lane, their count and stride; bytes of the segment
    fds : int64 array, this process's file descriptor of each pool, or -1
    """
    while True:
        offset = lane_next(lane, spin_ns)
        if offset < 0:
            if atomics.load(lane + lanes.STOP) == 1:
                break
            continue
        task = base + offset
        pool = atomics.load(task + tasks.POOL)
        entry = control[_CONTROL_POOLS] + pool * pools.ENTRY
        kind = atomics.load(entry + pools.KIND)
        code = UNKNOWN_METHOD
        if kind == pools.BDEV_KIND:
            code = bdev_run(task, entry + pools.PARAMS, base, control[_CONTROL_NBYTES], fds[pool])
        elif kind == pools.ADMIN_KIND:
            code = admin_run(task, control[_CONTROL_LANES], control[_CONTROL_COUNT], control[_CONTROL_STRIDE], lane)
        if code == AGAIN:
            code = _put_back(lane, offset)
        if code != AGAIN:
            # counted before the caller may look
            atomics.add(lane + lanes.DONE, 1)
            tasks.task_finish(base, free, offset, code)
    atomics.store(lane + lanes.ENDED, 1)


@kernel
def _put_back(lane, offset):
    """Queue a task that waits for others again; a nap when there is nothing else to do."""
    if lane_waiting(lane) == 0:
        atomics.nap(_NAP_US)
    if atomics.load(lane + lanes.STOP) == 1 or not lane_push(lane, offset):
        return _LEFT_OVER
    atomics.add(lane + lanes.SUBMITTED, -1)
    return AGAIN


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


class PythonLoop:
    """Serves the tasks of pools whose module is a Python class. `containers`: object by the pool's slot."""

    def __init__(self, base, free, lane, containers):
        self._base, self._free, self._lane = base, free, lane
        self._containers = containers

    def __call__(self):
        while True:
            offset = lane_next(self._lane, 0)
            if offset >= 0:
                self._run(offset)
            elif atomics.load(self._lane + lanes.STOP) == 1:
                return

    def _run(self, offset):
        task = self._base + offset
        code = self._handled(task)
        atomics.add(self._lane + lanes.DONE, 1)
        tasks.task_finish(self._base, self._free, offset, code)

    def _handled(self, task):
        """Call the method; its results in the task and the return code."""
        pool, method = atomics.load(task + tasks.POOL), atomics.load(task + tasks.METHOD)
        container = self._containers.get(pool)
        name = getattr(container, "methods", {}).get(method)
        if name is None:
            return UNKNOWN_METHOD
        args = [atomics.load(task + tasks.ARGS + 8 * number) for number in range(atomics.load(task + tasks.COUNT))]
        try:
            values = getattr(container, name)(*args)
            values = () if values is None else values if isinstance(values, tuple) else (values,)
            if len(values) > tasks.RESULTS:
                raise ValueError(f"{len(values)} results: a task has room for {tasks.RESULTS}")
            for number, value in enumerate(values):
                tasks.task_value(task, number, int(value))
        except Exception:
            _log.exception("method %s (%d) of %s failed", name, method, type(container).__name__)
            return EXCEPTION
        return 0
