"""Threads that work by themselves: they end when they are told, also where a handler of a signal came as they began."""

import sys
import threading

import pytest

from wrp.cte.background import Background, stop_each
from wrp.errors import WaitTimeout


class Handled(Exception):
    pass


def test_one_that_a_handler_kept_from_beginning_is_not_waited_for():
    def at_its_start(frame, event, arg):
        if frame.f_code is threading.Thread.start.__code__:
            sys.settrace(None)
            raise Handled

    background, begun = Background("wrp-test"), threading.Event()
    sys.settrace(at_its_start)
    try:
        with pytest.raises(Handled):
            background.start(begun.set)
    finally:
        sys.settrace(None)
    stopping = threading.Thread(target=background.stop, args=(60,), daemon=True)
    stopping.start()
    stopping.join(20)
    assert not stopping.is_alive() and not begun.is_set()


def test_one_that_has_begun_ends_before_stop_returns():
    background, ended = Background("wrp-test"), []

    def work():
        while background.naps(60):
            pass
        ended.append(threading.current_thread())

    background.start(work)
    background.stop(60)
    assert not any(thread.is_alive() for thread in ended) and not any(thread.name == "wrp-test" for thread in threading.enumerate())


def test_all_are_told_to_end_though_one_does_not():
    class Part:
        def __init__(self, name, work):
            self.thread, self.answers = Background(name), threading.Event()
            self.thread.start(work, self)

        def stop(self):
            self.thread.stop(0.1 if self is stuck else 60)

    stuck = Part("wrp-stuck", lambda part: part.answers.wait())
    other = Part("wrp-test", lambda part: part.thread.naps(60))
    try:
        with pytest.raises(WaitTimeout, match="the thread wrp-stuck of process .* hasn't ended within 0.1 s"):
            stop_each([stuck, other])
        assert other.thread.is_stopped and not any(thread.name == "wrp-test" for thread in threading.enumerate())
    finally:
        stuck.answers.set()
        stop_each([stuck])
