"""Calls of a store from handlers of signals: Python calls those in the middle of the main thread's calls of the same store."""
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from wrp.comm.ranks.solo import Solo
from wrp.cte import Store
from wrp.cte.organizing import Organizing
from wrp.cte.records import full_name
from wrp.errors import UsageError

_SECONDS, _EVERY_S = 2.0, 0.002


@pytest.fixture
def alarm():
    """alarm(handler): it is called again and again, each time so long after it has returned that what it interrupts gets on."""
    def again(handler):
        handler()
        signal.setitimer(signal.ITIMER_REAL, _EVERY_S)

    def begin(handler):
        signal.signal(signal.SIGALRM, lambda *_: again(handler))
        signal.setitimer(signal.ITIMER_REAL, _EVERY_S)
    yield begin
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


@pytest.mark.parametrize("folder", ["none", "folder"])
def test_what_a_handler_puts_never_gets_into_what_it_interrupts(folder, tmp_path, alarm):
    """What the handler calls is done, or refused where it would wait for the call that it has interrupted; nothing is lost, given back twice or waited for."""
    done, refused = [], []
    with Store.open(str(tmp_path / "store") if folder == "folder" else None, Solo()) as store:
        remaining = store.targets()[0].remaining

        def handler(*_):
            blob, data = f"own{len(done) % 7}", b"h" * (300_000 if len(done) % 3 == 0 else 100 + 13 * len(done) % 3000)
            try:
                store.put("h", blob, data)
                assert store.get("h", blob) == data
                if len(done) % 20 == 0:
                    store.flush()
                done.append(blob)
            except UsageError as error:
                refused.append(str(error))
        _work(store, 1)
        handler()
        alarm(handler)
        end, number = time.monotonic() + _SECONDS, 0
        while time.monotonic() < end:
            number += 1
            _work(store, number)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        for tag in ("t", "h"):
            store.destroy(tag)
        store.flush()
        store._tiers.blocks.shrink()
        assert store.targets()[0].remaining == remaining
    assert len(done) > 10 and all("In a handler of a signal, set a flag" in sentence for sentence in refused)


def _work(store, number):
    blob, data = f"b{number % 5}", bytes([number % 256]) * (1000 + 37 * number % 5000)
    store.put("t", blob, data)
    assert store.get("t", blob) == data
    if number % 3 == 1:
        store.put("t", "large", data[:1] * 300_000)
        assert store.get("t", "large") == data[:1] * 300_000
    if number % 70 == 1:
        rows = np.full((3, 2000), number % 256, np.uint8)
        store.put_many("t", ["m1", "m2", "m3"], rows)
        found = np.zeros_like(rows)
        store.get_many("t", ["m1", "m2", "m3"], out=found)
        assert (found == rows).all()
    if number % 90 == 1:
        store.delete("t", blob)
    if number % 400 == 1:
        store.flush()


@pytest.mark.parametrize("nbytes", [300_000, 9000])
def test_space_that_a_handler_replaces_in_the_middle_of_a_call_is_free_after_it(nbytes):
    """Giving back is never refused: the put is done then, and nobody else would do it."""
    with Store.open(None, Solo()) as store:
        tiers = store._tiers
        remaining = store.targets()[0].remaining
        store.put("t", "b", b"l" * nbytes)
        record = store._catalog.find(full_name("t", "b"))
        store._catalog.remove(record.name)
        with tiers.ram._lock, tiers.blocks._held():
            tiers.give_back(record.extents)         # as a put that replaced it
        store.destroy("t")
        tiers.blocks.shrink()
        assert store.targets()[0].remaining == remaining


def test_a_put_in_the_middle_of_a_lease_is_done():
    with Store.open(None, Solo()) as store:
        remaining = store.targets()[0].remaining
        store.put("t", "other", b"x" * 100)         # there is a page for blocks
        store.put("t", "b", b"l" * 300_000)
        with store._tiers.ram._lock:
            store.put("t", "b", b"s" * 100)
        assert store.get("t", "b") == b"s" * 100
        store.destroy("t")
        store._tiers.blocks.shrink()
        assert store.targets()[0].remaining == remaining


def test_a_put_that_is_refused_behind_a_block_given_back_leaves_the_block_free_once():
    """The handler doesn't catch the refusal: it comes out of the call, which goes on with the next one."""
    with Store.open(None, Solo()) as store:
        tiers, remaining = store._tiers, store.targets()[0].remaining
        store.put("t", "other", b"o" * 1000)
        for number in range(4):
            store.put("d", f"b{number}", bytes([number]) * 1000)
        before, give = signal.signal(signal.SIGALRM, lambda *_: store.put("t", "own", b"h" * 1000)), tiers.blocks._give

        def given(*args):
            code, tiers.blocks._give = give(*args), give
            signal.raise_signal(signal.SIGALRM)
            return code
        tiers.blocks._give = given
        try:
            with pytest.raises(UsageError, match="In a handler of a signal, set a flag"):
                store.destroy("d")
        finally:
            signal.signal(signal.SIGALRM, before)
        store.put("t", "A", b"A" * 1000)
        store.delete("t", "other")
        for blob in "BCDEFG":
            store.put("t", blob, blob.encode() * 1000)
        assert [store.get("t", blob) for blob in "ABCDEFG"] == [blob.encode() * 1000 for blob in "ABCDEFG"]
        store.destroy("t")
        tiers.blocks.shrink()
        assert store.targets()[0].remaining == remaining


_BOTH = """
import gc, sys, threading
from wrp.comm.ranks.solo import Solo
from wrp.cte import Store

class Cycle:
    def __init__(self, place):
        self.place, self.own = place, self

with Store.open(None, Solo()) as store:
    tiers, begun = store._tiers, threading.Event()
    remaining = tiers.ram.remaining
    nbytes = int(sys.argv[2])
    for blob in ("own", "other"):
        store.put("t", blob, bytes(nbytes))
    free_last = tiers._free_last
    tiers._free_last = lambda rest: begun.set() or free_last(rest)
    other = threading.Thread(target=store.delete, args=("t", "other"))
    dropped = Cycle(store.reserve("t", "r", 100_000)) if sys.argv[1] == "finalizer" else None
    with tiers.ram._lock if nbytes > 16384 or dropped else tiers.blocks._held():
        other.start()
        assert begun.wait(10)
        if dropped is None:
            store.delete("t", "own")
        del dropped
        gc.collect()
    other.join()
    store.destroy("t")
    tiers.blocks.shrink()
    assert tiers.ram.remaining == remaining
"""


@pytest.mark.parametrize("what, nbytes", [("handler", 300_000), ("handler", 1000), ("finalizer", 300_000)])
def test_two_threads_that_give_back_never_wait_for_each_other(what, nbytes):
    """One gives back, and waits for a lease; in the middle of that comes a handler that deletes a blob, or the collector finds a reservation."""
    done = subprocess.run([sys.executable, "-c", _BOTH, what, str(nbytes)], capture_output=True, text=True, timeout=30)
    assert not done.returncode, done.stderr


def test_an_organizer_that_a_handler_asks_in_the_middle_of_its_look_says_so(tmp_path):
    config, told = tmp_path / "conf.yaml", []
    config.write_text("storage: [{path: 'ram::test', bdev_type: ram, capacity_limit: 8m}, {path: data, bdev_type: file, capacity_limit: 64m}]\n"
                      "performance: {organizer: lru, organizer_period_ms: 3600000}\n")
    with Store.open(tmp_path / "store", Solo(), config) as store:
        def comes(frame, event, arg):
            if frame.f_code is Organizing._news.__code__:
                sys.settrace(None)
                signal.raise_signal(signal.SIGALRM)

        def handler(*_):
            try:
                store.organize()
            except UsageError as error:
                told.append(str(error))

        before = signal.signal(signal.SIGALRM, handler)
        sys.settrace(comes)
        try:
            looks = store.organize().looks
        finally:
            sys.settrace(None)
            signal.signal(signal.SIGALRM, before)
        assert len(told) == 1 and "in the middle of a call that has the organizer" in told[0] and looks == 1
        assert store.organize().looks == 2
