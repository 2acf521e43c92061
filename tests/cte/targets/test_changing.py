"""Targets that come and go while a store is open: where bytes are, what is refused, readers and writers meanwhile, other ranks."""

import os
import threading

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store, emptying
from wrp.errors import NoSuchBlob, OutOfSpace, StoreError, UsageError, WaitTimeout
from wrp.runtime.config import load

MIB = 1 << 20


@pytest.fixture
def store(open_store):
    return open_store(ram="4m", file="64m")


def place(store, blob):
    return sorted({store.target_name(extent[0]) for extent in store.extents("t", blob)})


def names(store):
    return [target.name for target in store.targets()]


def settled(store):
    """What is leased is what records name, on every target but the first ram."""
    named = {}
    for record in store._catalog.scan():
        for target, _, nbytes, _ in set(record.extents) | set(record.durable):
            named[target] = named.get(target, 0) + -(-nbytes // 4096) * 4096
    for target in store.targets()[1:]:
        assert target.capacity - target.remaining == named.get(target.number, 0), (target, named)


@pytest.mark.parametrize("memory, kind", [(True, "ram"), (False, "ram"), (True, "pinned"), (False, "pinned")])
def test_a_ram_comes_takes_bytes_and_goes(open_store, memory, kind):
    store = open_store(ram="4m", memory=memory)
    before = names(store)
    info = store.add_target("more", kind, 2 * MIB, score=0.5)
    assert (info.name, info.kind, info.capacity, info.remaining, info.score, info.persistence) == ("more", kind, 2 * MIB, 2 * MIB, 0.5, "volatile")
    data = {str(number): os.urandom(4096 * number) for number in range(1, 6)}
    for blob, each in data.items():
        store.put("t", blob, each)
        assert store.move("t", blob, "more") and place(store, blob) == ["more"]
    assert store.targets()[-1].remaining == 2 * MIB - 15 * 4096 and store.targets()[-1].counts.writes == 5
    store.remove_target("more")
    assert names(store) == before and not [blob for blob in data if "more" in place(store, blob)]
    assert {blob: store.get("t", blob) for blob in store.list("t")} == data
    with pytest.raises(UsageError, match="not 'more'"):
        store.move("t", "1", "more")
    assert store.add_target("more", kind, MIB).remaining == MIB and store.move("t", "1", "more") and store.get("t", "1") == data["1"]
    settled(store)


def test_a_better_target_takes_new_bytes_at_once(open_store):
    store = open_store(memory=True, ram="1m")
    for number in range(15):
        store.put("t", str(number), bytes([number]) * 65536)
    with pytest.raises(OutOfSpace):
        store.put("t", "big", bytes(MIB))
    store.add_target("more", "ram", 4 * MIB)
    store.put("t", "big", bytes(MIB))
    assert place(store, "big") == ["more"]


def test_a_scratch_file_comes_and_leaves_nothing(store, tmp_path):
    path = str(tmp_path / "scratch")
    info = store.add_target(path, "file", 8 * MIB)
    device = store._tiers.device(info.number)
    assert info.persistence == "temporary" and not [name for name in os.listdir(tmp_path) if name.startswith("scratch")]
    data = os.urandom(5 * MIB)
    store.put("t", "a", data)
    assert store.move("t", "a", path) and place(store, "a") == [path] and os.fstat(device.descriptor).st_size >= 5 * MIB
    old = store._catalog.find("t\0a")
    store.remove_target(path)
    assert os.fstat(device.descriptor).st_size == 0 and store.get("t", "a") == data and path not in names(store)
    assert not store._read_still(old, 0, memoryview(bytearray(5 * MIB))), "whoever has an old record looks again"
    store.close()
    with Store.open(store.folder, write=False) as store:
        assert store.get("t", "a") == data


def test_what_is_dirty_stays_whole_until_it_is_flushed(open_store):
    store = open_store(ram="4m")
    store.add_target("more", "ram", 2 * MIB)
    store.put("t", "clean", b"c" * 9000), store.put("t", "dirty", b"d" * 9000)
    for blob in ("clean", "dirty"):
        assert store.move("t", blob, "more")
    store.put("t", "dirty", b"e", offset=9000)
    assert "more" in place(store, "dirty")
    store.remove_target("more")
    assert place(store, "clean") == ["data/0"] and "more" not in place(store, "dirty")
    store.close()
    assert open_store().get("t", "dirty") == b"d" * 9000 + b"e"


def test_without_room_nothing_has_changed(open_store):
    store = open_store(memory=True, ram="1m")
    store.add_target("more", "ram", 2 * MIB, score=0.1)
    for number in range(24):
        store.put("t", str(number), bytes([number]) * 65536)
    before, places = store.targets(), {blob: store.extents("t", blob) for blob in store.list("t")}
    assert ["more"] in map(lambda blob: place(store, blob), store.list("t"))
    with pytest.raises(OutOfSpace, match="moving the blobs of target 'more'|the store in memory: no tier has room for 64 KiB: ram target 'ram::test' of 1 MiB"):
        store.remove_target("more")
    assert store.targets() == before and {blob: store.extents("t", blob) for blob in store.list("t")} == places
    assert all(store.get("t", str(number)) == bytes([number]) * 65536 for number in range(24))
    store.put("t", "new", bytes(65536))
    assert place(store, "new") == ["more"]
    for number in range(24):
        store.delete("t", str(number))
    store.remove_target("more")
    assert store.get("t", "new") == bytes(65536) and names(store) == ["ram::test"]


def test_noop_is_not_removed_while_it_was_given_bytes(open_store):
    store = open_store(memory=True)
    store.add_target("nothing", "noop", 4 * MIB)
    store.put("t", "a", b"x" * 1000)
    assert store.move("t", "a", "nothing")
    with pytest.raises(UsageError, match="forgot the bytes of 1 blobs, such as 'a' of tag 't': delete them first"):
        store.remove_target("nothing")
    with pytest.raises(StoreError, match="forgets what it is given"):
        store.get("t", "a")
    store.delete("t", "a")
    store.remove_target("nothing")
    assert names(store) == ["ram::test"]


ADDED = [
    (("x", "tape", MIB), "kind 'tape', which is none of ram, pinned, file, noop, gpu"),
    (("x", "safe", MIB), "of kind safe, which an open store doesn't take: put it under `storage`"),
    (("s3://x/y", "object", MIB), "of kind object, which an open store doesn't take: put it under `storage`"),
    (("x", "pinned", MIB, 1.0, "long_term"), "only files last"),
    (("scratch", "file", MIB), "give a file an absolute path"),
    (("", "ram", MIB), "can't be a name"),
    (("x", "ram", 100), "give it at least 4096"),
    (("x", "ram", "1k"), "give it at least 4096"),
    (("x", "ram", MIB, 2.0), "score 2.0 is outside 0 to 1"),
    (("x", "ram", MIB, 1.0, "eternal"), "persistence 'eternal' is none of"),
    (("x", "ram", MIB, 1.0, "long_term"), "only files last"),
    (("ram::test", "ram", MIB), "there is a target 'ram::test' in the store"),
]
REMOVED = [("x", "there is no target 'x' in the store: it has ram::test, data"), ("ram::test", "the first ram of the store"), ("data", "holds what outlasts the job")]


@pytest.mark.parametrize("args, sentence", ADDED)
def test_what_can_not_be_added(store, args, sentence):
    before = store.targets()
    with pytest.raises(UsageError, match=sentence):
        store.add_target(*args)
    assert store.targets() == before


@pytest.mark.parametrize("name, sentence", REMOVED)
def test_what_can_not_be_removed(store, name, sentence):
    before = store.targets()
    with pytest.raises(UsageError, match=sentence):
        store.remove_target(name)
    assert store.targets() == before


def test_an_addition_that_fails_leaves_no_target(store, tmp_path):
    before = store.targets()
    with pytest.raises(OutOfSpace, match="segment"):
        store.add_target("x", "ram", 1 << 50)
    with pytest.raises(StoreError, match="can't be opened"):
        store.add_target(str(tmp_path / "no" / "scratch"), "file", MIB)
    assert store.targets() == before
    assert store.add_target("x", "ram", MIB).capacity == MIB


def test_bytes_without_a_name_keep_a_target(open_store, monkeypatch):
    monkeypatch.setattr(emptying.empty, "__defaults__", (0.2,))
    store = open_store(memory=True, ram="1m")
    store.add_target("more", "ram", 4 * MIB)
    with store.batch("b") as batch:
        for number in range(20):
            batch.put("t", str(number), bytes([number]) * 100_000)
        with pytest.raises(WaitTimeout, match="'more' still holds .* that no blob names, after 0.2 s: end the batch"):
            store.remove_target("more")
    assert any(place(store, str(number)) == ["more"] for number in range(20))
    for number in range(15):
        store.delete("t", str(number))
    store.remove_target("more")
    assert all(store.get("t", str(number)) == bytes([number]) * 100_000 for number in range(15, 20))


def test_readers_writers_and_flushes_while_targets_come_and_go(open_store, tmp_path):
    store = open_store(ram="2m", file="64m")
    stop, wrong, count = threading.Event(), [], [0] * 3
    for blob in "abc":
        store.put("t", blob, bytes([1]) * 150_000)

    def work(number):
        made = 0
        try:
            while not stop.is_set():
                made, blob = made + 1, "abc"[made % 3]
                if number == 0:
                    store.put("t", blob, bytes([made % 251 + 1]) * 150_000)
                elif number == 1:
                    data = store.get("t", blob)
                    assert data == data[:1] * 150_000
                else:
                    store.flush()
                count[number] += 1
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(12):
            name, kind = (f"more {turn}", "ram") if turn % 2 else (f"{tmp_path}/scratch{turn}", "file")
            store.add_target(name, kind, 2 * MIB)
            for blob in "abc":
                store.move("t", blob, name)
            store.remove_target(name)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong and min(count) > 3, (wrong, count)
    assert names(store) == ["ram::test", "data"]
    store.flush()
    settled(store)


def test_files_that_last_are_of_the_store_from_then_on(open_store, tmp_path):
    """Their bytes come back without the configuration, and with it they take new ones; a job that only reads sees them, too."""
    store, path = open_store(ram="1m", file="1m"), str(tmp_path / "more")
    info = store.add_target(path, "file", 8 * MIB, persistence="long_term")
    assert (info.name, info.persistence, info.capacity, info.path) == (path, "long_term", 8 * MIB, info.path) and info.path.startswith(path)
    data = {str(number): os.urandom(MIB) for number in range(6)}
    for blob, each in data.items():
        store.put("t", blob, each)
    settled(store)
    store.close()
    for write in (False, True):
        store = open_store(write=write, ram="1m", file="1m")
        assert {blob: store.get("t", blob) for blob in store.list("t")} == data
        assert any(store.target_name(extent[0]) == info.path for blob in data for extent in store.extents("t", blob))
        if write:
            with pytest.raises(UsageError, match="from an earlier job: put it under `storage`"):
                store.add_target(path, "file", 8 * MIB, persistence="long_term")
            with pytest.raises(UsageError, match="holds what outlasts the job|there is no target"):
                store.remove_target(path)
        store.close()
    with open_store(memory=True) as store, pytest.raises(UsageError, match="can't be long_term in a store in memory"):
        store.add_target(path, "file", 8 * MIB, persistence="long_term")


def test_a_file_that_cannot_be_made_leaves_the_folder_as_it_was(store, tmp_path):
    before = open(os.path.join(store.folder, "STORE"), "rb").read()
    with pytest.raises(StoreError, match="can't be opened"):
        store.add_target(str(tmp_path / "no" / "more"), "file", MIB, persistence="long_term")
    assert open(os.path.join(store.folder, "STORE"), "rb").read() == before and names(store) == ["ram::test", "data"]
    store.put("t", "a", b"x" * MIB)
    store.flush()
    assert store.get("t", "a") == b"x" * MIB


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("persistence", ["long_term", "temporary"])
def test_no_error_leaves_half_a_target(store, tmp_path, monkeypatch, error, persistence):
    before, path = open(os.path.join(store.folder, "STORE"), "rb").read(), str(tmp_path / "more")

    def failing(*_, **__):
        raise error("no")
    with monkeypatch.context() as patched:
        patched.setattr(store._tiers._runtime, "device", failing)
        with pytest.raises(error):
            store.add_target(path, "file", MIB, persistence=persistence)
    assert open(os.path.join(store.folder, "STORE"), "rb").read() == before and names(store) == ["ram::test", "data"]
    assert store.add_target(path, "file", MIB, persistence=persistence).name == path


@pytest.mark.mpi
def test_all_ranks_add_and_remove_together(shared_folder, tmp_path):
    ranks = world()
    path = tmp_path / "targets.yaml"
    path.write_text("storage: [{path: 'ram::r', capacity_limit: 4m}, {path: data, bdev_type: file, capacity_limit: 32m}]\n")
    with Store.open(shared_folder, ranks, config=load(path)) as store:
        scratch = ranks.share(str(tmp_path / "scratch"), "where")
        for name, kind in (("more", "ram"), (scratch, "file")):
            assert store.add_target(name, kind, 4 * MIB).name == name
            mine = [f"{ranks.rank} {number}" for number in range(8)]
            for blob in mine:
                store.put("t", blob, blob.encode() * 20_000)
                assert store.move("t", blob, name)
            ranks.barrier("all have put")
            for blob in store.list("t"):
                assert store.get("t", blob) == blob.encode() * 20_000 and place(store, blob) == [name]
            store.remove_target(name)
            assert names(store) == ["ram::r", "data"]
            for blob in store.list("t"):
                assert store.get("t", blob) == blob.encode() * 20_000 and name not in place(store, blob)
            ranks.barrier("all have looked")
        with pytest.raises(UsageError, match="the first ram"):
            store.remove_target("ram::r")
        with pytest.raises(NoSuchBlob):
            store.get("t", "nobody")


@pytest.mark.mpi
def test_a_target_that_one_node_cannot_make_is_none(shared_folder, tmp_path, monkeypatch):
    ranks = world()
    path = tmp_path / "targets.yaml"
    path.write_text("storage: [{path: 'ram::r', capacity_limit: 4m}, {path: data, bdev_type: file, capacity_limit: 32m}]\n")
    scratch = ranks.share(str(tmp_path / "more"), "where")
    with Store.open(shared_folder, ranks, config=load(path)) as store:
        made = store._tiers._runtime.device

        def refused(*_, **__):
            raise OutOfSpace("this node's disk is full")
        for kind, persistence in (("ram", None), ("file", "temporary"), ("file", "long_term")):
            monkeypatch.setattr(store._tiers._runtime, "device", refused if ranks.node == ranks.nodes - 1 else made)
            with pytest.raises(OutOfSpace, match="this node's disk is full"):
                store.add_target(scratch, kind, 4 * MIB, persistence=persistence)
            assert names(store) == ["ram::r", "data"] and not [name for name in os.listdir(os.path.dirname(scratch)) if name.startswith("more")]
            ranks.barrier("all have looked")
        monkeypatch.setattr(store._tiers._runtime, "device", made)
        store.add_target(scratch, "file", 4 * MIB, persistence="long_term")
        store.put("t", f"{ranks.rank}", bytes([ranks.rank]) * 3_000_000)
        store.put("t", f"{ranks.rank} there", b"x" * 90_000, min_persistence="long_term")
        ranks.barrier("all have put")
        assert not any(extent[0] == 0 for extent in store.extents("t", f"{ranks.rank} there"))
        ranks.barrier("all have looked")
    with Store.open(shared_folder, ranks, config=load(path)) as store:
        assert all(store.get("t", f"{rank}") == bytes([rank]) * 3_000_000 and store.get("t", f"{rank} there") == b"x" * 90_000 for rank in range(ranks.size))
        ranks.barrier("all have looked")
