"""Staying awake between questions: only where they come in quick succession, and never for long."""

import os
import select
import time

import pytest

from wrp.capio.server.eager import Eager


@pytest.fixture
def bell():
    """(an epoll, what rings it)."""
    poll, (read, write) = select.epoll(), os.pipe()
    poll.register(read, select.EPOLLIN)
    yield poll, lambda: os.write(write, b"q")
    poll.close()
    os.close(read)
    os.close(write)


def test_one_question_alone_keeps_nobody_awake(bell):
    poll, ring = bell
    eager = Eager(poll.poll)
    assert not eager.comes()
    eager.asked(time.monotonic())
    ring()
    assert not eager.comes()        # it is for the poll that sleeps


def test_questions_in_quick_succession(bell):
    poll, ring = bell
    eager, at = Eager(poll.poll), time.monotonic()
    eager.asked(at)
    eager.asked(at + 1e-6)
    ring()
    assert eager.comes()


def test_it_ends_without_a_question(bell):
    eager, at = Eager(bell[0].poll), time.monotonic()
    eager.asked(at)
    eager.asked(at + 1e-6)
    assert not eager.comes()
    assert not eager.comes()
    assert time.monotonic() - at < 1


def test_it_leaves_the_core_to_others(bell):
    """Who yields comes after those who don't: after one long look it sleeps for a while, whatever is asked."""
    poll, ring = bell

    def slow(timeout_s):
        time.sleep(0.001)           # as when another process has had the core meanwhile
        return poll.poll(timeout_s)

    eager, at = Eager(slow), time.monotonic()
    eager.asked(at)
    eager.asked(at + 1e-6)
    assert not eager.comes()
    for _ in range(2):
        eager.asked(time.monotonic())
    ring()
    assert not eager.comes()
