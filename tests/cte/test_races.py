"""What one rank does in the middle of what another does, and errors at awkward moments: no byte lost, no space lost or given twice."""

import errno
import os
from dataclasses import replace

import numpy as np
import pytest

from wrp.cte import handful, pieces
from wrp.cte.changes import Changes
from wrp.cte.flush import Flush
from wrp.cte.folder import Folder, Journal
from wrp.cte.records import full_name
from wrp.errors import NoSuchBlob, OutOfSpace, RangeError, StoreError, UsageError

MIB = 1 << 20


def assert_nothing_leaks(store):
    """Destroy everything: all space of all tiers is free then."""
    for tag in store.tags():
        store.destroy(tag)
    store.flush()
    tiers = store._parts.tiers
    for target in tiers._devices:
        assert tiers.free(target) == tiers.device(target).capacity


@pytest.fixture
def another_rank():
    """A function: (changes, flush) as another rank of the node would make them, with a journal of its own."""
    journals = []

    def make(store):
        journals.append(Journal(store._parts.folder.journal_path(77)))
        parts = replace(store._parts, journal=journals[0])
        changes = Changes(parts)
        return changes, Flush(parts, changes)
    yield make
    for journal in journals:
        journal.close()


def in_the_middle(monkeypatch, owner, method, action):
    """Do `action` once, just before the next call of the method."""
    original = getattr(owner, method)

    def interrupted(*args, **kwargs):
        monkeypatch.setattr(owner, method, original)
        action()
        return original(*args, **kwargs)
    monkeypatch.setattr(owner, method, interrupted)


def just_after(monkeypatch, owner, method, action):
    """Do `action` between the next call of the method and its answer."""
    original = getattr(owner, method)

    def interrupted(*args, **kwargs):
        monkeypatch.setattr(owner, method, original)
        answer = original(*args, **kwargs)
        action()
        return answer
    monkeypatch.setattr(owner, method, interrupted)


def reopened(open_store, store):
    store.close()
    return open_store()


@pytest.mark.parametrize("ram, size", [("8m", 100_000), ("64k", 100_000), ("8m", 5000)])        # in ram, spilled to the file, small
@pytest.mark.parametrize("what", ["replace", "delete", "delete and put"])
def test_flush_while_another_rank_changes_the_blob(open_store, another_rank, monkeypatch, what, ram, size):
    store = open_store(ram=ram)
    store.put("t", "b", b"0" * size)
    store.flush()
    store.put("t", "b", b"1" * size)
    changes, flush = another_rank(store)

    def change():
        if what.startswith("delete"):
            changes.remove([full_name("t", "b")])
        if what.endswith("put") or what == "replace":
            changes.publish("t", "b", pieces.write(store._tiers, b"2" * size), size)
        changes.publish("t", "other", pieces.write(store._tiers, b"3" * 100_000), 100_000)      # takes what is free
    in_the_middle(monkeypatch, store._parts.journal, "add", change)
    store.flush()
    flush.run()
    store.put("t", "filler", b"4" * 200_000)
    store.flush()
    again = reopened(open_store, store)
    if what == "delete":
        assert not again.exists("t", "b")
    else:
        assert again.get("t", "b") == b"2" * size
    assert again.get("t", "other") == b"3" * 100_000
    assert_nothing_leaks(again)


def test_two_ranks_flush_at_once(open_store, another_rank, monkeypatch):
    store = open_store()
    store.put("t", "b", b"0" * 5000)
    store.flush()
    store.put("t", "b", b"1" * 5000)
    _, other = another_rank(store)
    in_the_middle(monkeypatch, store._catalog, "flushing", other.run)     # both have seen the blob dirty
    store.flush()
    assert store._catalog.scan(dirty=True) == []
    assert_nothing_leaks(store)


def test_a_view_taken_during_a_flush_stays(open_store, monkeypatch):
    store = open_store(ram="8m")
    store.put("t", "b", b"v" * MIB)
    views = []
    in_the_middle(monkeypatch, store._parts.journal, "add", lambda: views.append(store.view("t", "b")))
    store.flush()
    for number in range(14):
        store.put("t", f"x{number}", bytes([number]) * MIB)
    assert bytes(views[0]) == b"v" * MIB


def test_ranged_put_that_evicts_its_own_blob(open_store):
    store = open_store(ram="8m")
    data = np.random.default_rng(1).integers(0, 256, 6 * MIB, dtype="u1").tobytes()
    store.put("t", "b", data)
    store.flush()
    store.put("t", "full", b"f" * (2 * MIB))
    store.put("t", "b", b"mark", offset=5 * MIB)        # the first extent stays, the room for the second comes from evicting both
    store.put("t", "more", b"m" * (3 * MIB))
    assert store.get("t", "b") == data[:5 * MIB] + b"mark" + data[5 * MIB + 4:]
    assert_nothing_leaks(store)


@pytest.mark.parametrize("size", [0, 10])
def test_removed_blobs_stay_removed(open_store, size):
    store = open_store()
    store.put("t", "empty", bytes(size))
    store.flush()
    store.put("t", "empty", b"")
    store.delete("t", "empty")
    store.put("t", "again", b"")
    store.flush()
    store.put("t", "again", b"not empty")
    store.delete("t", "again")
    assert reopened(open_store, store).blobs("t") == []


def fail_once(monkeypatch, name, error=errno.EIO, descriptor=None):
    """`descriptor`: the one whose next call fails, None: any."""
    original = getattr(os, name)

    def failing(*args):
        if descriptor not in (None, args[0]):
            return original(*args)
        monkeypatch.setattr(os, name, original)
        raise OSError(error, os.strerror(error))
    monkeypatch.setattr(os, name, failing)


@pytest.mark.parametrize("call, error", [("fdatasync", errno.EIO), ("pwrite", errno.ENOSPC)])
@pytest.mark.parametrize("removal", [True, False])
def test_failed_flush_keeps_what_is_owed(open_store, monkeypatch, call, error, removal):
    store = open_store()
    store.put("t", "b", b"0" * 5000)
    store.put("t", "gone", b"0" * 5000)
    store.flush()
    store.delete("t", "gone")
    if not removal:
        store.put("t", "b", b"1" * 5000)
    fail_once(monkeypatch, call, error, store._parts.journal._descriptor if call == "pwrite" else None)
    with pytest.raises(OSError, match=os.strerror(error)):
        store.flush()
    again = reopened(open_store, store)
    assert again.blobs("t") == [("t", "b")] and again.get("t", "b") == (b"0" if removal else b"1") * 5000
    assert_nothing_leaks(again)


@pytest.mark.parametrize("size", [5000, 50_000, 5 << 20])     # those of one run are settled together
def test_flush_interrupted_behind_the_journal(open_store, monkeypatch, size):
    store = open_store()
    store.put("t", "b", b"0" * size)
    store.flush()
    store.put("t", "b", b"1" * size)

    def interrupt(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(*((handful._kernels, "settle") if size < 5 << 20 else (store._flush, "_settle")), interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.flush()
    monkeypatch.undo()
    store.put("t", "c", b"2" * 20_000)
    store.flush()
    assert store.get("t", "b") == b"1" * size
    again = reopened(open_store, store)
    assert again.get("t", "b") == b"1" * size and again.get("t", "c") == b"2" * 20_000
    assert_nothing_leaks(again)


def test_journal_is_whole_after_an_interrupt(open_store, monkeypatch):
    store = open_store()
    store.put("t", "a", b"a")
    store.flush()
    store.put("t", "b", b"b")
    original, journal = os.pwrite, store._parts.journal

    def torn(descriptor, data, offset):
        if descriptor != journal._descriptor:
            return original(descriptor, data, offset)
        monkeypatch.undo()
        original(descriptor, data[:20], offset)
        raise KeyboardInterrupt
    monkeypatch.setattr(os, "pwrite", torn)
    with pytest.raises(KeyboardInterrupt):
        store.flush()
    again = reopened(open_store, store)
    assert again.get("t", "a") == b"a" and again.get("t", "b") == b"b"


def test_full_file_leaks_nothing(open_store):
    store = open_store(ram="16m", file="6m")
    store.put("t", "long", b"l" * (9 * MIB))
    with pytest.raises(OutOfSpace):
        store.flush()
    store.delete("t", "long")
    assert_nothing_leaks(store)


def test_removing_makes_room_for_a_flush(open_store):
    store = open_store(ram="16m", file="8m")
    store.put("t", "old", b"o" * (5 * MIB))
    store.flush()
    store.put("t", "new", b"n" * (5 * MIB))
    with pytest.raises(OutOfSpace):
        store.flush()
    store.delete("t", "old")
    again = reopened(open_store, store)
    assert again.blobs("t") == [("t", "new")] and again.get("t", "new") == b"n" * (5 * MIB)


def test_compaction_killed_between_two_journals(open_store, another_rank, monkeypatch):
    store = open_store()
    store.put("t", "b", b"0" * 5000)
    store.flush()
    changes, flush = another_rank(store)
    changes.remove([full_name("t", "b")])
    flush.run()
    store.close()

    def killed(self, paths):
        os.unlink(next(path for path in paths if path.endswith("-77")))
        raise StoreError("killed")
    monkeypatch.setattr(Folder, "_drop", killed)
    with pytest.raises(StoreError, match="killed"):
        open_store()
    monkeypatch.undo()
    assert open_store().blobs("t") == []


def test_storage_that_fails_at_opening_is_a_sentence(open_store, monkeypatch):
    open_store().close()
    fail_once(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(StoreError, match="Input.output error"):
        open_store()
    monkeypatch.undo()
    open_store()


@pytest.mark.parametrize("memory", [True, False])
def test_batch_details(open_store, memory):
    store = open_store(memory=memory)
    with store.batch("two at once") as batch:
        with batch.writing("t", "a", 5000) as first, batch.writing("t", "b", 5000) as second:
            first[:], second[:] = b"a" * 5000, b"b" * 5000
        with batch.writing("t", "empty", 0):
            pass
        for bad in ("", "a\0b", "\udcff"):
            with pytest.raises(UsageError), batch.writing("t", bad, 10):
                pass
            with pytest.raises(UsageError):
                batch.put("t", bad, b"x" * 10)
    assert store.get("t", "a") == b"a" * 5000 and store.get("t", "b") == b"b" * 5000 and store.get("t", "empty") == b""
    with store.batch("committed inside") as batch:
        batch.replace("t")
        batch.put("t", "new", np.ones((3, 2), "u1"))
        batch.commit()
    assert store.blobs("t") == [("t", "new")]
    assert_nothing_leaks(store)


def test_a_batch_takes_what_lies_in_the_page_cache(open_store, tmp_path):
    data = np.random.default_rng(2).bytes(300_000)
    (tmp_path / "file").write_bytes(data)
    store, names, sizes = open_store(memory=True), [f"b{number}" for number in range(4)], [100_000, 1000, 99_000, 100_000]
    with open(tmp_path / "file", "rb") as file, store.batch("what a file holds") as batch:
        batch.expect(300_000)
        count = batch.take("t", names, sizes, file.fileno(), 0)
        assert count in (0, 4)          # 0: the file system can't tell what it has in memory
        assert batch.take("t", ["beyond"], [200_000], file.fileno(), 200_000) == 0
        for bad in ("", "a\0b"):
            with pytest.raises(UsageError):
                batch.take("t", [bad], [10], file.fileno(), 0)
    assert [entry.blob for entry in batch.entries if entry.blob] == names[:count]
    start = 0
    for name, nbytes in zip(names[:count], sizes):
        assert store.get("t", name) == data[start:start + nbytes]
        start += nbytes
    assert_nothing_leaks(store)


def test_a_batch_that_fails_gives_back_what_it_took(open_store, tmp_path):
    (tmp_path / "file").write_bytes(bytes(300_000))
    store = open_store(memory=True)
    with pytest.raises(ZeroDivisionError), open(tmp_path / "file", "rb") as file, store.batch("what fails") as batch:
        batch.take("t", ["a", "b"], [150_000, 150_000], file.fileno(), 0)
        raise ZeroDivisionError
    assert store.tags() == []
    assert_nothing_leaks(store)


def test_a_batch_takes_nothing_for_a_folder(open_store, tmp_path):
    (tmp_path / "file").write_bytes(bytes(1000))
    store = open_store()
    with open(tmp_path / "file", "rb") as file, store.batch("durable") as batch:
        batch.expect(1000)
        assert batch.take("t", ["a"], [1000], file.fileno(), 0) == 0


@pytest.mark.parametrize("is_world", [True, False])
def test_batch_without_room_in_the_catalog_never_happened(open_store, monkeypatch, is_world):
    store = open_store()
    monkeypatch.setattr(type(store.ranks), "is_world", is_world)
    before = [target.remaining for target in store.targets()]
    monkeypatch.setattr(store._catalog, "_slots", 3)
    with pytest.raises(OutOfSpace, match="raise runtime.index_slots"):
        with store.batch("too many") as batch:
            for number in range(5):
                batch.put("t", str(number), b"x")
    assert [target.remaining for target in store.targets()] == before
    again = reopened(open_store, store)
    assert again.tags() == []
    assert_nothing_leaks(again)


def test_batch_whose_fate_is_unknown_keeps_its_space(open_store, monkeypatch):
    store = open_store()

    def lost(*_):
        raise KeyboardInterrupt
    original = store._parts.journal.append
    monkeypatch.setattr(store._parts.journal, "append", lambda *change: (original(*change), lost()))
    with pytest.raises(KeyboardInterrupt):
        with store.batch("b") as batch:
            batch.put("t", "b", b"1" * 5000)
    monkeypatch.undo()
    store.put("t", "c", b"2" * 50_000)
    assert reopened(open_store, store).get("t", "b") == b"1" * 5000


def test_buffers_to_read_into(open_store):
    store = open_store(memory=True)
    store.put("t", "b", b"b" * 100_000)
    store.put("t", "empty", b"")
    assert store.get("t", "empty", out=np.empty((0, 3))) == 0
    fixed = bytes(99_999)
    with pytest.raises(UsageError, match="read-only"):
        store.get("t", "b", 1, out=fixed)
    assert fixed == bytes(99_999)
    with pytest.raises(UsageError, match="C order"):
        store.get("t", "b", out=np.zeros((4, 4))[:, 1])
    with pytest.raises(RangeError, match="don't fit"):
        store.get("t", "b", size=5, out=bytearray(3))
    with pytest.raises(RangeError):
        store.get("t", "b", out=bytearray(100_001))
    out = bytearray(b"-" * 9)
    assert store.get("t", "b", size=5, out=out) == 5 and out == b"bbbbb----"


def test_odd_names(open_store):
    store = open_store()
    for bad in ("\udcff", "a\udc00b"):
        with pytest.raises(UsageError, match="can't be a name"):
            store.put("t", bad, b"x")
    store.create("t")
    for call in (store.get, store.delete, store.put):
        with pytest.raises(UsageError):
            call("t", None, *([b""] if call == store.put else []))
    store.put("größe/📦", "١٢" * 1000, b"x")
    assert reopened(open_store, store).get("größe/📦", "١٢" * 1000) == b"x"


def test_range_far_away_is_refused(open_store):
    store = open_store()
    store.put("t", "b", b"0123")
    for offset in (1 << 62, 1 << 70):
        with pytest.raises(OutOfSpace, match="no room"):
            store.put("t", "b", b"x", offset=offset)
    assert store.get("t", "b") == b"0123"
    assert_nothing_leaks(store)


def test_what_wasnt_there_is_refused_though_another_puts_it_before_the_answer(open_store, monkeypatch):
    store = open_store(memory=True)
    store.create("t")
    store.put("t", "old", b"old")

    def put():
        store.put("t", "b", b"new")
    just_after(monkeypatch, store._changes, "remove", put)
    with pytest.raises(NoSuchBlob):
        store.delete("t", "b")
    assert store.get("t", "b") == b"new"
    store.delete("t", "b")
    just_after(monkeypatch, store._edits, "score", put)
    with pytest.raises(NoSuchBlob):
        store.score("t", "b", 0.25)
    assert store.score("t", "b") == 1 and store.score("t", "b", 0.25) == store.score("t", "b") == 0.25
    in_the_middle(monkeypatch, store._edits, "rename", lambda: store.delete("t", "b"))
    with pytest.raises(NoSuchBlob):
        store.rename("t", "b", "c")
