"""Whose turn it is to start a server, where several want one at once."""

import fcntl
import os

import pytest

from wrp.capio.commands import launching
from wrp.comm import names
from wrp.errors import WaitTimeout


def test_who_is_halted_in_its_turn_keeps_no_other_for_ever(monkeypatch):
    monkeypatch.setattr(launching, "_TURN_S", 0.1)
    halted = os.open(names.folder(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(halted, fcntl.LOCK_EX)
        with pytest.raises(WaitTimeout, match="waited 0.1 s for another 'capio run' of this user"), launching._starting():
            pass
    finally:
        os.close(halted)
    with launching._starting():
        pass
