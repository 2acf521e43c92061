"""The short way: what it does is what the long way does; together they lose nothing, however many threads there are."""

import threading
import time

import numpy as np
import pytest

from wrp.comm import lock
from wrp.cte.blocks import LARGEST
from wrp.errors import Corrupt, NoSuchBlob

SIZES = [1, 127, 128, 4096, LARGEST, LARGEST + 1, 200_000, 5 << 20]


@pytest.mark.parametrize("nbytes", SIZES)
def test_both_ways_are_one(open_store, monkeypatch, nbytes):
    store = open_store(memory=True, ram="32m")
    data = np.random.default_rng(nbytes).integers(0, 256, nbytes, dtype=np.uint8)
    for short_put in (True, False, True):
        direct = store._direct
        store._direct = direct if short_put else None
        store.put("t", "b", data, score=0.5)
        store._direct = direct
        got = store.get("t", "b"), bytes(store.view("t", "b"))
        info = store.info("t", "b")
        store._direct = None
        assert got == (data.tobytes(),) * 2 and store.get("t", "b") == data.tobytes()
        assert (info.size, info.score, info.checksum) == (nbytes, 0.5, store.info("t", "b").checksum)
        store._direct = direct
        out = np.zeros(nbytes, np.uint8)
        assert store.get("t", "b", out=out) == nbytes and (out == data).all()
        assert store.get("t", "b", nbytes // 2, out=out[nbytes // 2:]) == nbytes - nbytes // 2
        data = data[::-1].copy()


def test_small_puts_take_the_short_way(open_store, monkeypatch):
    store = open_store(memory=True)
    store.put("t", "b", b"first")

    def fail(*_, **__):
        raise AssertionError("the long way")
    for owner, name in ((store._changes, "publish"), (store._changes, "modify"), (store, "_record")):
        monkeypatch.setattr(owner, name, fail)
    for number in range(100):
        store.put("t", f"b{number}", b"%d" % number * 100)
        store.put("t", f"b{number}", b"%d" % number)
        assert store.get("t", f"b{number}") == bytes(store.view("t", f"b{number}")) == b"%d" % number
        assert store.get("t", f"b{number}", out=bytearray(1)) == 1
    monkeypatch.undo()


def test_while_another_has_the_token(open_store):
    store = open_store(memory=True)
    store.put("t", "b", b"first")
    for token in (store._catalog._token, store._tiers.blocks._token):
        threads = [threading.Thread(target=store.put, args=("t", "b", b"second")), threading.Thread(target=store.view, args=("t", "b"))]
        with token.held():
            for thread in threads:
                thread.start()
            time.sleep(0.05)
            assert store.get("t", "b") in (b"first", b"second")
        for thread in threads:
            thread.join()
        assert store.get("t", "b") == b"second"
    assert lock.token_take(store._tiers.blocks.at, 1) == 0


def test_changed_ram_is_never_returned(open_store):
    store = open_store(memory=True)
    store.put("t", "b", b"x" * 5000)
    store._tiers.ram_bytes[store._catalog.find("t\0b").extents[0][1] + 7] = 0
    for call in (lambda: store.get("t", "b"), lambda: store.get("t", "b", out=bytearray(5000))):
        with pytest.raises(Corrupt, match="'b' of tag 't'"):
            call()


def test_reads_count_and_times_survive(open_store):
    store = open_store()
    before = time.time_ns()
    store.put("t", "b", b"x" * 100)
    first = store._catalog.find("t\0b")
    assert before <= first.created == first.stamp and first.reads == 0
    store.get("t", "b"), store.view("t", "b"), store.get("t", "b", out=bytearray(100))
    store.put("t", "b", b"y" * 50)
    second = store._catalog.find("t\0b")
    assert second.created == first.created < second.stamp and second.reads == 3 and second.read >= second.created
    store.close()
    third = open_store()._catalog.find("t\0b")
    assert third[:6] == second[:6] and (third.created, third.read, third.reads) == (second.created, second.read, 3)


@pytest.mark.parametrize("nbytes", [300, 30_000])
def test_threads_on_the_same_blobs(open_store, nbytes):
    """Every get is the bytes of one put; nothing leaks."""
    store = open_store(ram="8m")
    wrong, end = [], time.monotonic() + 1.5

    def work(number):
        turn = 0
        while time.monotonic() < end:
            turn += 1
            name = f"b{turn % 3}"
            store.put("t", name, bytes([number * 60 + turn % 60]) * nbytes)
            try:
                got = store.get("t", name)
                seen = np.zeros(nbytes, np.uint8)
                store.get("t", name, out=seen)
                if turn % 7 == number:
                    store.delete("t", name)
                if turn % 50 == 0:
                    store.flush()
            except NoSuchBlob:
                continue
            if got != got[:1] * nbytes or (seen != seen[0]).any():
                wrong.append((number, turn))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    store.destroy("t")
    store.flush()
    assert all(store._tiers.free(target) == store._tiers.device(target).capacity for target in (0, 1))
