"""Calls that take long let other threads of Python run: none holds the interpreter while it copies, waits for storage, or waits for a blob."""

import sys
import threading
import time

import pytest

from wrp.errors import WaitTimeout

MIB = 1 << 20


@pytest.fixture
def counting():
    """A function: how often another thread came to run during a call. It gets the interpreter only where the call lets go of it by itself."""
    before, stop, go, over, count = sys.getswitchinterval(), threading.Event(), threading.Event(), threading.Event(), [0]

    def run():
        while go.wait() and not stop.is_set():
            while not over.is_set():
                count[0] += 1
                time.sleep(0)
            over.clear()
            go.clear()          # from here on the next call may begin

    def during(function):
        try:
            count[0] = 0
            go.set()
            function()
            return count[0]
        finally:
            over.set()
            while go.is_set():
                time.sleep(0.001)
    thread = threading.Thread(target=run)
    sys.setswitchinterval(100)          # before the thread begins: it waits as long as was said when it began to
    try:
        thread.start()
        yield during
        stop.set()
        go.set()
        thread.join()
    finally:
        sys.setswitchinterval(before)


def test_python_alone_lets_nobody_run(counting):
    assert not _lets_run(counting, lambda: [number * number for number in range(300_000)], tries_s=0.2)


def _lets_run(counting, call, tries_s=5):
    """Whether the other thread comes to run during one of many calls: on a machine with much to do it may get no core during a short one."""
    over_at = time.monotonic() + tries_s
    while not (ran := counting(call)) and time.monotonic() < over_at:
        pass
    return ran > 0


def test_calls_that_take_long_let_others_run(counting, open_store):
    store = open_store(ram="64m", file="128m")
    data, out = bytes(16 * MIB), bytearray(16 * MIB)

    def waiting():
        with pytest.raises(WaitTimeout):
            store.wait("t", "no", 0.02)
    calls = {"put": lambda: store.put("t", "b", data), "get into a buffer": lambda: store.get("t", "b", out=out), "get": lambda: store.get("t", "b"),
             "put_many": lambda: store.put_many("t", ["c", "d"], [data[:4 * MIB]] * 2), "flush": store.flush, "wait": waiting,
             "compress": lambda: store.put("t", "z", data, compression="zlib"), "move": lambda: store.move("t", "b", "file") and store.move("t", "b", "ram")}
    silent = [name for name, call in calls.items() if not _lets_run(counting, call)]
    assert not silent
