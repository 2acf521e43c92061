"""The threads that move bytes of files, gpus and other devices for a jitted worker, without the GIL; more of them start while requests wait."""

import errno
import logging
import threading
import time

import numpy as np

from wrp.comm import atomics
from wrp.comm.ring import ring_format
from wrp.errors import OutOfSpace
from wrp.runtime import bdev, requests, tasks
from wrp.runtime.waiting import context as own

MOST = 128                      # threads of a process
_FAILED = 99                    # as of a handler in Python that raised
_log = logging.getLogger("wrp.runtime")


class IoThreads:
    """Those of one process; none until `allow` is called. `movers`: by the number of a pool, the device whose bytes Python moves, by `move`, `sync` and `act`."""

    def __init__(self, node, context):
        self._node, self._context, self.movers = node, context, {}
        self._words = np.zeros(requests.NBYTES // 8 + 8, np.int64)
        self._queue = -(-self._words.ctypes.data // 64) * 64
        ring_format(self._queue + requests.RING, requests.CAPACITY)
        self._threads, self._most, self._lock = [], 0, threading.Lock()
        self._aside = []                # of them none counts among the most

    def allow(self, depth):
        """Have up to `depth` requests under way at once, at least; the first thread starts."""
        self._most = max(self._most, min(depth, MOST))
        if not self._threads:
            self._add()
            self._context[own.REQUESTS] = self._queue

    def stop(self, timeout_s):
        """End them when the queue is empty; True when all have ended within the time. The worker has ended already."""
        if self._threads:
            requests.stop(self._queue)
        until = time.monotonic() + timeout_s
        for thread in (*self._threads, *self._aside):
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in (*self._threads, *self._aside))

    def _add(self):
        with self._lock:
            if len(self._threads) < self._most:
                self._threads.append(threading.Thread(target=self._run, name=f"wrp-io-{len(self._threads)}", daemon=True))
                self._threads[-1].start()

    def _run(self):
        base, free = self._node.address, self._node.address + self._node.layout.free
        while True:
            why, offset = requests.serve(base, free, self._queue)
            if why == requests.ENDED:
                return
            if why == requests.MORE:
                self._add()
            elif atomics.load(base + offset + tasks.ARGS) == requests.MOVER_ACT:
                self._act(base, free, offset)
            else:
                self._move(base, free, offset)

    def _act(self, base, free, offset):
        # it may go through a whole device: what others ask for isn't kept waiting
        with self._lock:
            self._aside = [thread for thread in self._aside if thread.is_alive()]
            self._aside.append(threading.Thread(target=self._move, args=(base, free, offset), name="wrp-io-aside", daemon=True))
            self._aside[-1].start()

    def _move(self, base, free, offset):
        """A request that isn't a kernel's. Results as of a kernel's, a negative errno where the system says why not."""
        what, pool, method, address, nbytes, place = (atomics.load(base + offset + tasks.ARGS + 8 * number) for number in range(tasks.ARGUMENTS))
        code, values = 0, ()
        try:
            values = self._moved(self.movers[pool], what, method, address, nbytes, place)
        except (OSError, OutOfSpace) as error:
            _log.error("what was asked of %r can't be done: %s", self.movers[pool], error)
            values = (-(getattr(error, "errno", None) or errno.EIO),)
            code = bdev.REFUSED if what == requests.MOVER_ACT else 0
        except Exception:
            _log.exception("what was asked of %r failed", self.movers[pool])
            code = _FAILED
        for number, value in enumerate(values):
            tasks.task_value(base + offset, number, value)
        tasks.task_finish(base, free, offset, code)

    @staticmethod
    def _moved(device, what, method, address, nbytes, place):
        if what == requests.MOVER_ACT:
            return device.act(method, address, nbytes, place)
        if what == requests.MOVER_SYNC:
            device.sync()
            return (0,)
        device.move(what == requests.MOVER_WRITE, place, address, nbytes)
        return (nbytes,)
