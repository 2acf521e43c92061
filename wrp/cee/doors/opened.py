"""The files that programs have open in a mounted store: what of each waits, since when, and who puts it when it has waited for long. What operations do is in mounted.py."""

import threading
import time

from wrp.cte.background import Background
from wrp.errors import WrpError

_MOST_WAITING = 64 << 20        # bytes of all files together
_LONGEST_S = 5                  # that something waits
_LOOKS_S = 1                    # between two looks at that


class Opened:
    """A blob that programs have open, how many times, since when something of it waits, and when it was written to (ns)."""

    def __init__(self, growing):
        self.growing, self.users, self.since, self.written = growing, 0, 0.0, 0

    def write(self, offset, data):
        if not self.growing.is_waiting:
            self.since = time.monotonic()
        self.growing.write(offset, data)
        self.written = time.time_ns()


class OpenFiles(dict):
    """{path: Opened}. Whoever uses it holds `lock`."""

    def __init__(self):
        super().__init__()
        self.lock, self._late = threading.Lock(), Background("wrp-mounted")

    def write(self, opened, offset, data):
        """Let one of them write. OutOfSpace where there is no room for what waits of it: these bytes aren't taken; of others, those who write to them are told."""
        if sum(each.growing.waits for each in self.values()) + len(data) > _MOST_WAITING:
            for each in self.values():
                if each is not opened:
                    failure(each.growing.put)
            opened.growing.put()
        opened.write(offset, data)

    def put(self):
        """What waits is put; the errors of those for which there is none, when all have had their turn."""
        return [error for opened in self.values() if (error := failure(opened.growing.put)) is not None]

    def start(self):
        """From now on nothing waits for much longer than 5 s."""
        self._late.start(self._look)

    def stop(self, timeout_s):
        """End that. Idempotent. WaitTimeout: see Background.stop."""
        self._late.stop(timeout_s)

    def _look(self):
        while self._late.naps(_LOOKS_S):
            with self.lock:
                for opened in self.values():
                    if opened.growing.is_waiting and time.monotonic() - opened.since > _LONGEST_S and failure(opened.growing.put) is not None:
                        opened.since = time.monotonic()         # who writes to it, or closes it, is told


def failure(call):
    """The error of a call, or None."""
    try:
        call()
    except Exception as error:          # whatever it is: the files of others have their turn, too, and this one another
        return error
    return None


def told(error):
    """An error for people: what it says, and of one that isn't known here its kind."""
    return str(error) if isinstance(error, (WrpError, OSError)) else f"{type(error).__name__}: {error}"
