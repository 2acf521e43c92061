"""Carrying: blocking calls of coroutines in threads of their own, so that a call that is cancelled has ended before its coroutine has."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress

from wrp.errors import RuntimeGone, WaitTimeout
from wrp.runtime.waiting import Cancelled, in_thread, sleep

_THREADS = 16
_NAP_S = 0.005


class Carrying:
    """``await carrying.out(function, *args)``; `end` waits for all of them."""

    def __init__(self, threads=_THREADS):
        self._executor, self._works, self._lock = ThreadPoolExecutor(threads, "wrp-store"), set(), threading.Lock()
        self.is_over = self._is_here = False

    async def out(self, function, *args):
        """What the function gives, or raises. The memory that it has in hand is in nobody else's when the coroutine ends, however it does."""
        self.check()
        work = _Work(self, function, args)
        waiting = in_thread(work)
        waiting.executor = self
        try:
            return await waiting
        except Cancelled:
            while not (work.withdraw() or work.done.is_set()):
                with suppress(Cancelled):
                    await sleep(_NAP_S)
            raise

    def here(self, function, *args, **options):
        """Call a function that waits for nobody in the thread of the coroutines."""
        self._is_here = True            # before the look: `end` looks the other way round
        try:
            self.check()
            return function(*args, **options)
        finally:
            self._is_here = False

    def check(self):
        """RuntimeGone when no more calls are taken."""
        if self.is_over:
            raise RuntimeGone("the daemon ends: its store takes no more calls")

    def submit(self, run, *args):
        """Of `in_thread`, also a moment after `out`: then `end` may have been, and the work finds out by itself."""
        with self._lock:
            future = self._executor.submit(run, *args)
            self._works.add(future)
        future.add_done_callback(self._works.discard)

    def end(self, timeout_s):
        """No more calls; those under way have ended. WaitTimeout when one hasn't within the time."""
        until = time.monotonic() + timeout_s
        with self._lock:
            self.is_over, works = True, list(self._works)
        while self._is_here and time.monotonic() < until:
            time.sleep(_NAP_S)
        if wait(works, max(0.0, until - time.monotonic())).not_done or self._is_here:
            raise WaitTimeout(f"a call of an attached process hasn't ended within {timeout_s:g} s: the store can't be closed under it")


class _Work:
    def __init__(self, carrying, function, args):
        self._carrying, self._function, self._args = carrying, function, args
        self._begun, self.done = threading.Lock(), threading.Event()

    def __call__(self):
        if not self._begun.acquire(blocking=False):
            return None                     # withdrawn
        try:
            self._carrying.check()
            return self._function(*self._args)
        finally:
            self.done.set()

    def withdraw(self):
        """True when it hasn't begun, and never will."""
        return self._begun.acquire(blocking=False)
