"""Puts beyond the ram, which go into the file itself: a full ram is asked once, and again as soon as something has left it. Gets from there."""

import os

import numpy as np
import pytest

from wrp.comm.checksum import crc32
from wrp.comm.filed import Room
from wrp.comm.streaming import address_of
from wrp.cte import pieces
from wrp.cte.changes import Changes
from wrp.cte.telemetry.counters import COUNTED_FILES
from wrp.cte.tiers import content, space
from wrp.cte.tiers.open import Open, open_fetch
from wrp.errors import Corrupt, OutOfSpace, StoreError

MIB = 1 << 20


def data_of(number):
    return bytes([number]) * MIB


@pytest.fixture
def store(open_store, monkeypatch):
    """Ram for two blobs of 1 MiB, a file for many. No refusal of the ram is asked about again just because time has passed."""
    monkeypatch.setattr(space, "_REMEMBERED_S", 60)
    return open_store(ram="2m", file="64m")


def fill(store, count=6, tag="t"):
    for number in range(count):
        store.put(tag, f"b{number}", data_of(number))


def tiers_of(store, tag="t"):
    return [info.tiers for info in store.infos(tag).values()]


def test_a_full_ram_is_asked_once(store):
    asked, run = [], store._tiers.make_room
    store._tiers.make_room = lambda nbytes: asked.append(nbytes) or run(nbytes)
    fill(store, 12)
    assert tiers_of(store) == 2 * [("ram",)] + 10 * [("file",)] and asked == [MIB]
    # a smaller blob may fit where that didn't
    store.put("t", "small", bytes(100 << 10))
    assert asked == [MIB, 100 << 10]


@pytest.mark.parametrize("leave", [lambda store: store.delete("t", "b1"), lambda store: store.put("t", "b1", b""),
                                   lambda store: store.move("t", "b1", "file"), lambda store: store.flush()], ids=["delete", "replace", "move", "flush"])
def test_what_leaves_the_ram_makes_room_at_once(store, leave):
    fill(store)
    leave(store)
    store.put("u", "next", data_of(7))
    assert store.info("u", "next").tiers == ("ram",) and store.get("u", "next") == data_of(7)
    assert store.get("t", "b0") == data_of(0) and store.get("t", "b5") == data_of(5)


def test_a_view_that_ends_makes_room_at_once(store):
    fill(store)
    view = store.view("t", "b0")
    store.delete("t", "b0")
    fill(store, 2, "u")
    assert tiers_of(store, "u") == 2 * [("file",)] and view[:MIB] == data_of(0)
    view.release()
    fill(store, 1, "u")
    assert tiers_of(store, "u") == [("ram",), ("file",)]


def test_a_ram_that_refused_is_asked_again_before_a_put_is_refused(store):
    fill(store, 2)
    store.flush()
    views = [store.view("t", f"b{number}") for number in range(2)]
    with pytest.raises(OutOfSpace, match=r"(?s)file.*ram|ram.*file"):
        for number in range(100):
            store.put("u", f"b{number}", data_of(number))
    for view in views:
        view.release()
    # nothing in the ram was replaced or given back, but what is there may be given up
    store.put("u", "last", data_of(9))
    assert store.info("u", "last").tiers == ("ram",)
    assert all(store.get("u", f"b{n}") == data_of(n) for n in range(len(store.list("u")) - 1)) and store.get("t", "b1") == data_of(1)
    store.destroy("u")                  # the file has no room for what is in ram alone


SIZES = [300, MIB, 9 * MIB]             # a block of ram, an extent, three of them


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("after", SIZES)
@pytest.mark.parametrize("before", SIZES)
def test_a_blob_in_files_is_replaced_without_the_long_way(store, monkeypatch, before, after, flushed):
    fill(store, 2, "full")
    store.put("t", "first", b"")
    publish, long_ways = Changes.publish, []
    monkeypatch.setattr(Changes, "publish", lambda *args, **more: long_ways.append(args) or publish(*args, **more))
    for number in range(3):
        store.put("t", f"b{number}", bytes([number]) * before)
    if flushed:
        store.flush()
        store.delete("full", "b0")              # a new blob may come into ram
    for number in range(3):
        store.put("t", f"b{number}", bytes([number + 3]) * after)
        assert store.get("t", f"b{number}") == bytes([number + 3]) * after
    assert not long_ways
    if flushed:                                 # the journal's bytes are there until it names others
        named = [extent for record in store._catalog.scan(tag="t") for extent in record.durable]
        assert sum(extent[2] for extent in named) == 3 * before and len(set(named)) == len(named)
    store.flush()
    assert all(store.get("t", f"b{number}") == bytes([number + 3]) * after for number in range(3))
    for tag in ("t", "full"):
        store.destroy(tag)
    store.flush()
    assert all(target.remaining == target.capacity for target in store.targets())


@pytest.mark.parametrize("place, flags, kind", [("/dev/full", os.O_WRONLY, OutOfSpace), ("/dev/null", os.O_RDONLY, StoreError)], ids=["full", "refused"])
def test_a_file_that_takes_no_bytes_keeps_what_was(store, place, flags, kind):
    fill(store, 4)
    before, descriptor = [target.remaining for target in store.targets()], store._tiers.device(1).descriptor
    kept, other = os.dup(descriptor), os.open(place, flags)
    os.dup2(other, descriptor)
    try:
        with pytest.raises(kind, match="data/0 can't be written"):
            store.put("t", "b3", data_of(9))
    finally:
        os.dup2(kept, descriptor)
        os.close(kept), os.close(other)
    assert store.get("t", "b3") == data_of(3) and [target.remaining for target in store.targets()] == before
    store.put("t", "b3", data_of(9))
    assert store.get("t", "b3") == data_of(9)


def test_the_storage_begins_early_for_those_who_flush(store, monkeypatch):
    begun = []
    monkeypatch.setattr(content, "begin_sync", lambda descriptor, offset, nbytes: begun.append(nbytes))
    monkeypatch.setattr(content, "_AHEAD", 5 * MIB)
    fill(store, 12)
    assert not begun
    store.flush()
    fill(store, 12, "u")                        # two of them go to ram, for which old ones leave it
    assert begun == 5 * [MIB]                   # the others may be replaced before anybody flushes
    store.flush()
    fill(store, 6, "u")
    assert len(begun) == 9


def test_gets_from_a_file_that_is_open_take_no_record_apart(store, monkeypatch):
    fill(store)
    for number in range(6):
        assert store.get("t", f"b{number}") == data_of(number)
    monkeypatch.setattr(pieces, "read", None)
    out = np.zeros(MIB + 100, np.uint8)
    for number in range(6):
        assert store.get("t", f"b{number}") == data_of(number)
        for place in (0, 1, 16, 100):
            assert store.get("t", f"b{number}", out=out[place:place + MIB]) == MIB and (out[place:place + MIB] == number).all()
    assert [bytes(row) for row in store.get_many("t", ["b1", "b5"])] == [data_of(1), data_of(5)]


def test_a_changed_byte_of_a_file_that_is_open_is_told(store):
    fill(store)
    assert store.get("t", "b5") == data_of(5)
    (_, place, _), = store.extents("t", "b5")
    os.pwrite(store._tiers.device(1).descriptor, b"\7", place + 1000)
    for call in (lambda: store.get("t", "b5"), lambda: store.get("t", "b5", out=bytearray(MIB)), lambda: store.get("t", "b5", 10, 10)):
        with pytest.raises(Corrupt, match="b5"):
            call()
    assert store.get("t", "b4") == data_of(4)


def test_what_kernels_move_counts(store, monkeypatch):
    fill(store)
    store.get("t", "b5")
    before = store.targets()[1].counts
    monkeypatch.setattr(pieces, "read", None)
    monkeypatch.setattr(pieces, "write", None)
    store.put("t", "b5", data_of(9))
    store.get("t", "b5")
    store.get("t", "b4", out=bytearray(MIB))
    assert [now - then for now, then in zip(store.targets()[1].counts, before)] == [2, 2 * MIB, 1, MIB]


def test_how_long_kernels_read_is_known(tmp_path):
    (tmp_path / "file").write_bytes(data_of(1))
    files, room, out = Open(), Room(), bytearray(MIB)
    with open(tmp_path / "file", "rb") as file:
        for number in (1, COUNTED_FILES):
            files.show(number, file.fileno())
        fetch = [open_fetch(files.address, number, address_of(out), 1000, 10, room.address) for number in (0, 1, 1, 2, COUNTED_FILES)]
        assert fetch == [-1, crc32(data_of(1)[:1000]), crc32(data_of(1)[:1000]), -1, -1]
        (target, nbytes, ns), = files.taken()
        assert (target, nbytes) == (1, 2000) and ns > 0 and files.taken() == []
        files.hide()
        assert open_fetch(files.address, 1, address_of(out), 1000, 10, room.address) == -1


def test_space_of_a_dropped_batch_in_a_file_is_free_with_the_next_lease(open_store):
    store = open_store(ram="2m", file="64m")
    for _ in range(3):
        batch = store.batch("dropped")
        for number in range(10):
            batch.put("t", f"b{number}", bytes(4 * MIB))
        del batch
    batch = store.batch("the next")
    batch.put("t", "one piece after the other", bytes(40 * MIB))
    batch.abandon()


def test_puts_beyond_the_ram_that_find_no_run_of_a_file_take_the_same_desk_again(store, monkeypatch):
    fill(store, 3)
    monkeypatch.setattr(store._tiers, "lease_beyond", lambda nbytes: None)
    desks = []
    for number in range(3):
        store.put("t", f"b{number + 3}", data_of(number))
        desks += store._direct._desks._free
    assert len(desks) == 3 * len(set(desks))
