"""Carrying: blocking calls of coroutines in threads of their own, so that a call that is cancelled has ended before its coroutine has."""

import logging
import threading
import time
from concurrent.futures import wait
from contextlib import suppress

from wrp.errors import RuntimeGone, WaitTimeout
from wrp.runtime.waiting import Cancelled, in_thread, sleep
from wrp.runtime.waiting.threads import Threads

_THREADS = 16
_NAP_S = 0.005
_TELL_S = 2.0           # of a wait for the end of calls: from then on people are told
_LOOK_S = 0.2           # between two looks whether something goes on
_log = logging.getLogger("wrp.runtime")


class Carrying:
    """``await carrying.out(function, *args)``; `end` waits for all of them."""

    def __init__(self, threads=_THREADS):
        self._executor, self._works, self._lock = Threads(threads, "wrp store"), set(), threading.Lock()
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
        """Of `in_thread`, also a moment after `out`: then `end` may have been. RuntimeGone."""
        with self._lock:
            self.check()
            future = self._executor.submit(run, *args)
            self._works.add(future)
        future.add_done_callback(self._works.discard)

    def end(self, timeout_s, goes_on=lambda: False):
        """No more calls; those under way have ended, which takes longer than 2 s only with a word to the log. WaitTimeout when none has ended for so long.

        goes_on : asked again and again: where it is True the time begins anew
        """
        with self._lock:
            self.is_over, works = True, list(self._works)
        told_s = min(_TELL_S, timeout_s)
        left = self._left(works, told_s)
        if left and timeout_s > told_s:
            _log.warning("the daemon ends when calls of attached processes have ended, %d now, which its storage or another node may keep; after %g s (runtime.timeout_s) "
                         "in which none ends and no bytes come or go it ends without them, and another SIGTERM ends it at once", left, timeout_s)
            left = self._left(works, timeout_s - told_s, goes_on)
        if left:
            raise WaitTimeout(f"calls of attached processes, {left} now, haven't ended within {timeout_s:g} s (runtime.timeout_s): the store can't be closed under them, and "
                              "what wasn't flushed goes with the daemon; look whether its storage and its other nodes answer")
        self._executor.end(0)

    def forget(self):
        """No more calls, of this rank alone, after an error. Nobody is waited for."""
        with self._lock:
            self.is_over = True
        self._executor.end(0)

    def _left(self, works, limit_s, goes_on=None):
        """How many calls are under way still, at the end of the time: with `goes_on` it begins anew where that is True, or one has ended."""
        until, before = time.monotonic() + limit_s, len(works) + 1
        while left := len(wait(works, min(_LOOK_S, limit_s)).not_done) + self._is_here:
            if goes_on is not None and (goes_on() or left < before):
                until, before = time.monotonic() + limit_s, left
            if time.monotonic() >= until:
                break
            time.sleep(_NAP_S)
        return left


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
