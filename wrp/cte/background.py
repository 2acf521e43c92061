"""A thread of a rank that does something now and then until it is stopped. What it does is its user's."""

import os
import threading
import time

from wrp.errors import WaitTimeout, WrpError

_LOOK_S = 0.2                   # between two looks whether a thread that is to end goes on


class Background:
    """At most one thread, begun by `start` and ended by `stop`.

    name : of the thread, as debuggers show it; begins with `wrp-`, see `wrp.comm.inside`
    """

    def __init__(self, name):
        self._name, self._stopped, self._thread, self._ended = name, _Mark(), None, None

    def start(self, work, *args):
        """Run `work(*args)` in the thread; it returns soon once `naps` is False."""
        self._ended = _Mark()
        self._thread = threading.Thread(target=_run, args=(work, args, self._stopped, self._ended), name=self._name, daemon=True)
        try:
            self._thread.start()
        except WrpError:                        # of a signal's handler, while it begins
            raise
        except RuntimeError:                    # there is none
            self._thread = None
            raise

    def naps(self, seconds):
        """Sleep: True when the time is over, False as soon as the thread is to end."""
        return not self._stopped.wait(seconds)

    @property
    def is_stopped(self):
        """True once the thread is to end."""
        return self._stopped.is_set()

    def stop(self, timeout_s, look="look whether the storage that it reads or writes answers", goes_on=lambda: False):
        """End the thread, after what it is at. Idempotent. WaitTimeout when that takes longer than it may: it goes on, and ends later. `look`: what people are to do then.

        goes_on : asked again and again: where it is True the time begins anew
        """
        self._stopped.set()
        if self._thread is not None:
            if self._thread.ident is not None:      # else a handler's error came before it was begun, or it does nothing once it is
                until = time.monotonic() + timeout_s
                while not self._ended.wait(min(_LOOK_S, timeout_s)):    # a join that a signal's handler interrupts would take it for ended
                    if goes_on():
                        until = time.monotonic() + timeout_s
                    if time.monotonic() < until:
                        continue
                    raise WaitTimeout(f"the thread {self._name} of process {os.getpid()} hasn't ended within {timeout_s:g} s (runtime.timeout_s): {look}")
                self._thread.join()
            self._thread = None


def stop_each(threads):
    """Call `stop` of each, though one takes longer than it may: the first WaitTimeout is raised then."""
    first = None
    for each in threads:
        try:
            each.stop()
        except WaitTimeout as error:
            first = first or error
    if first is not None:
        raise first


class _Mark:
    """Set once, in one step: a handler's error in the middle of a call of threading.Event leaves its lock taken, and the next one waits for ever."""

    def __init__(self):
        self._is_set, self._unset = False, threading.Lock()
        self._unset.acquire()

    def set(self):
        self._is_set = True
        if self._unset.locked():
            self._give()

    def is_set(self):
        return self._is_set

    def wait(self, seconds=None):
        if not self._is_set and self._unset.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX)):
            self._give()
        return self._is_set

    def _give(self):
        try:
            self._unset.release()
        except WrpError:            # of a signal's handler
            raise
        except RuntimeError:        # another thread was quicker
            pass


def _run(work, args, stopped, ended):
    try:
        if not stopped.is_set():
            work(*args)
    finally:
        ended.set()
