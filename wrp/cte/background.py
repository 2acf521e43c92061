"""A thread of a rank that does something now and then until it is stopped. What it does is its user's."""

import threading

from wrp.errors import WrpError


class Background:
    """At most one thread, begun by `start` and ended by `stop`.

    name : of the thread, as debuggers show it; begins with `wrp-`, see `wrp.comm.inside`
    """

    def __init__(self, name):
        self._name, self._stopped, self._thread, self._ended = name, threading.Event(), None, None

    def start(self, work, *args):
        """Run `work(*args)` in the thread; it returns soon once `naps` is False."""
        self._ended = threading.Event()
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

    def stop(self):
        """End the thread, after what it is at. Idempotent."""
        self._stopped.set()
        if self._thread is not None:
            if self._thread.ident is not None:      # else a handler's error came before it was begun, or it does nothing once it is
                self._ended.wait()                  # a join that a signal's handler interrupts would take it for ended
                self._thread.join()
            self._thread = None


def _run(work, args, stopped, ended):
    try:
        if not stopped.is_set():
            work(*args)
    finally:
        ended.set()
