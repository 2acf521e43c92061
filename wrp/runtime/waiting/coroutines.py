"""What coroutines of a rank's Python worker may await: time, futures, threads, several of them. The worker's loop runs them."""

import threading
import time
from functools import partial

from wrp.errors import UsageError, WaitTimeout, WrpError

_here = threading.local()


class Cancelled(WrpError):
    """Raised in a coroutine, at its await, when its task is cancelled. Let it pass."""


class DeadlineOver(Cancelled):
    """The same when the task's deadline is over."""


def enter(loop):
    """The calling thread runs the coroutines of `loop` from now on; None: no more."""
    _here.loop = loop


def current():
    """The loop of the calling thread, None outside of a Python worker."""
    return getattr(_here, "loop", None)


class Wait:
    """What a coroutine hands to its loop by `yield`. `begin` arranges that `loop.resume(job, ...)` is called; `forget` undoes it."""

    due_ns = 0              # when `time_over` is called (monotonic clock), 0: never
    job = None

    def __await__(self):
        if current() is None:
            raise UsageError("this can be awaited by methods of a module only, which run on a Python worker; use wait() or call() here")
        return (yield self)

    def begin(self, loop, job):
        raise NotImplementedError

    def forget(self, loop):
        """The job doesn't wait any more."""

    def time_over(self, loop):
        loop.resume(self.job)


class sleep(Wait):
    """``await sleep(seconds)``: others run meanwhile."""

    def __init__(self, duration_s):
        self._duration_ns = int(max(0, duration_s) * 1e9)

    def begin(self, loop, job):
        self.due_ns = time.monotonic_ns() + self._duration_ns


class FutureWait(Wait):
    """``await future``. `timeout_s`: None for no limit beyond that of the task."""

    def __init__(self, future, timeout_s=None):
        self.future, self._timeout_s = future, timeout_s

    def __await__(self):
        if self.future.reply is None:
            yield from super().__await__()
        return self.future.reply

    def begin(self, loop, job):
        if self._timeout_s is not None:
            self.due_ns = time.monotonic_ns() + int(self._timeout_s * 1e9)
        loop.watch(self.future.offset, self)

    def done(self, loop):
        """The loop's: the task is done."""
        self.future.collect()
        loop.resume(self.job)

    def forget(self, loop):
        loop.unwatch(self.future.offset)
        self.future.drop()

    def time_over(self, loop):
        sentence = self.future.describe_wait(self._timeout_s)
        self.forget(loop)
        loop.resume(self.job, error=WaitTimeout(sentence))


class in_thread(Wait):
    """``await in_thread(function, *args)``: its result, worked out by a thread for blocking calls."""

    executor = None         # whose threads; None: the loop's

    def __init__(self, function, *args):
        self._call = partial(function, *args)
        self._value = self._error = None

    def begin(self, loop, job):
        offset = loop.expect(self)
        if offset < 0:                                  # no record is free: a moment later
            self.due_ns = time.monotonic_ns() + 200_000
        else:
            self.due_ns = 0
            (self.executor or loop.executor).submit(self._run, loop, offset)

    def _run(self, loop, offset):
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error
        loop.tell(offset)

    def done(self, loop):
        loop.resume(self.job, self._value, self._error)

    def time_over(self, loop):
        loop.wait(self.job, self)


class gather(Wait):
    """``await gather(*awaitables)``: the list of their results, in order. The first error cancels the others and is raised."""

    def __init__(self, *awaitables):
        self._awaitables = awaitables
        self._jobs, self._results, self._left = [], [None] * len(awaitables), len(awaitables)

    def __await__(self):
        if self._awaitables:
            yield from super().__await__()
        return self._results

    def begin(self, loop, job):
        for number, awaitable in enumerate(self._awaitables):
            self._jobs.append(loop.spawn(_awaited(awaitable), partial(self._one_done, loop, number)))

    def _one_done(self, loop, number, value, error):
        self._results[number] = value
        self._left -= 1
        job = self.job
        if job is None:
            return
        if error is not None:
            self.forget(loop)
            loop.resume(job, error=error)
        elif self._left == 0:
            self.job = None
            loop.resume(job)

    def forget(self, loop):
        self.job = None                 # what the parts end with is of no interest any more
        for job in self._jobs:
            loop.cancel(job, Cancelled("another part of the same gather failed, or its task was cancelled"))


async def _awaited(awaitable):
    return await awaitable
