"""Ranges on their way, checked as they come: by one thread, or by two that take turns."""

import _thread
import signal
import threading
import time

import pytest
from harness.interrupting import interrupted_at

from wrp.comm.arrivals import checked
from wrp.comm.checksum import crc32
from wrp.errors import WaitTimeout

_LONG = 5 << 20


def test_each_has_the_checksum_of_what_came():
    outs = [bytearray(3 << 20) for _ in range(7)]

    def arrival(number):
        def wait():
            outs[number][:] = bytes([number]) * len(outs[number])
        return wait
    assert checked([(arrival(number), out) for number, out in enumerate(outs)]) == [crc32(bytes([number]) * (3 << 20)) for number in range(7)]
    assert checked([]) == []


def test_two_threads_wait_for_long_ones_and_one_for_short_ones():
    threads, second = [], threading.Event()

    def first():
        threads.append(threading.get_ident())
        assert second.wait(10) or len(threads) == 1

    def other():
        threads.append(threading.get_ident())
        second.set()
    assert checked([(first, bytes(_LONG)), (other, bytes(_LONG))]) == [crc32(bytes(_LONG))] * 2
    assert len(set(threads)) == 2
    threads.clear()
    assert checked([(other, b"a"), (other, b"b")]) == [crc32(b"a"), crc32(b"b")]
    assert set(threads) == {threading.get_ident()}


def test_after_an_error_nothing_begins_and_nothing_runs():
    running, begun, refused = threading.Event(), [], threading.Event()

    def late():
        running.set()
        refused.wait(10)

    def refuse():
        running.wait(10)
        refused.set()
        raise WaitTimeout("nobody sends")
    with pytest.raises(WaitTimeout, match="nobody sends"):
        checked([(late, bytes(_LONG)), (refuse, bytes(_LONG)), *[(lambda: begun.append(1), bytes(1))] * 50])
    assert len(begun) < 50


def test_nothing_waits_for_a_thread_that_has_not_begun(monkeypatch):
    late = []
    monkeypatch.setattr(_thread, "start_new_thread", lambda function, arguments: late.append((function, arguments)))
    assert checked([(lambda: None, bytes(_LONG))] * 3) == [crc32(bytes(_LONG))] * 3
    [(function, arguments)] = late
    function(*arguments)            # finds nothing to do, and returns


def test_where_no_thread_can_start_one_thread_waits():
    before = threading.stack_size(1 << 46)          # more than there are addresses
    try:
        assert checked([(lambda: None, bytes(_LONG))] * 3) == [crc32(bytes(_LONG))] * 3
    finally:
        threading.stack_size(before)


def test_an_error_of_wrp_that_a_signal_handler_raises_as_the_thread_begins_passes(monkeypatch):
    start, running = _thread.start_new_thread, threading.Event()

    def handler(*_):
        raise WaitTimeout("the program's alarm")

    def interrupted(*args):
        start(*args)
        running.wait(10)
        signal.raise_signal(signal.SIGUSR1)
    before = signal.signal(signal.SIGUSR1, handler)
    monkeypatch.setattr(_thread, "start_new_thread", interrupted)
    try:
        with pytest.raises(WaitTimeout, match="the program's alarm"):
            checked([(running.set, bytes(_LONG))] * 3)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_nothing_runs_any_more_after_an_error_of_a_signal_handler_at_whatever_step():
    step, running, data = 1, set(), bytes(_LONG)

    def arrival():
        running.add(threading.get_ident())
        time.sleep(1e-3)
        running.discard(threading.get_ident())
    while interrupted_at(step, lambda: checked([(arrival, data)] * 4)):
        assert running <= {threading.get_ident()}   # whose step may be the one before it isn't running any more
        step += 1
    assert step > 20
