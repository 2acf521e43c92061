"""Pool, Future and Reply: how a caller hands tasks to the worker of a pool and waits for them. Makes no pools."""

import time
from operator import index
from typing import NamedTuple

from wrp.comm import atomics
from wrp.comm.lock import is_alive
from wrp.errors import UsageError, WaitTimeout
from wrp.runtime import lanes, tasks

_NAP_S = 200e-6
_LOOK_S = 0.2                   # a waiter asks this often whether the worker lives
_SPIN_LEAST_NS = 1000
_LIMIT = 1 << 63


class Reply(NamedTuple):
    """`code`: 0 on success, else as the module says, 99 when its handler raised. `values`: four integers."""

    code: int
    values: tuple


class Pool:
    """Tasks for one pool of the node. Made by `Runtime.pool`; any thread may use it."""

    def __init__(self, node, slot, name):
        self._node = node
        self._slot = slot
        self.name = name
        self.id = slot.id
        self._lane = node.address + node.layout.lane(slot.lane)
        self._free = node.address + node.layout.free

    def call(self, method, *args, timeout_s=None):
        """Submit and wait: the Reply. Raises WaitTimeout, UsageError."""
        return self.submit(method, *args, timeout_s=timeout_s).wait(timeout_s)

    def submit(self, method, *args, timeout_s=None):
        """Hand a task with up to six integers to the pool's worker: a Future.

        When the lane is full it waits for room. Raises WaitTimeout when there is none until the deadline.
        """
        if len(args) > tasks.ARGUMENTS:
            raise UsageError(f"a task of pool {self.name!r} has {len(args)} arguments: at most {tasks.ARGUMENTS}")
        self._node.check_open()
        padded = self._words(args) + (0,) * (tasks.ARGUMENTS - len(args))
        offset = self._push(method, len(args), padded)
        if offset < 0:
            offset = self._push_later(method, len(args), padded, timeout_s)
        return Future(self, offset, method)

    def _words(self, args):
        """The arguments as plain integers: a kernel is compiled again for every other type."""
        try:
            words = tuple(map(index, args))
        except TypeError as error:
            raise UsageError(f"an argument of a task of pool {self.name!r} is no integer: {error}") from error
        if any(not -_LIMIT <= word < _LIMIT for word in words):
            raise UsageError(f"an argument of a task of pool {self.name!r} doesn't fit into 64 bits: {words}")
        return words

    def _push(self, method, count, args):
        return tasks.task_submit(self._node.address, self._free, self._lane, self._slot.number, method, count, *args)

    # attached processes have records of their own: see wrp.runtime.daemon.calling

    def _free_record(self, offset):
        tasks.task_free(self._free, offset)

    def _abandon_record(self, offset):
        tasks.task_abandon(self._node.address, self._free, offset)

    def _push_later(self, method, count, args, timeout_s):
        """The same once there is room, looking again and again until the deadline."""
        timeout_s = self._node.timeout_s if timeout_s is None else timeout_s
        watch = _Watch(timeout_s)
        while True:
            time.sleep(_NAP_S)
            offset = self._push(method, count, args)
            if offset >= 0:
                return offset
            if watch.is_over():
                raise WaitTimeout(f"method {method} of pool {self.name!r} found no room in the lane of {self._worker()} for {timeout_s:g} s: "
                                  "it has too many tasks; submit fewer at once, or raise runtime.queue_depth")
            if watch.is_due():
                self._check_worker(method)

    def _check_worker(self, method):
        """WaitTimeout when nobody serves the lane any more."""
        pid = atomics.load(self._lane + lanes.PID)
        if atomics.load(self._lane + lanes.ENDED) == 1:
            raise WaitTimeout(f"method {method} of pool {self.name!r} isn't served: {self._worker()} was stopped")
        if pid and not is_alive(pid):
            raise WaitTimeout(f"method {method} of pool {self.name!r} isn't served: the process of {self._worker()} has ended; "
                              "see its own message, and start the job again")

    def _worker(self):
        return f"the worker of rank {atomics.load(self._lane + lanes.RANK)} (process {atomics.load(self._lane + lanes.PID)})"

    def __repr__(self):
        return f"<Pool {self.name!r}, id {self.id[0]}.{self.id[1]}>"


class Future:
    """A task that was submitted. One thread waits for it, once; nobody has to."""

    __slots__ = ("_pool", "_offset", "_method", "_reply")

    def __init__(self, pool, offset, method):
        self._pool, self._offset, self._method, self._reply = pool, offset, method, None

    def wait(self, timeout_s=None):
        """The Reply. Raises WaitTimeout, naming pool, method and worker, at the deadline or when the worker is gone;
        the task may still be run then, its result is lost. Calling it again gives the same Reply."""
        if self._reply is not None:
            return self._reply
        if self._offset is None:
            raise UsageError(f"the wait for method {self._method} of pool {self._pool.name!r} was given up already")
        node, task = self._pool._node, self._pool._node.address + self._offset
        node.check_open()
        if not tasks.task_wait(task, max(node.spin_ns, _SPIN_LEAST_NS), 0):
            self._sleep(node, task, node.timeout_s if timeout_s is None else timeout_s)
        self._reply = Reply(*_read(task))
        self._pool._free_record(self._offset)
        self._offset = None
        return self._reply

    def _sleep(self, node, task, timeout_s):
        watch = _Watch(timeout_s)
        while not tasks.task_wait(task, 0, lanes.SLICE_US):
            node.check_open()
            if watch.is_over():
                sentence = (f"waited {timeout_s:g} s for method {self._method} of pool {self._pool.name!r}, which {self._pool._worker()} "
                            "runs or will run: look at what it does, or raise runtime.timeout_s")
                self._give_up()
                raise WaitTimeout(sentence)
            if watch.is_due():
                self._check_worker(task)

    def _check_worker(self, task):
        try:
            self._pool._check_worker(self._method)
        except WaitTimeout:
            # it may have finished this task just before it ended
            if not tasks.task_wait(task, 0, 0):
                self._give_up()
                raise

    def _give_up(self):
        offset, self._offset = self._offset, None
        if offset is not None and self._pool._node.is_open:
            self._pool._abandon_record(offset)

    def __del__(self):
        if getattr(self, "_offset", None) is not None:
            self._give_up()


class _Watch:
    """A deadline, and when to look about oneself next."""

    def __init__(self, timeout_s):
        now = time.monotonic()
        self._over_at, self._due_at = now + timeout_s, now + _LOOK_S

    def is_over(self):
        return time.monotonic() >= self._over_at

    def is_due(self):
        now = time.monotonic()
        if now < self._due_at:
            return False
        self._due_at = now + _LOOK_S
        return True


def _read(task):
    values = tuple(atomics.load(task + tasks.VALUES + 8 * number) for number in range(tasks.RESULTS))
    return atomics.load(task + tasks.CODE), values
