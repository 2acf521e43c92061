"""The store's further calls: many at once, append, truncate, reserve, rename, copy, snapshot, score, wait, conditional puts."""

import threading
import time

import numpy as np
import pytest

from wrp.cte import Store
from wrp.errors import Changed, NoSuchBlob, NoSuchTag, OutOfSpace, RangeError, UsageError, WaitTimeout

MIB = 1 << 20


@pytest.fixture(params=["memory", "folder"])
def store(request, open_store):
    return open_store(memory=request.param == "memory", ram="32m")


def reopened(open_store, store):
    """The store after its next opening; the same one where it is in memory."""
    if store.folder is None:
        return store
    store.close()
    return open_store()


@pytest.mark.parametrize("nbytes", [1, 300, 4096, 20_000])
def test_many_at_once_are_those_one_by_one(store, nbytes):
    rows = np.random.default_rng(nbytes).integers(0, 256, (500, nbytes), dtype="u1")
    names = [f"b{number}" for number in range(500)]
    for _ in range(2):
        store.put_many("t", names, rows, score=0.5)
        assert store.blobs("t") == [("t", name) for name in names] and store.tag_size("t") == rows.nbytes
        assert all(store.get("t", name) == row.tobytes() for name, row in zip(names, rows))
        out = np.zeros_like(rows)
        store.get_many("t", names, out=out)
        assert (out == rows).all() and store.get_many("t", names[:3]) == [row.tobytes() for row in rows[:3]]
        rows = rows[::-1].copy()
    assert store.info("t", "b7").score == 0.5
    with pytest.raises(RangeError):
        store.get_many("t", ["b1"], out=np.zeros((1, nbytes + 1), "u1"))
    with pytest.raises(NoSuchBlob):
        store.get_many("t", ["b1", "nobody"], out=np.zeros((2, nbytes), "u1"))


@pytest.mark.parametrize("nbytes", [100, 20_000, 200_000])
def test_of_many_rows_for_one_blob_the_last_one_stays(store, nbytes):
    names = [f"b{number % 7}" for number in range(40)]
    store.put_many("t", names, [bytes([number]) * nbytes for number in range(40)])
    last = {name: bytes([number]) * nbytes for number, name in enumerate(names)}
    assert {blob: store.get("t", blob) for blob in store.list("t")} == last and store.tag_size("t") == 7 * nbytes
    store.put_many("t", names, np.arange(40, dtype=np.uint8)[::-1, None] + np.zeros((40, nbytes), np.uint8))
    assert {blob: store.get("t", blob)[0] for blob in store.list("t")} == {name: 39 - number for number, name in enumerate(names)}
    assert store.get_many("t", ["b3", "b1", "b3"]) == [store.get("t", blob) for blob in ("b3", "b1", "b3")]


def test_many_of_odd_kinds(store):
    store.put_many("t", ["größe", "b"], [b"1", b"22"])
    assert store.get_many("t", ["größe", "b"]) == [b"1", b"22"]
    store.put_many("t", np.array(["x", "y"]), np.arange(12.0).reshape(2, 2, 3))
    assert np.frombuffer(store.get("t", "y")).tolist() == [6, 7, 8, 9, 10, 11]
    store.put_many("t", [], [])
    for names, rows in ((["a"], []), (["a", "b\0c"], np.zeros((2, 3))), (["", "b"], np.zeros((2, 3))), ([3, "b"], np.zeros((2, 3)))):
        with pytest.raises(UsageError):
            store.put_many("other", names, rows)
    assert not store.exists("other")
    for out in (np.zeros((3, 1)), np.zeros(2), np.zeros((2, 8), "u1")[:, ::2]):
        with pytest.raises(UsageError):
            store.get_many("t", ["x", "y"], out=out)


def test_many_spill_to_the_file(open_store):
    store = open_store(ram="1m")
    rows = np.random.default_rng(0).integers(0, 256, (600, 4096), dtype="u1")
    names = [f"b{number}" for number in range(600)]
    store.put_many("t", names, rows)
    assert {tiers for info in store.infos("t").values() for tiers in info.tiers} == {"ram", "file"}
    out = np.zeros_like(rows)
    store.get_many("t", names, out=out)
    assert (out == rows).all()


def test_conditional_puts(store):
    store.put("t", "b", b"1", if_generation=0)
    first = store.info("t", "b").generation
    for generation in (0, first - 1, first + 1):
        with pytest.raises(Changed, match=f"has generation {first}, not {generation}"):
            store.put("t", "b", b"2", if_generation=generation)
        with pytest.raises(Changed):
            store.put("t", "b", b"2", offset=1, if_generation=generation)
    assert store.get("t", "b") == b"1"
    store.put("t", "b", b"2", offset=1, if_generation=first)
    store.put("t", "b", b"3", if_generation=store.info("t", "b").generation)
    assert store.get("t", "b") == b"3" and store.info("t", "b").generation == store.info("t", "b").stamp > first
    with pytest.raises(Changed, match="has generation 0"):
        store.put("t", "new", b"3", if_generation=first)
    assert not store.exists("t", "new")


def test_counting_with_conditional_puts(store):
    """Two threads count in one blob: no step is lost."""
    store.put("t", "count", b"0")

    def count():
        for _ in range(50):
            while True:
                generation = store.info("t", "count").stamp
                try:
                    store.put("t", "count", b"%d" % (int(store.get("t", "count")) + 1), if_generation=generation)
                    break
                except Changed:
                    continue
    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int(store.get("t", "count")) == 100


def test_append_and_truncate(open_store, store):
    store.append("t", "b", b"01")
    store.append("t", "b", b"23")
    store.append("t", "b", b"")
    assert store.get("t", "b") == b"0123"
    for nbytes, wanted in ((4, b"0123"), (3, b"012"), (6, b"012\0\0\0"), (0, b""), (2, b"\0\0")):
        store.truncate("t", "b", nbytes)
        assert store.get("t", "b") == wanted
    data = np.random.default_rng(1).integers(0, 256, 9 * MIB, dtype="u1").tobytes()
    store.put("t", "long", data)
    store.truncate("t", "long", 5 * MIB + 1)
    store.append("t", "long", b"end")
    assert reopened(open_store, store).get("t", "long") == data[:5 * MIB + 1] + b"end"


def test_appends_of_threads_are_all_there(store):
    threads = [threading.Thread(target=lambda mark=mark: [store.append("t", "b", mark * 10) for _ in range(40)]) for mark in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = store.get("t", "b")
    assert len(data) == 800 and sorted(data[k:k + 10] for k in range(0, 800, 10)) == [b"a" * 10] * 40 + [b"b" * 10] * 40


@pytest.mark.parametrize("nbytes", [0, 100, 100_000, 9 * MIB])
def test_reserved_bytes_are_seen_after_the_commit(store, nbytes):
    data = np.random.default_rng(nbytes).integers(0, 256, nbytes, dtype="u1").tobytes()
    place = store.reserve("t", "b", nbytes, score=0.25)
    place.view[:] = data
    assert not store.exists("t", "b")
    place.commit()
    assert store.get("t", "b") == data and store.info("t", "b").score == 0.25
    with pytest.raises(UsageError, match="committed or abandoned"):
        place.commit()
    with store.reserve("t", "c", nbytes) as place:
        place.view[:] = data
    with pytest.raises(ZeroDivisionError), store.reserve("t", "d", nbytes):
        raise ZeroDivisionError
    assert store.list("t") == ["b", "c"]
    store.destroy("t")
    store.flush()
    assert store._tiers.free(0) == store._tiers.ram.capacity


def test_who_reads_while_reserved_bytes_are_committed_gets_those_of_one_commit(store):
    store.put("t", "b", bytes(300_000))
    stop, seen, wrong = threading.Event(), set(), []

    def read():
        while not stop.is_set():
            found = store.get("t", "b")
            seen.add(found[0])
            if found != found[:1] * 300_000:
                wrong.append(found[0])
    reader = threading.Thread(target=read)
    reader.start()
    turn = 0
    while len(seen) < 4 and turn < 100_000:
        turn += 1
        place = store.reserve("t", "b", 300_000)
        place.view[:] = bytes([turn % 251]) * 300_000
        place.commit()
    stop.set()
    reader.join()
    assert not wrong and len(seen) >= 4


def test_abandoned_bytes_are_those_of_other_processes_at_once(store):
    """The one that has abandoned them may make no call for long."""
    remaining = store._tiers.ram.remaining
    store.reserve("t", "b", 100_000).abandon()
    assert store._tiers.ram.remaining == remaining
    place = store.reserve("t", "b", 100_000)
    kept = place.view[:10]
    place.abandon()
    assert store._tiers.ram.remaining == remaining and len(kept) == 10


@pytest.mark.parametrize("made", [lambda view: view[:500], lambda view: view.cast("q"), lambda view: np.frombuffer(view, np.int16)[7:]], ids=["slice", "cast", "array"])
def test_a_dropped_reservation_keeps_its_bytes_as_long_as_somebody_can_write_there(store, made):
    remaining = store._tiers.ram.remaining
    place = store.reserve("t", "r", 100_000)
    mine = made(place.view)
    del place
    store.put("t", "b", b"b" * 100_000)
    mine[0] = 7
    assert store.get("t", "b") == b"b" * 100_000
    del mine
    store.destroy("t")
    assert store._tiers.ram.remaining == remaining


def test_reserve_without_ram(open_store):
    store = open_store(ram="64k")
    with store.reserve("t", "b", 1 * MIB) as place:
        place.view[:5] = b"12345"
    assert store.get("t", "b", 0, 6) == b"12345\0" and store.info("t", "b").tiers == ("file",)


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize("ram", ["32m", "64k"])
def test_rename(open_store, flushed, ram):
    store = open_store(ram=ram)
    store.put("t", "a", b"a" * 100_000, score=0.5)
    store.put("t", "c", b"c")
    if flushed:
        store.flush()
    with pytest.raises(Changed, match="'t/c' is taken"):
        store.rename("t", "a", "c")
    store.rename("t", "a", "b")
    store.rename("t", "b", "b", new_tag="other")
    with pytest.raises(NoSuchBlob):
        store.rename("t", "a", "x")
    again = reopened(open_store, store)
    assert again.blobs(".*") == [("other", "b"), ("t", "c")]
    assert again.get("other", "b") == b"a" * 100_000 and again.info("other", "b").score == 0.5
    with pytest.raises(Changed):
        again.rename_tag("other", "t")
    again.rename_tag("other", "new")
    again.put("filler", "f", b"f" * 500_000)
    again.flush()
    again = reopened(open_store, again)
    assert again.blobs("new|other") == [("new", "b")] and again.get("new", "b") == b"a" * 100_000
    with pytest.raises(NoSuchTag):
        again.rename_tag("other", "x")
    for tag in again.tags():
        again.destroy(tag)
    again.flush()
    assert all(again._tiers.free(target) == again._tiers.device(target).capacity for target in (0, 1))


@pytest.mark.parametrize("flushed", [(), ("old",), ("new",), ("old", "new")])
@pytest.mark.parametrize("ram", ["32m", "64k"])
def test_rename_over_a_blob(open_store, flushed, ram):
    store = open_store(ram=ram)
    for blob, nbytes in sorted({"old": 50_000, "new": 100_000}.items(), key=lambda pair: pair[0] not in flushed):
        store.put("t", blob, blob[:1].encode() * nbytes)
        if blob in flushed:
            store.flush()
    store.rename("t", "new", "old", replace=True)
    with pytest.raises(Changed):
        store.rename("t", "old", "old", replace=True)
    assert store.get("t", "old") == b"n" * 100_000 and store.list("t") == ["old"]
    again = reopened(open_store, store)
    assert again.get("t", "old") == b"n" * 100_000 and again.list("t") == ["old"]
    again.destroy("t")
    again.flush()
    assert all(again._tiers.free(target) == again._tiers.device(target).capacity for target in (0, 1))


def test_rename_without_room_in_the_catalog_never_happened(store, monkeypatch):
    for number in range(4):
        store.put("t", f"b{number}", b"x")
    monkeypatch.setattr(store._catalog, "_slots", 7)
    for call in (store.rename_tag, store.snapshot):
        with pytest.raises(OutOfSpace, match="raise runtime.index_slots"):
            call("t", "new")
    assert store.tags() == ["t"] and store.list("t") == ["b0", "b1", "b2", "b3"]


def test_a_viewed_blob_that_is_renamed_stays(open_store):
    store = open_store(ram="8m")
    store.put("t", "b", b"v" * MIB)
    view = store.view("t", "b")
    store.rename("t", "b", "c")
    store.flush()
    for number in range(14):
        store.put("t", f"x{number}", bytes([number]) * MIB)
    assert view == b"v" * MIB
    view.release()


def test_copy_and_snapshot(open_store, store):
    store.put("t", "a", b"a" * 5000, score=0.5)
    store.put("t", "b", b"b" * (5 * MIB))
    store.copy("t", "a", "u", "a2")
    store.snapshot("t", "then")
    store.put("t", "a", b"new")
    store.delete("t", "b")
    store.create("empty")
    store.snapshot("empty", "also empty")
    with pytest.raises(Changed, match="needs a new name"):
        store.snapshot("t", "then")
    with pytest.raises(NoSuchTag):
        store.snapshot("nobody", "x")
    again = reopened(open_store, store)
    assert again.blobs("then") == [("then", "a"), ("then", "b")] and again.tags() == ["also empty", "empty", "t", "then", "u"]
    assert again.get("then", "a") == again.get("u", "a2") == b"a" * 5000 and again.get("then", "b") == b"b" * (5 * MIB)
    assert again.info("then", "a").score == again.info("u", "a2").score == 0.5 and again.get("t", "a") == b"new"


def test_snapshot_is_one_moment(store):
    """A writer puts the same number into two blobs, one after the other: no snapshot has the second without the first."""
    done = threading.Event()
    store.put_many("t", ["first", "second"], np.zeros((2, 8), "u1"))

    def write():
        number = 0
        while not done.is_set():
            number += 1
            for blob in ("first", "second"):
                store.put("t", blob, number.to_bytes(8, "little"))
            time.sleep(0.001)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(10):
            store.snapshot("t", f"s{turn}")
            first, second = (int.from_bytes(store.get(f"s{turn}", blob), "little") for blob in ("first", "second"))
            assert first - second in (0, 1)
    finally:
        done.set()
        writer.join()


def test_score_is_kept(open_store, store):
    store.put("t", "b", b"x", score=0.25)
    store.flush()
    assert store.score("t", "b") == 0.25 and store.score("t", "b", 0.75) == 0.75
    for call in (lambda: store.score("t", "b", 2), lambda: store.put("t", "b", b"", score=-1)):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(NoSuchBlob):
        store.score("t", "nobody", 0.5)
    again = reopened(open_store, store)
    assert again.score("t", "b") == 0.75 and again.get("t", "b") == b"x"


def test_wait_for_a_blob(store):
    with pytest.raises(WaitTimeout, match="waited 0.01 s for blob 'b' of tag 't'"):
        store.wait("t", "b", 0.01)
    later = threading.Timer(0.05, store.put, ("t", "b", b"here"))
    later.start()
    assert store.wait("t", "b", 10).size == 4
    later.join()


def test_list_by_prefix(store):
    store.put_many("t", ["a10", "a9", "b1"], np.zeros((3, 1), "u1"))
    assert store.list("t") == ["a9", "a10", "b1"] and store.list("t", "a") == ["a9", "a10"] and store.list("t", "x") == []
    with pytest.raises(NoSuchTag):
        store.list("nobody")


def test_compressed_blobs_are_edited_too(open_store):
    store = open_store()
    store.set_compression("t", "zlib")
    rows = np.zeros((3, 4000), "u1")
    store.put_many("t", ["a", "b", "c"], rows)
    store.append("t", "a", b"end")
    store.truncate("t", "b", 5000)
    store.truncate("t", "c", 10)
    with store.reserve("t", "d", 9000) as place:
        place.view[:] = b"d" * 9000
    with pytest.raises(Changed):
        store.put("t", "a", b"x", if_generation=1)
    store.put("t", "d", b"D", offset=1, if_generation=store.info("t", "d").stamp)
    store.rename("t", "d", "e")
    store.snapshot("t", "s")
    again = reopened(open_store, store)
    for tag in ("t", "s"):
        assert again.get_many(tag, ["a", "b", "c", "e"]) == [bytes(4000) + b"end", bytes(5000), bytes(10), b"dD" + b"d" * 8998]
        assert again.info(tag, "e").codec == "zlib" and again.info(tag, "e").stored < 1000


def test_sealed_blobs_keep_their_names(configured, folder, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    with Store.open(folder, config=configured(), key=key) as store:
        store.put("t", "b", b"secret")
        for call in (lambda: store.rename("t", "b", "c"), lambda: store.snapshot("t", "u")):
            with pytest.raises(UsageError, match="sealed under their names"):
                call()
        store.copy("t", "b", "t", "c")
        store.append("t", "c", b"!")
        assert store.get_many("t", ["b", "c"]) == [b"secret", b"secret!"]
        store.rename_tag("t", "u")
    with Store.open(folder, config=configured(), key=key) as store:
        assert store.tags() == ["u"] and store.get_many("u", ["b", "c"]) == [b"secret", b"secret!"]
