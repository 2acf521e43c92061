"""Future and Reply: a task that was submitted, and how a caller waits for it. Submits nothing."""

import time
from typing import NamedTuple

from wrp.comm import atomics
from wrp.errors import UsageError, WaitTimeout
from wrp.runtime import lanes, tasks
from wrp.runtime.asking import SPIN_LEAST_NS, await_task
from wrp.runtime.waiting.coroutines import FutureWait

_NAP_S = 200e-6
_GLANCE_US = 500                # who waits for one of several looks at the others this often at first, ever less then
_LOOK_S = 0.2                   # a waiter asks this often whether the worker lives

NO_POOL, NET_TIMEOUT = 96, -1000
_MEANINGS = {NO_POOL: "the node of the container has no such pool: every node has to make it, or it was removed",
             97: "the task was cancelled", 98: "the deadline of the task is over", 99: "its handler raised: see the messages of its worker",
             NET_TIMEOUT: "the node of the container hasn't answered for longer than the task's net_timeout_s, or networking.net_timeout: "
                          "see that its first rank lives; whether the task was run isn't known"}


class Reply(NamedTuple):
    """`code`: 0 on success, else as the module says, 99 when its handler raised, 97 when the task was cancelled, 98 when its
    deadline was over, 96 when the container's node has no such pool, -1000 when that node doesn't answer. `values`: four integers."""

    code: int
    values: tuple

    @property
    def meaning(self):
        """The sentence of a code that no module gives, else ""."""
        return _MEANINGS.get(self.code, "")


class Future:
    """A task that was submitted. One thread, or one coroutine by `await`, waits for it; nobody has to."""

    __slots__ = ("_pool", "offset", "_method", "reply")

    def __init__(self, pool, offset, method):
        self._pool, self.offset, self._method, self.reply = pool, offset, method, None

    def wait(self, timeout_s=None, goes_on=None, unless=None):
        """The Reply. Raises WaitTimeout, naming pool, method and worker, at the deadline or when the worker is gone;
        the task may still be run then, its result is lost. Calling it again gives the same Reply.

        goes_on : asked again and again, of a task that takes long: where it has done something since, the deadline begins anew
        unless : asked now and then: where it says True first, the wait ends with None; the task is waited for again, or not
        """
        if self.reply is not None:
            return self.reply
        node, task = self._node_and_task()
        if not await_task(task, self._pool._driver, max(node.spin_ns, SPIN_LEAST_NS), 0):
            if not self._sleep(node, task, node.timeout_s if timeout_s is None else timeout_s, goes_on, unless):
                return None
        return self.collect()

    def __await__(self):
        """The Reply, in a coroutine of a module."""
        if self.reply is None:
            self._node_and_task()
        return FutureWait(self).__await__()

    def within(self, timeout_s):
        """To be awaited: the Reply, or WaitTimeout after `timeout_s` seconds."""
        return FutureWait(self, timeout_s)

    @property
    def is_done(self):
        """True when a wait would end at once."""
        if self.reply is not None:
            return True
        node, task = self._node_and_task()
        return atomics.load(task + tasks.STATE) == tasks.DONE

    def cancel(self, timeout_s=None):
        """Ask the worker to cancel the task: at its await if it waits, at its next if it runs, else before it begins.

        The Reply has code 97 then, or that of the task if it ends first. Raises WaitTimeout when the worker's lane is full.
        """
        if self.reply is not None:
            return
        node, task = self._node_and_task()
        atomics.store(task + tasks.CANCEL, 1)
        watch = Watch(node.timeout_s if timeout_s is None else timeout_s)
        while atomics.load(task + tasks.STATE) != tasks.DONE and not self._pool._notify(self.offset):
            if watch.is_over():
                raise WaitTimeout(f"the lane of {self._pool._worker()} is full: the cancelling of method {self._method} of pool "
                                  f"{self._pool.name!r} is seen at the task's next await only")
            time.sleep(_NAP_S)

    @property
    def runs(self):
        """(runs, missed) of a periodic task until now."""
        if self.reply is not None:
            return self.reply.values[:2]
        _, task = self._node_and_task()
        return atomics.load(task + tasks.RUNS), atomics.load(task + tasks.MISSED)

    def collect(self):
        """The Reply of a task that is done; its record is free then."""
        code, *values = tasks.task_result(self._pool._node.address + self.offset)
        self.reply = Reply(code, tuple(values))
        # forgotten first: where a signal's handler raises behind the freeing, the record is another task's already
        offset, self.offset = self.offset, None
        self._pool._free_record(offset)
        return self.reply

    def drop(self):
        """Forget the record: somebody else frees it."""
        self.offset = None

    def describe_wait(self, timeout_s):
        """The sentence of a wait that reached its deadline."""
        return (f"waited {timeout_s:g} s for method {self._method} of pool {self._pool.name!r}, which {self._pool._worker()} "
                "runs or will run: look at what it does, or raise runtime.timeout_s")

    def _node_and_task(self):
        if self.offset is None:
            raise UsageError(f"the wait for method {self._method} of pool {self._pool.name!r} was given up already")
        self._pool._node.check_open()
        return self._pool._node, self._pool._node.address + self.offset

    def _sleep(self, node, task, timeout_s, goes_on, unless):
        watch, slice_us = Watch(timeout_s), lanes.SLICE_US if unless is None else _GLANCE_US
        while unless is None or not unless():
            if tasks.task_wait(task, 0, slice_us):
                return True
            slice_us = min(2 * slice_us, lanes.SLICE_US)
            node.check_open()
            if goes_on is not None and goes_on():
                watch = Watch(timeout_s)
            if watch.is_over():
                sentence = self.describe_wait(timeout_s)
                self._give_up()
                raise WaitTimeout(sentence)
            if watch.is_due():
                self._check_worker(task)
        return False

    def _check_worker(self, task):
        try:
            self._pool._check_worker(self._method)
        except WaitTimeout:
            # it may have finished this task just before it ended
            if not tasks.task_wait(task, 0, 0):
                self._give_up()
                raise

    def _give_up(self):
        offset, self.offset = self.offset, None
        if offset is not None and self._pool._node.is_open:
            self._pool._abandon_record(offset)

    def __del__(self):
        if getattr(self, "offset", None) is not None:
            self._give_up()


class Watch:
    """A deadline, and when to look about oneself next."""

    def __init__(self, timeout_s):
        now = time.monotonic()
        self._over_at, self._due_at = now + timeout_s, now + _LOOK_S

    def is_over(self):
        return time.monotonic() >= self._over_at

    @property
    def left_s(self):
        """Seconds until the deadline, at least 0."""
        return max(0.0, self._over_at - time.monotonic())

    def is_due(self):
        now = time.monotonic()
        if now < self._due_at:
            return False
        self._due_at = now + _LOOK_S
        return True
