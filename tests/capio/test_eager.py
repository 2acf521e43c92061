"""Staying awake between questions: only where they come in quick succession, and never for long. By a clock that the tests turn."""

import os
import select

import pytest

from wrp.capio.server.eager import Eager

_LOOK_S = 10e-6


class Place:
    """`eager`, by a clock that each look turns by `look_s`; `ring` gives it something to do; `rings_after`: looks after which it does that by itself."""

    def __init__(self):
        self.now, self.look_s, self.looks, self.rings_after = 1000.0, _LOOK_S, 0, None
        self._poll, (self._read, self._write) = select.epoll(), os.pipe()
        self._poll.register(self._read, select.EPOLLIN)
        self.eager = Eager(self._look, lambda: self.now)

    def _look(self, timeout_s):
        self.now += self.look_s
        self.looks += 1
        if self.looks == self.rings_after:
            self.ring()
        return self._poll.poll(timeout_s)

    def ring(self):
        os.write(self._write, b"q")

    def ask(self, times, after_s=1e-6):
        for _ in range(times):
            self.now += after_s
            self.eager.asked(self.now)

    def close(self):
        self._poll.close()
        os.close(self._read)
        os.close(self._write)


@pytest.fixture
def place():
    found = Place()
    yield found
    found.close()


def test_one_question_alone_keeps_nobody_awake(place):
    assert not place.eager.comes()
    place.ask(1)
    place.ring()
    assert not place.eager.comes() and not place.looks        # it is for the poll that sleeps


def test_questions_that_come_seldom_keep_nobody_awake(place):
    place.ask(3, after_s=0.0011)
    place.ring()
    assert not place.eager.comes() and not place.looks


@pytest.mark.parametrize("after", [1, 40])
def test_questions_in_quick_succession(place, after):
    place.ask(2)
    place.rings_after = after
    assert place.eager.comes() and place.looks == after


def test_it_ends_without_a_question(place):
    place.ask(2)
    assert not place.eager.comes() and 0.0005 <= place.looks * _LOOK_S < 0.0006
    looks = place.looks
    assert not place.eager.comes() and place.looks == looks


def test_a_short_interruption_is_nobody_who_wants_the_core(place):
    place.ask(2)
    place.look_s, place.rings_after = 100e-6, 3
    assert place.eager.comes() and place.looks == 3


def test_it_leaves_the_core_to_others(place):
    """Who yields comes after those who don't: after one long look it sleeps for a while, whatever is asked; then it may stay awake again."""
    place.ask(2)
    place.look_s = 400e-6           # as when another process has had the core meanwhile
    assert not place.eager.comes() and place.looks == 1
    place.look_s = _LOOK_S
    place.ask(2)
    place.ring()
    assert not place.eager.comes() and place.looks == 1
    place.now += 0.02
    place.ask(2)
    assert place.eager.comes()
