"""A record whose caller gave up goes to one call later, wherever a signal's handler raises an error meanwhile."""
import signal
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
from harness.interrupting import interrupted_at
from wrp.runtime import tasks
from wrp.runtime.daemon.calling import _again


class _Late(Exception):
    """Of the handler."""


class _Interrupted(deque):
    """Whose first append a signal's handler ends, after it has happened."""

    is_armed = True

    def append(self, record):
        super().append(record)
        if self.is_armed:
            self.is_armed = False
            signal.raise_signal(signal.SIGUSR1)


def test_no_record_is_lost_wherever_it_is_interrupted():
    memory = np.full(64, tasks.DONE + 1, np.int64)
    step = 1
    while True:
        attached = SimpleNamespace(address=memory.ctypes.data, _abandoned=deque([64, 128]))
        if not interrupted_at(step, lambda: _again(attached)):
            break
        assert sorted(attached._abandoned) == [64, 128], step
        step += 1
    assert step > 2


def test_a_record_is_given_to_one_call():
    def late(*_):
        raise _Late
    before = signal.signal(signal.SIGUSR1, late)
    try:
        memory = np.full(64, tasks.DONE + 1, np.int64)
        attached = SimpleNamespace(address=memory.ctypes.data, _abandoned=_Interrupted([64, 128]))
        with pytest.raises(_Late):
            _again(attached)
        assert sorted(attached._abandoned) == [64, 128]
        memory[:] = tasks.DONE
        assert sorted([_again(attached), _again(attached)]) == [64, 128] and _again(attached) is None
    finally:
        signal.signal(signal.SIGUSR1, before)
