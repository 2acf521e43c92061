"""Sweeping: blobs that this rank has changed and whose keepers haven't got them yet, brought there a period later. How they are brought is in keepers.py.

A blob that changes many times in a period is brought once, as it is when the sweep comes to it. What can't be brought is owed still, and tried with the next sweep.
"""

import logging
import threading
from contextlib import contextmanager

from wrp.comm.turn import Turn
from wrp.cte.background import Background
from wrp.errors import WaitTimeout, WrpError

_log = logging.getLogger("wrp.cte")


class Sweeping:
    """renewed : Keepers.renewed; timeout_s : how long a sweep waits for another one of this rank, and the end for a sweep. Any thread; calls are local."""

    def __init__(self, renewed, period_s, timeout_s):
        self._renewed, self._timeout_s = renewed, timeout_s
        self._owed, self._changes = {}, 0       # {(home, full name): number of its last change}
        self._noting, self._turn = threading.Lock(), Turn()
        self._told = ""
        self._thread = Background("wrp-replicas")
        self._thread.start(self._run, period_s)

    def __len__(self):
        """Blobs that are owed, those that are being brought among them."""
        return len(self._owed)

    def owes(self, home, name):
        """True when this rank has changed a blob that its keepers don't have yet as it is."""
        return (home, name) in self._owed

    def owe(self, home, names):
        """Blobs of these full names have changed."""
        with self._noting:
            for name in names:
                self._changes += 1
                self._owed[home, name] = self._changes

    def sweep(self, wanted=lambda name: True):
        """What is owed now, of the names that are wanted, is with its keepers when it returns: {name: why a keeper has no room for it}.

        All homes are tried before the first error is raised.
        """
        refused, first = {}, None
        with self._alone():
            by_home = {}
            with self._noting:
                for (home, name), number in self._owed.items():
                    if wanted(name):
                        by_home.setdefault(home, {})[name] = number
            for home, numbers in by_home.items():
                if self._thread.is_stopped:     # nobody waits any more, and a silent node makes it long
                    break
                try:
                    self._bring(home, numbers, refused)
                except Exception as error:
                    first = first or error
        if first is not None:
            raise first
        return refused

    def _bring(self, home, numbers, refused):
        """The same of one home's blobs, {name: number of its change}. One that can't be read doesn't keep the others."""
        try:
            refused.update(self._renewed(home, list(numbers)))
        except WaitTimeout:
            raise
        except Exception:
            if len(numbers) == 1:
                raise
            first = None            # by themselves all of them may go
            for name, number in numbers.items():
                try:
                    self._bring(home, {name: number}, refused)
                except WaitTimeout:
                    raise
                except Exception as why:
                    first = first or why
            if first is not None:
                raise first from None
        with self._noting:
            for name, number in numbers.items():
                if self._owed.get((home, name)) == number:      # else it has changed since
                    del self._owed[home, name]

    @contextmanager
    def _alone(self):
        turn = self._turn.of("copies of blobs on their way")
        try:
            if not turn.acquire(timeout=self._timeout_s):
                raise WaitTimeout(f"copies of blobs wait for another sweep of this process, which hasn't ended within {self._timeout_s:g} s (runtime.timeout_s): a keeper is silent")
            yield
        finally:
            try:                        # one step, as in Parts.sync
                turn.release()
            except WrpError:            # of a signal's handler
                raise
            except RuntimeError:        # the wait was in vain
                pass

    def _run(self, period_s):
        while self._thread.naps(period_s):
            if not self._owed:
                continue
            try:
                refused = self.sweep()
                said = "; ".join(f"{name.partition(chr(0))[2]!r}: {why}" for name, why in sorted(refused.items())[:1])
                self._tell(said and f"{len(refused)} blobs are on fewer nodes than targets.replicas says, such as {said}")
            except WrpError as error:
                self._tell(f"{len(self)} blobs aren't with their keepers yet: {error}")
            except Exception as error:      # a fault: the thread goes on, since nobody else brings what is owed
                self._tell(f"{len(self)} blobs aren't with their keepers yet: {error!r}", error)

    def _tell(self, sentence, fault=None):
        """Into the log, once; of a fault where it was, too."""
        if sentence and sentence != self._told:
            _log.warning("%s", sentence, exc_info=fault)
        self._told = sentence

    def stop(self):
        """End the thread, after the sweep that it is at. Idempotent. WaitTimeout: see Background.stop."""
        self._thread.stop(self._timeout_s)
