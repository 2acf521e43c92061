"""A pytest session on several ranks: quiet output, a common end of every test, no hang after a failure of one rank."""

import io
import sys
import threading
import time

from wrp.comm.ranks.launcher import launcher, quiet_open_mpi

LIMIT_S = 50            # of one test; pytest-timeout, a little later, is the second net
_AFTER_FAILURE_S = 5
_SAID_S = 1             # that a launcher, on a machine that others load too, has to pass on what was written before it ends the ranks


def joined(config):
    """The Job of this session, or None where pytest runs in one process or without --with-mpi."""
    found = launcher()
    if found is None or found.size == 1 or not config.getoption("with_mpi", False):
        return None
    quiet_open_mpi()
    from mpi4py import MPI
    return Job(MPI) if MPI.COMM_WORLD.Get_size() > 1 else None


class Job:
    """The ranks of a test session, over a communicator that the tests don't know."""

    def __init__(self, MPI):
        self._comm = MPI.COMM_WORLD.Dup()
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        self._timer = None
        self._held = None       # the report of a quiet rank

    def hush(self, config):
        """Ranks other than 0 keep their report to themselves."""
        reporter = config.pluginmanager.getplugin("terminalreporter")
        if self.rank and reporter is not None:
            self._held = io.StringIO()
            reporter._tw._file = self._held

    def watch(self, test):
        """End the job when this test isn't over after LIMIT_S."""
        self._timer = threading.Timer(LIMIT_S, self._end, (f"'{test}' isn't over after {LIMIT_S} s",))
        self._timer.name, self._timer.daemon = "watchdog", True
        self._timer.start()

    def finish(self, test, failure):
        """Every rank comes to the end of the test. After a failure the others get a short while only."""
        if not self.meet(_AFTER_FAILURE_S if failure else LIMIT_S):
            self._end(f"'{test}' failed here, and other ranks don't come to its end:\n{failure}" if failure else
                      f"'{test}' ended here, and other ranks don't come to its end")
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            self._timer = None

    def show(self, is_failed):
        """A quiet rank shows its report if something failed."""
        if is_failed:
            sys.__stderr__.write(f"\n--- rank {self.rank} of {self.size}\n{self._held.getvalue()}\n")
            sys.__stderr__.flush()

    def meet(self, limit_s=_AFTER_FAILURE_S):
        """Wait for the other ranks; False where they don't come."""
        request, deadline = self._comm.Ibarrier(), time.monotonic() + limit_s
        while not request.Test():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    def _end(self, why):
        sys.__stderr__.write(f"\nrank {self.rank} of {self.size} ends the job: {why}\n")
        sys.__stderr__.flush()
        time.sleep(_SAID_S)
        self._comm.Abort(1)
