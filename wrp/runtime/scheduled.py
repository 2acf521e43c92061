"""A pool whose reads and writes any jitted worker of the node may run: the scheduler of the configuration says which."""

import os
import threading

from wrp.comm import atomics
from wrp.comm.turn import Turn
from wrp.runtime import bdev, tasks
from wrp.runtime.future import Future
from wrp.runtime.joint import Joint
from wrp.runtime.pool import Pool
from wrp.runtime.schedulers import Came, Done

_UNKNOWN_NS = -1


class Placing:
    """A scheduler for the threads of this process. `lanes`: address of each worker's lane."""

    def __init__(self, scheduler, lanes):
        self._scheduler, self.lanes = scheduler, lanes
        self._turn = Turn()

    def on(self, event):
        with self._turn.of("the scheduler of devices"):
            return self._scheduler.on(event)


class ScheduledPool(Pool):
    """The pool of a device in memory. Space is still the matter of its own worker; bytes are moved where there is time.

    Reads and writes that are under way together may be done in any order, and a large one by several workers at once.
    """

    def __init__(self, node, slot, name, placing):
        super().__init__(node, slot, name)
        self._placing = placing

    def _prepare(self):
        super()._prepare()
        self._is_plain = False

    def submit(self, method, *args, timeout_s=None, **options):
        """As `Pool.submit`; the Future of a task in parts has their first code that isn't 0, and all bytes moved."""
        if method not in (bdev.READ, bdev.WRITE) or len(args) != 3 or any(value is not None for value in options.values()):
            return super().submit(method, *args, timeout_s=timeout_s, **options)
        offset, buffer, nbytes, *_ = self._padded(args)
        client = os.getpid() << 32 | threading.get_native_id()
        parts = self._placing.on(Came(self.number, method, max(0, nbytes), client=client, can_split=True))
        if len(parts) == 1:
            return self._part(method, args, parts[0], timeout_s)
        return Joint([self._part(method, (offset + part.first, buffer + part.first, part.nbytes), part, timeout_s) for part in parts])

    def _part(self, method, args, part, timeout_s):
        lane, padded = self._placing.lanes[part.worker], self._padded(args)
        done = Done(self.number, method, part.nbytes, part.worker, _UNKNOWN_NS)

        def push():
            return tasks.task_submit(self._node.address, self._free, lane, self.number, method, len(args), *padded)

        try:
            offset = push()
            offset = offset if offset >= 0 else self._later(push, method, timeout_s, offset)
        except BaseException:
            self._placing.on(done)
            raise
        return _Part(self, offset, method, done)


class _Part(Future):
    """Tells the scheduler when its task is done, or of no interest any more."""

    __slots__ = ("_done",)

    def __init__(self, pool, offset, method, done):
        super().__init__(pool, offset, method)
        self._done = done

    def collect(self):
        ns = atomics.load(self._pool._node.address + self.offset + tasks.TOOK)
        self._pool._placing.on(self._done._replace(ns=ns))
        return super().collect()

    def drop(self):
        self._pool._placing.on(self._done)
        super().drop()

    def _give_up(self):
        if self.offset is not None:
            self._pool._placing.on(self._done)
        super()._give_up()
