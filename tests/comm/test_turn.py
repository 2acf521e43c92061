"""Locks that say when a thread would wait for itself, and what a call has to itself."""
import threading

import pytest

from wrp.comm.turn import Spares, Turn
from wrp.errors import UsageError


def test_a_thread_is_told_instead_of_waiting_for_itself_and_others_wait():
    turn, seen = Turn(), []
    with turn.of("the journal"):
        with pytest.raises(UsageError, match="has the journal already.*In a handler of a signal, set a flag"):
            turn.of("the journal")
        other = threading.Thread(target=lambda: seen.append(turn.of("the journal").acquire(timeout=0.01)))
        other.start()
        other.join()
    assert seen == [False]
    with turn.of("the journal"):
        pass


def test_who_comes_in_the_middle_finds_another_thing_and_threads_have_their_own():
    spares, found = Spares(list), []
    first = spares.take()
    second = spares.take()
    assert first is not second
    spares.give(second)
    assert spares.take() is second
    spares.give(first)
    other = threading.Thread(target=lambda: found.append(spares.take()))
    other.start()
    other.join()
    assert found[0] is not first and spares.take() is first
