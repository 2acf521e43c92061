"""Looking: a thread that looks whether lost memory of a process is free again, while some is: a program that makes no further call keeps it from nobody."""

import weakref
from contextlib import suppress
from threading import RLock

from wrp.cte.background import Background
from wrp.errors import WaitTimeout, WrpError

_FIRST_NAP_S, _LONGEST_NAP_S = 0.5, 5.0
_END_S = 5.0


class Looking:
    """look : a bound method, True while there is something to look for; its object isn't kept. Any thread, and handlers of signals."""

    def __init__(self, look):
        self._look, self._lock = weakref.WeakMethod(look), RLock()
        self._thread, self._is_on, self._begins = Background("wrp lost"), False, 0

    def begin(self):
        """There is something to look for."""
        with self._lock:
            self._begins += 1
            if not self._is_on and not self._thread.is_stopped:
                try:
                    self._thread.start(self._run)
                except WrpError:            # of a signal's handler
                    raise
                except RuntimeError:        # this user may have no more threads: the next call looks
                    return
                self._is_on = True

    def stop(self):
        """Look no more. Idempotent."""
        with suppress(WaitTimeout):
            self._thread.stop(_END_S)

    def _run(self):
        nap_s = _FIRST_NAP_S
        while self._thread.naps(nap_s):
            begins, look = self._begins, self._look()
            goes_on = look is not None and look()       # without the lock: it may lose something itself
            del look
            with self._lock:
                if not goes_on and begins == self._begins:
                    self._is_on = False
                    return
            nap_s = min(2 * nap_s, _LONGEST_NAP_S)
