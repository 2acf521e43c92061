"""Children made by fork, which share what their parent has mapped."""
import os
import signal
import time
import traceback

import pytest

_LIMIT_S = 30


class Child:
    """A forked process that calls `function` and ends; `join` gives its exit status, a signal as a negative number."""

    def __init__(self, function):
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                function()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        self.code = None

    def join(self):
        deadline = time.monotonic() + _LIMIT_S
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"The child {self.pid} ran longer than {_LIMIT_S} s.")
            else:
                time.sleep(0.002)
        return self.code

    def kill(self):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def fork():
    """fork(function) -> Child; those still running at the end of the test are killed."""
    children = []

    def make(function):
        children.append(Child(function))
        return children[-1]

    yield make
    for child in children:
        child.kill()


@pytest.fixture
def segment():
    """A private segment of 16 MiB."""
    from wrp.comm.segment import Segment
    with Segment.private(16 << 20) as made:
        yield made
