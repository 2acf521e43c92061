"""The store's calls, one process, in memory and in a folder."""

import errno
import os

import numpy as np
import pytest

from wrp.errors import (Corrupt, NoSuchBlob, NoSuchTag, OutOfSpace, RangeError, StoreBusy, UsageError)


@pytest.fixture(params=["memory", "folder"])
def store(request, open_store):
    return open_store(memory=request.param == "memory", ram="32m")


def test_what_is_put_is_got(store):
    data = os.urandom(100_000)
    store.put("t", "b", data)
    assert store.get("t", "b") == data
    assert store.get("t", "b", 5, 10) == data[5:15]
    assert store.size("t", "b") == store.tag_size("t") == 100_000


def test_arrays_in_and_out(store):
    values = np.arange(1000, dtype="f4").reshape(10, 100)
    store.put("t", "b", values)
    out = np.zeros_like(values)
    assert store.get("t", "b", out=out) == values.nbytes
    np.testing.assert_array_equal(out, values)
    np.testing.assert_array_equal(np.frombuffer(store.view("t", "b"), "f4"), values.ravel())


def test_blobs_longer_than_an_extent(store):
    data = np.random.default_rng(1).integers(0, 256, (9 << 20) // 2 + 3, dtype="u1").tobytes()
    store.put("t", "b", data)
    assert store.get("t", "b") == data
    assert store.get("t", "b", (4 << 20) - 5, 10) == data[(4 << 20) - 5:(4 << 20) + 5]
    store.put("t", "b", b"mark", offset=(4 << 20) - 2)
    assert store.get("t", "b", (4 << 20) - 4, 8) == data[(4 << 20) - 4:(4 << 20) - 2] + b"mark" + data[(4 << 20) + 2:(4 << 20) + 4]


def test_closed_store_says_so(store):
    store.put("t", "b", b"x")
    store.close()
    for call in (store.get, store.view, store.size, store.info, store.exists, lambda *name: store.put(*name, b"y"), store.delete):
        with pytest.raises(UsageError, match="the store was closed"):
            call("t", "b")
    store.close()


def test_empty_blob(store):
    store.put("t", "b", b"")
    assert store.get("t", "b") == b"" and store.size("t", "b") == 0 and bytes(store.view("t", "b")) == b""


def test_whole_put_replaces_and_may_shrink(store):
    store.put("t", "b", b"0123456789")
    store.put("t", "b", b"abc")
    assert store.get("t", "b") == b"abc" and store.tag_size("t") == 3


def test_ranged_put_changes_extends_and_fills_with_zeros(store):
    store.put("t", "b", b"0123456789")
    store.put("t", "b", b"AB", offset=0)
    store.put("t", "b", b"YZ", offset=9)
    assert store.get("t", "b") == b"AB2345678YZ"
    store.put("t", "b", b"!", offset=13)
    assert store.get("t", "b") == b"AB2345678YZ\0\0!"
    store.put("t", "new", b"x", offset=3)
    assert store.get("t", "new") == b"\0\0\0x"


def test_view_is_read_only(store):
    store.put("t", "b", b"abc")
    with pytest.raises(TypeError):
        store.view("t", "b")[0] = 1


def test_delete_and_destroy(store):
    store.put("t", "a", b"1")
    store.put("t", "b", b"2")
    store.delete("t", "a")
    assert not store.exists("t", "a") and store.exists("t", "b") and store.exists("t")
    with pytest.raises(NoSuchBlob, match="no blob 'a' in tag 't'"):
        store.get("t", "a")
    with pytest.raises(NoSuchBlob):
        store.delete("t", "a")
    store.destroy("t")
    assert store.tags() == []
    with pytest.raises(NoSuchTag, match="no tag 't'"):
        store.get("t", "b")
    with pytest.raises(NoSuchTag):
        store.destroy("t")


def test_queries_match_whole_names_in_natural_order(store):
    for tag in ("run/b", "run/a", "other"):
        for number in (10, 9, 1):
            store.put(tag, f"chunk_{number}", b"x")
        store.put(tag, "description", b"d")
    assert store.tags() == ["other", "run/a", "run/b"]
    assert store.tags("run/.") == ["run/a", "run/b"] and store.tags("run") == []
    assert store.blobs("run/a", "chunk_.*") == [("run/a", "chunk_1"), ("run/a", "chunk_9"), ("run/a", "chunk_10")]
    assert len(store.blobs(".*")) == 12 and len(store.blobs(".*", limit=5)) == 5
    assert list(store.infos("other")) == ["chunk_1", "chunk_9", "chunk_10", "description"]
    with pytest.raises(NoSuchTag):
        store.infos("nobody")


@pytest.mark.parametrize("offset, size", [(0, 11), (11, 0), (10, 1), (-1, 1), (0, -1), (2**62, 1)])
def test_ranges_beyond_the_end_are_refused(store, offset, size):
    store.put("t", "b", b"0123456789")
    with pytest.raises(RangeError, match="which has 10 bytes"):
        store.get("t", "b", offset, size)


@pytest.mark.parametrize("offset", [-1, 9, 2**63 - 1, 2**63 - 4, 2**63, -2**70])
def test_no_buffer_is_said_to_be_filled_from_beyond_the_end(store, offset):
    store.put("t", "b", b"0123456789")
    with pytest.raises(RangeError, match="which has 10 bytes"):
        store.get("t", "b", offset, out=bytearray(8))


@pytest.mark.parametrize("call", [
    lambda store: store.put("", "b", b""), lambda store: store.put("t", "", b""), lambda store: store.put("t", "b", "text"),
    lambda store: store.put("t", "b", b"x", score=2), lambda store: store.put("t", "b", b"x", offset=-1),
    lambda store: store.tags("("), lambda store: store.put("t", "b", [1.0, 2.0])])
def test_wrong_use_is_refused_and_changes_nothing(store, call):
    with pytest.raises(UsageError):
        call(store)
    assert store.tags() == []


def test_a_blob_without_room_is_named_with_its_whole_size_and_what_is_free(open_store):
    store = open_store(memory=True, ram="9m")
    store.put("t", "first", bytes(6 << 20))
    with pytest.raises(OutOfSpace, match=r"no tier has room for 8.58 MiB of blob 'big' \(in pieces, the next of 4 MiB\): "):
        store.put("t", "big", bytes(9_000_000))
    with pytest.raises(OutOfSpace, match=r"no tier has room for 47.68 MiB: all of them together can have 3 MiB free \(delete blobs, or raise capacity_limit"):
        store.reserve("t", "r", 50_000_000)


def test_full_store_refuses_and_keeps_what_it_has(open_store):
    store = open_store(ram="4m", file="8m")
    kept = {}
    with pytest.raises(OutOfSpace, match="no tier has room"):
        for number in range(100):
            data = bytes([number]) * (1 << 20)
            store.put("t", f"b{number}", data)
            kept[f"b{number}"] = data
    assert len(kept) >= 8
    assert all(store.get("t", name) == data for name, data in kept.items())
    with pytest.raises(OutOfSpace, match="file target"):
        store.flush()               # the file can't take what is in ram
    for name in list(kept)[:6]:
        store.delete("t", name)
        del kept[name]
    store.flush()
    assert all(store.get("t", name) == data for name, data in kept.items())


def test_space_comes_back(open_store):
    store = open_store(ram="8m", file="24m")
    for turn in range(40):
        store.put("t", "b", bytes([turn]) * (3 << 20))
        if turn % 3 == 0:
            store.flush()
    assert store.get("t", "b") == bytes([39]) * (3 << 20)


def test_ram_spills_to_the_file(open_store):
    store = open_store(ram="4m")
    for number in range(12):
        store.put("t", f"b{number}", bytes([number]) * (1 << 20))
    tiers = [info.tiers for info in store.infos("t").values()]
    assert ("ram",) in tiers and ("file",) in tiers
    assert all(store.get("t", f"b{number}") == bytes([number]) * (1 << 20) for number in range(12))


def test_flushed_blobs_come_back(open_store):
    store = open_store()
    store.put("t", "a", b"1" * 5000)
    store.put("t", "b", b"2" * 5000)
    store.flush()
    store.put("t", "b", b"3", offset=10)
    store.delete("t", "a")
    store.create("empty")
    store.close()
    again = open_store()
    assert again.tags() == ["empty", "t"] and again.blobs("t") == [("t", "b")]
    assert again.get("t", "b") == b"2" * 10 + b"3" + b"2" * 4989


def test_reader_may_not_write(open_store):
    store = open_store()
    store.put("t", "a", b"1")
    store.close()
    reader = open_store(write=False)
    assert reader.get("t", "a") == b"1"
    with pytest.raises(UsageError, match="opened for reading only"):
        reader.put("t", "a", b"2")


def test_second_opening_is_refused(open_store):
    open_store()
    with pytest.raises(StoreBusy):
        open_store()


def test_flipped_bit_is_reported_with_the_name_and_never_returned(open_store, folder):
    store = open_store()
    store.put("t", "good", b"g" * 5000)
    store.put("t", "bad", b"b" * 5000)
    store.close()
    data = bytearray((folder / "data" / "0").read_bytes())
    data[data.index(b"bbbb") + 100] ^= 1
    (folder / "data" / "0").write_bytes(data)
    again = open_store()
    assert again.get("t", "good") == b"g" * 5000
    for arguments in ((), (99, 5)):
        with pytest.raises(Corrupt, match="'bad' of tag 't'"):
            again.get("t", "bad", *arguments)


@pytest.mark.parametrize("nbytes", [300, 50_000])
def test_storage_that_cannot_be_read_is_reported_with_the_name(open_store, monkeypatch, nbytes):
    store = open_store()
    store.put("t", "b", b"b" * nbytes)
    store.close()
    again = open_store()

    def failing(descriptor, *more):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    monkeypatch.setattr(os, "preadv", failing)
    for call in (lambda: again.get("t", "b", 7, 100), lambda: again.move("t", "b", "ram"), lambda: again.put("t", "b", b"c", offset=5)):
        with pytest.raises(Corrupt, match="blob 'b' of tag 't': .*data/0 can't be read: Input/output error"):
            call()
    monkeypatch.undo()
    assert again.get("t", "b") == b"b" * nbytes and again.list("t") == ["b"]


def test_cut_data_file_is_reported(open_store, folder):
    store = open_store()
    store.put("t", "b", b"b" * 50000)
    store.close()
    os.truncate(folder / "data" / "0", 100)
    with pytest.raises(Corrupt, match="blob 'b' of tag 't': .* was cut"):
        open_store(write=False).get("t", "b")


def test_info_says_where_bytes_are(open_store):
    store = open_store()
    store.put("t", "b", b"x", score=0.25)
    first = store.info("t", "b")
    store.flush()
    second = store.info("t", "b")
    assert first.tiers == second.tiers == ("file",)         # the ram is kept for blobs of higher scores
    assert (second.size, second.score, second.checksum) == (1, 0.25, first.checksum)


def test_disk_space_of_what_was_destroyed_comes_back(open_store, folder):
    store = open_store()
    store.put("kept", "b", b"k" * 5000)
    store.put("gone", "b", b"g" * (20 << 20))
    store.close()
    store = open_store()
    store.destroy("gone")
    store.close()
    store = open_store()
    assert (folder / "data" / "0").stat().st_blocks * 512 < (2 << 20)
    assert store.get("kept", "b") == b"k" * 5000
