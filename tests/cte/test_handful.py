"""Small blobs that are flushed together: with one write and one entry, whatever becomes of them meanwhile."""

import errno
import os
import threading
import time

import numpy as np
import pytest
from cte.proof.calls import Calls

from wrp.cte import handful, pieces
from wrp.cte.folder.replay import read_changes
from wrp.cte.records import RAM, full_name
from wrp.cte.targets import Wish
from wrp.errors import Corrupt, StoreError


def data(number, turn=0):
    return np.random.default_rng((number, turn)).integers(0, 256, number * 37 % 16_384 + 1, dtype=np.uint8).tobytes()


def dirty(store):
    return {record.name for record in store._catalog.scan(dirty=True)}


def assert_nothing_leaks(store):
    store.destroy("t")
    store.flush()
    for target in store.targets():
        assert target.remaining == target.capacity, target


def entries(store):
    return read_changes(store._parts.journal.path, whole=False)


def test_all_sizes_come_back(open_store):
    store = open_store(ram="32m")
    for turn in range(3):
        for number in range(0, 2000, turn + 1):
            store.put("t", f"b{number}", data(number, turn))
        store.put("t", "large", data(1, turn) * 100_000)
        store.flush()
        assert not dirty(store)
    found = {f"b{number}": data(number, max(turn for turn in range(3) if number % (turn + 1) == 0)) for number in range(2000)}
    store.close()
    store = open_store(ram="32m")
    for name, value in found.items():
        assert store.get("t", name) == value
    assert store.get("t", "large") == data(1, 2) * 100_000
    assert_nothing_leaks(store)


def test_many_take_one_write_and_one_entry(open_store):
    store = open_store()
    store.put("t", "first", b"x")
    store.flush()
    before = len(entries(store))
    for number in range(200):
        store.put("t", f"b{number}", data(number)[:4096])
    with Calls() as calls:
        store.flush()
    assert calls.count == 4             # bytes and their sync, the entry and its sync
    assert len(entries(store)) == before + 1 and not dirty(store)


def test_long_ones_take_one_entry(open_store):
    store = open_store()
    store.put("t", "first", b"x")
    store.flush()
    before = len(entries(store))
    for number in range(20):
        store.put("t", f"b{number}", data(number + 20) * LONG)
    with Calls() as calls:
        store.flush()
    assert calls.count == 23            # a write each, their sync, the entry and its sync
    assert len(entries(store)) == before + 1 and not dirty(store)


def test_what_lies_in_the_file_is_synced_and_written_down_only(open_store):
    store = open_store(ram=LITTLE)
    for turn in range(3):
        for number in range(20):
            store.put("t", f"b{number}", data(number + 20, turn) * LONG)
        before, in_ram = len(entries(store)), [info.tiers for info in store.infos("t").values()].count(("ram",))
        with Calls() as calls:
            store.flush()
        assert in_ram < 10 and not dirty(store)
        if turn:                        # the first entry has the tag
            assert calls.count == in_ram + 3 and len(entries(store)) == before + 1
            assert all(record.extents == record.durable for record in store._catalog.scan(tag="t") if record.extents[0][0])
    store.close()
    store = open_store(ram=LITTLE)
    assert all(store.get("t", f"b{number}") == data(number + 20, 2) * LONG for number in range(20))
    assert_nothing_leaks(store)


def test_what_leaves_the_file_before_its_turn_is_not_said_to_be_there(open_store, monkeypatch):
    """As a home that gets the bytes of a damaged blob back from its keeper does it; another blob has the place then."""
    store = open_store()
    store.put("t", "b", data(3) * LONG, min_persistence="only long_term")
    handfuls, record = store._flush._handfuls, store._catalog.find("t\0b")
    write_long = handfuls.write_long

    def moved(rows, target):
        assert store._moves.switch(record, pieces.write(store._tiers, data(3) * LONG, wish=Wish(target=RAM)))
        store.put("t", "other", data(4) * LONG, min_persistence="only long_term")
        return write_long(rows, target)
    monkeypatch.setattr(handfuls, "write_long", moved)
    store.flush()
    monkeypatch.setattr(handfuls, "write_long", write_long)
    store.flush()
    assert not dirty(store) and store._catalog.find("t\0b").durable[0][:2] != store._catalog.find("t\0other").durable[0][:2]
    store.close()
    store = open_store()
    assert store.get("t", "b") == data(3) * LONG and store.get("t", "other") == data(4) * LONG
    assert_nothing_leaks(store)


def test_between_blobs_the_file_has_zeros(open_store, folder):
    """Not what the memory of the flush had there before, of whatever blob or program: in an encrypted store it might be read."""
    store = open_store()
    store._flush._handfuls._buffer = np.full(1 << 20, 0xAA, np.uint8)
    for number in range(3):
        store.put("t", f"b{number}", bytes([number]) * 1000)
    store.flush()
    found = (folder / "data" / "0").read_bytes()[:3 * 4096]
    assert found == b"".join(bytes([number]) * 1000 + bytes(3096) for number in range(3))


LONG = 30                       # `data(number)` so many times is longer than a block
ROOM, LITTLE = "8m", "128k"     # of ram: for all; for few, so that the others lie in the file already
KINDS = [(1, ROOM), (LONG, ROOM), (LONG, LITTLE)]


@pytest.mark.parametrize("call, which, carried, kind", [
    ("pwrite", 1, 0, 0), ("pwrite", 2, 0, 0), ("fdatasync", 1, 0, 0), ("fdatasync", 2, 0, 0), ("pwrite", 1, 1 << 20, 0), ("pwrite", 2, 1 << 20, 0),
    ("fdatasync", 1, 1 << 20, 0), ("pwrite", 1, 0, 1), ("pwrite", 20, 0, 1), ("pwrite", 31, 0, 1), ("fdatasync", 1, 0, 1), ("fdatasync", 2, 0, 1),
    ("pwrite", 1, 0, 2), ("pwrite", 3, 0, 2), ("fdatasync", 1, 0, 2), ("fdatasync", 2, 0, 2)])
def test_what_fails_changes_nothing(open_store, monkeypatch, call, which, carried, kind):
    monkeypatch.setattr("wrp.cte.opening._CARRIED", carried)
    times, ram = KINDS[kind]
    store = open_store(ram=ram)
    for turn in range(2):
        for number in range(30):
            store.put("t", f"b{number}", data(number + 20, turn) * times)
        if not turn:
            store.flush()
    names, original, left = dirty(store), getattr(os, call), [which]

    def failing(*args):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.EIO, "Input/output error")
        return original(*args)
    before = [target.remaining for target in store.targets()]
    monkeypatch.setattr(os, call, failing)
    with pytest.raises(StoreError):
        store.flush()
    monkeypatch.setattr(os, call, original)
    assert dirty(store) == names and [target.remaining for target in store.targets()] == before
    store.flush()
    assert not dirty(store)
    store.close()
    store = open_store(ram=ram)
    assert all(store.get("t", f"b{number}") == data(number + 20, 1) * times for number in range(30))
    assert_nothing_leaks(store)


@pytest.mark.parametrize("becomes", [b"other", b"l" * 50_000, b"", None], ids=["small", "large", "empty", "nothing"])
@pytest.mark.parametrize("when", ["found", "written"])
@pytest.mark.parametrize("times, ram", KINDS)
def test_a_blob_that_changes_meanwhile(open_store, monkeypatch, becomes, when, times, ram):
    store = open_store(ram=ram)
    store.put("u", "first", bytes(100_000))
    for number in range(3):
        store.put("t", f"b{number}", data(number + 20) * times)
    owner, method = (store._catalog, "flushing") if when == "found" else (store._parts.journal, "add")
    original = getattr(owner, method)

    def change(*args):
        monkeypatch.undo()
        if becomes is None:
            store.delete("t", "b1")
        else:
            store.put("t", "b1", becomes)
        return original(*args)
    monkeypatch.setattr(owner, method, change)
    store.flush()
    store.flush()
    assert not dirty(store)
    store.close()
    store = open_store()
    assert store.get("t", "b0") == data(20) * times and store.get("t", "b2") == data(22) * times
    assert store.get("t", "b1") == becomes if becomes is not None else not store.exists("t", "b1")
    store.destroy("u")
    assert_nothing_leaks(store)


@pytest.mark.parametrize("times", [1, LONG])
def test_bytes_that_memory_has_changed_are_named(open_store, times):
    store = open_store()
    for number in range(5):
        store.put("t", f"b{number}", data(number + 100) * times)
    _, offset, _, _ = store._catalog.find(full_name("t", "b3")).extents[0]
    store._tiers.ram_bytes[offset] ^= 1
    with pytest.raises(Corrupt, match="blob 'b3' of tag 't' changed in memory"):
        store.flush()
    assert dirty(store) == {full_name("t", "b3")}
    store.put("t", "b3", b"anew")
    store.flush()
    assert not dirty(store)


def test_a_file_in_pieces_takes_them_one_by_one(open_store):
    store = open_store(ram="8m", file="1m")
    for number in range(256):
        store.put("t", f"b{number}", b"x" * 4096)
    store.flush()
    for number in range(0, 256, 2):
        store.delete("t", f"b{number}")
    store.flush()
    for number in range(0, 256, 2):
        store.put("t", f"b{number}", b"y" * 4096)
    store.flush()
    assert not dirty(store)
    store.close()
    store = open_store(ram="8m", file="1m")
    assert all(store.get("t", f"b{number}") == (b"x" if number % 2 else b"y") * 4096 for number in range(256))


def listed(store):
    """(small blobs that a look finds, long ones, the number of other dirty names)."""
    small, _, longs, others = store._flush._handfuls.find(1)
    return len(small), len(longs), others


def test_whatever_was_flushed_or_not_a_look_finds_all(open_store):
    """Those of late are remembered; when that isn't all of the dirty ones, a look goes through the records."""
    store = open_store(ram="16m")
    for number in range(300):
        store.put("t", f"b{number}", data(number))
    assert listed(store) == (300, 0, 1) == listed(store)           # more than are remembered; and a look that led to nothing
    store.flush()
    assert listed(store) == (0, 0, 0)
    for _ in range(3):
        for number in range(5):
            store.put("t", f"b{number}", data(number, 1))
    store.put("t", "large", bytes(100_000))
    assert listed(store) == (5, 1, 0) == listed(store)
    store.put("t", "b7", b"more")
    assert listed(store) == (6, 1, 0)
    store.delete("t", "b7"), store.delete("t", "b3"), store.put("t", "b8", b"in its place"), store.put("t", "b9" * 40, b"longer")
    assert listed(store) == (6, 1, 0)
    store.flush()
    assert listed(store) == (0, 0, 0) and not dirty(store)
    for number in range(128):
        store.put("t", f"b{number}", b"x" * 200), store.put("t", f"b{number}", b"y" * 300)
    assert listed(store) == (128, 0, 0)
    store.flush()
    assert not dirty(store)


def test_a_batch_frees_what_a_flush_has_promised_only_when_it_is_written(open_store, monkeypatch):
    store = open_store()
    store.put("t", "b", b"old" * 100)
    store.flush()
    store.put("t", "b", b"new" * 100)
    flush, tiers = store._flush, store._parts.tiers
    order, write, settle = [], tiers.write, tiers.settle

    def slow(*args):
        order.append("begins")
        other.start()
        time.sleep(0.3)
        order.append("ends")
        return write(*args)

    def replaced():
        with store.batch("replacing") as batch:
            batch.remove("t")

    def freed(extents):
        if any(extent[0] for extent in extents):
            order.append("freed")
        return settle(extents)

    other = threading.Thread(target=replaced)
    monkeypatch.setattr(tiers, "write", slow)
    monkeypatch.setattr(tiers, "settle", freed)
    flush.run()
    other.join()
    monkeypatch.undo()
    assert order[:2] == ["begins", "ends"] and "freed" in order[2:]
    assert not store.exists("t", "b")
    store.put("t", "b", b"again")
    assert_nothing_leaks(store)


@pytest.mark.parametrize("times, ram", KINDS)
def test_ctrl_c_in_a_promise_gives_nothing_back_that_was_promised(open_store, monkeypatch, times, ram):
    store = open_store(ram=ram)
    for number in range(20):
        store.put("t", f"b{number}", data(number + 20) * times)
    promise = handful._kernels.promise

    def interrupted(*args):
        promise(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(handful._kernels, "promise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.flush()
    monkeypatch.undo()
    for number in range(20):
        store.put("u", f"b{number}", data(number + 20, 1) * times)
    store.flush()
    store.close()
    store = open_store()
    for number in range(20):
        assert store.get("t", f"b{number}") == data(number + 20) * times and store.get("u", f"b{number}") == data(number + 20, 1) * times
