"""Why a daemon stops: what asked this process, its node, or another node. Decides nothing else."""

import os
import signal

from wrp.comm.ranks.launcher import launcher

ASKED, PARENT_GONE, STOP_TASK, OTHER_NODE = 1, 2, 3, 4
_SIGNAL = 1000                  # and the signal's number
_REASONS = {ASKED: "wrp-runtime stop", PARENT_GONE: "the end of its launcher", STOP_TASK: "a task StopRuntime",
            OTHER_NODE: "the stop of another node"}
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


def describe(reason):
    """Text for a reason's number."""
    return signal.Signals(reason - _SIGNAL).name if reason > _SIGNAL else _REASONS.get(reason, "?")


def is_hasty(reason):
    """True when whoever ends the job will soon kill its processes: mpirun does a fifth of a second after SIGTERM."""
    return launcher() is not None and reason not in (ASKED, STOP_TASK)


class Signals:
    """Within its `with` block a signal that ends a job is kept for the daemon that is held, or that is still being made.

    Enter it before the first collective call, in the main thread: a rank that ended by a signal would take all others along.
    """

    def __init__(self):
        self.number, self._about, self._before = 0, None, {}

    def tell(self, about):
        """From now on a signal asks the daemon of this record to stop."""
        self._about = about
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
        if self.number and self._about is None:         # the second one: it isn't to be started at all
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.number = number
        if self._about is not None:
            self._ask()

    def _ask(self):
        self._about.stop = _SIGNAL + self.number
        self._about.ring()


class Orphan:
    """Says when the launcher of this process has gone."""

    def __init__(self):
        self._parent = os.getppid() if launcher() is not None else None

    def __bool__(self):
        return self._parent is not None and os.getppid() != self._parent
