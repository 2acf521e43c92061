"""Why a daemon stops: what asked this process, its node, or another node. Decides nothing else."""

import os
import signal
import time

from wrp.comm.ranks.launcher import launcher

ASKED, PARENT_GONE, STOP_TASK, OTHER_NODE = 1, 2, 3, 4
_SIGNAL = 1000                  # and the signal's number
_REASONS = {ASKED: "wrp-runtime stop", PARENT_GONE: "the end of its launcher", STOP_TASK: "a task StopRuntime",
            OTHER_NODE: "the stop of another node"}
_AT_ONCE = (signal.SIGTERM, signal.SIGINT)
_MEANT_S = 1.0                  # launchers and shells send several for one end
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


def describe(reason):
    """Text for a reason's number."""
    return signal.Signals(reason - _SIGNAL).name if reason > _SIGNAL else _REASONS.get(reason, "?")


def sentence(reason, ranks):
    """What a process that was attached hears of a daemon of so many ranks."""
    if reason > _SIGNAL and ranks > 1:
        return f"was told to end by {describe(reason)}, as the ranks of a job are that is cancelled or where another rank failed: see its messages"
    return {PARENT_GONE: "ends because its launcher has", OTHER_NODE: "was stopped on another node, or ended there: see its messages"}.get(reason, "was stopped")


def is_hasty(reason):
    """True when whoever ends the job will soon kill its processes: mpirun does a fifth of a second after SIGTERM."""
    return launcher() is not None and reason not in (ASKED, STOP_TASK)


class Signals:
    """Within its `with` block a signal that ends a job is kept for the daemon that is held, or that is still being made.

    Enter it before the first collective call, in the main thread: a rank that ended by a signal would take all others along. SIGTERM or SIGINT once
    more, or after a `wrp-runtime stop`, ends the process at once.
    """

    def __init__(self):
        self.number, self._about, self._before = 0, None, {}
        self._hide, self._came_at = None, 0.0

    def tell(self, about, hide):
        """From now on a signal asks the daemon of this record to stop. hide() removes its name."""
        self._about, self._hide = about, hide
        if self.number:
            self._ask()

    def __enter__(self):
        for number in _SIGNALS:
            # one that was ignored on purpose (nohup) stays so
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *_):
        self._about = None
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch(self, number, frame):
        if self._is_last(number):
            if self._hide is not None:
                self._hide()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._came_at = self._came_at or time.monotonic()
        self.number = number
        if self._about is not None:
            self._ask()

    def _is_last(self, number):
        """True for a signal that ends this process: it isn't to be started at all, or doesn't stop by itself."""
        if self._about is None:
            return self.number != 0
        return number in _AT_ONCE and (self._about.stop == ASKED or self.number != 0 and time.monotonic() >= self._came_at + _MEANT_S)

    def _ask(self):
        self._about.stop = _SIGNAL + self.number
        self._about.ring()


class Orphan:
    """Says when the launcher of this process has gone."""

    def __init__(self):
        self._parent = os.getppid() if launcher() is not None else None

    def __bool__(self):
        return self._parent is not None and os.getppid() != self._parent
