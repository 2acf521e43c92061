"""CoMutex and CoRwLock: locks between the coroutines of one Python worker. They suspend the coroutine, never the worker."""

from collections import deque

from wrp.errors import UsageError
from wrp.runtime.waiting.coroutines import Wait, current


class CoRwLock:
    """Held by any number that share it or by one alone; first come, first served, so writers don't starve.

    ``async with lock.shared(): ...`` and ``async with lock.exclusive(): ...``. All coroutines that use it run on one worker:
    make it in the module's container. It isn't re-entrant.
    """

    def __init__(self):
        self._holders = 0               # -1: one alone
        self._waiting = deque()
        self._loop = None

    def shared(self):
        """To hold it together with others."""
        return _Holding(self, True)

    def exclusive(self):
        """To hold it alone."""
        return _Holding(self, False)

    def _check_loop(self, loop):
        self._loop = self._loop or loop
        if loop is not self._loop or loop is None:
            raise UsageError("a CoMutex or CoRwLock is used by the coroutines of one Python worker only: make one in each container")

    def _enter(self, shares):
        """True when it was free for this use."""
        if self._waiting or self._holders and not (shares and self._holders > 0):
            return False
        self._holders = self._holders + 1 if shares else -1
        return True

    def _leave(self):
        self._holders = max(0, self._holders - 1)
        self._grant()

    def _grant(self):
        waiting = self._waiting
        while waiting and (self._holders == 0 or waiting[0].shares and self._holders > 0):
            wait = waiting.popleft()
            self._holders = self._holders + 1 if wait.shares else -1
            self._loop.resume(wait.job)


class CoMutex(CoRwLock):
    """Held by one coroutine at a time: ``async with mutex: ...``."""

    async def __aenter__(self):
        await _LockWait(self, False)
        return self

    async def __aexit__(self, *_):
        self._leave()


class _Holding:
    def __init__(self, lock, shares):
        self._lock, self._shares = lock, shares

    async def __aenter__(self):
        await _LockWait(self._lock, self._shares)
        return self._lock

    async def __aexit__(self, *_):
        self._lock._leave()


class _LockWait(Wait):
    def __init__(self, lock, shares):
        self._lock, self.shares = lock, shares

    def __await__(self):
        self._lock._check_loop(current())
        if not self._lock._enter(self.shares):
            yield self

    def begin(self, loop, job):
        self._lock._waiting.append(self)

    def forget(self, loop):
        self._lock._waiting.remove(self)
        self._lock._grant()             # those behind it may have waited for it only
