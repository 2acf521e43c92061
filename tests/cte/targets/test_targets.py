"""Targets of real devices: where bytes really go, what remains, what later jobs find."""

import os
import threading

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import ConfigError, OutOfSpace, StoreError, UsageError
from wrp.runtime.config import load

KIB, MIB = 1 << 10, 1 << 20
FAST = ("{path: 'ram::fast', bdev_type: ram, capacity_limit: 4m, score: 0.8, perf_metrics: "
        "{write_bandwidth_mbps: 10000, read_bandwidth_mbps: 10000, write_latency_us: 0.1}}")
SLOW = ("{path: 'ram::slow', bdev_type: ram, capacity_limit: 4m, score: 0.2, perf_metrics: "
        "{write_bandwidth_mbps: 6000, read_bandwidth_mbps: 6000, write_latency_us: 0.5}}")
FILE = "{path: data, bdev_type: file, capacity_limit: 16m, score: 0.0}"


@pytest.fixture
def opened(tmp_path, folder):
    """A function that opens a store with these `storage` entries; what is left open is closed."""
    stores = []

    def make(*entries, policy="max_bw", memory=False, write=True):
        path = tmp_path / "targets.yaml"
        path.write_text("storage:\n" + "".join(f"  - {entry}\n" for entry in entries) + f"dpe: {{dpe_type: {policy}}}\n")
        store = Store.open(None if memory else folder, config=load(path), write=write)
        stores.append(store)
        return store
    yield make
    for store in stores:
        store.close()


def place(store, blob):
    """Names of the targets in which the blob's bytes lie, from its extents."""
    names = {target.number: target.name for target in store.targets()}
    record = store._catalog.find(f"t\0{blob}")
    return [names[extent[0]] for extent in record.extents]


def test_a_score_chooses_between_two_rams_and_a_file(opened):
    store = opened(FAST, SLOW, FILE)
    for score, where in ((1.0, "ram::fast"), (0.8, "ram::fast"), (0.5, "ram::slow"), (0.2, "ram::slow"), (0.1, "data")):
        for nbytes in (100, 4096, 20 * KIB, MIB):
            blob, data = f"{score} {nbytes}", os.urandom(nbytes)
            store.put("t", blob, data, score=score)
            assert place(store, blob) == [where] and store.get("t", blob) == data, (score, nbytes)
    assert store.info("t", "0.1 100").tiers == ("file",) and store.info("t", "0.5 100").tiers == ("ram",)
    by_name = {target.name: target for target in store.targets()}
    assert [by_name[name].persistence for name in ("ram::fast", "ram::slow", "data")] == ["volatile", "volatile", "long_term"]
    assert by_name["ram::slow"].counts.writes == 8 and by_name["ram::slow"].counts.written_nbytes == 2 * (100 + 4096 + 20 * KIB + MIB)


def test_a_full_target_spills_to_the_next_and_only_then_is_there_no_room(opened):
    store = opened(FAST, SLOW, memory=True)
    for number in range(8):
        store.put("t", str(number), bytes([number]) * (MIB - 4096))
    assert [place(store, str(number)) for number in range(8)] == [["ram::fast"]] * 4 + [["ram::slow"]] * 4
    before = store.targets()
    with pytest.raises(OutOfSpace, match="ram target 'ram::fast' of 4 MiB has no room.*ram target 'ram::slow' of 4 MiB has no room"):
        store.put("t", "more", bytes(MIB))
    assert store.targets() == before and not store.exists("t", "more")
    assert all(store.get("t", str(number)) == bytes([number]) * (MIB - 4096) for number in range(8))


def test_bytes_of_volatile_targets_are_durable_after_a_flush(opened):
    data = os.urandom(MIB)
    store = opened(FAST, SLOW, FILE)
    store.put("t", "slow", data, score=0.5), store.put("t", "fast", data[:5000])
    store.flush()
    store.close()
    store = opened(FILE)
    assert store.get("t", "slow") == data and store.get("t", "fast") == data[:5000]


def test_a_persistence_that_is_asked_for(opened, tmp_path):
    scratch = f"{{path: {tmp_path}/scratch, bdev_type: file, capacity_limit: 8m, persistence_level: temporary}}"
    store = opened(FAST, scratch, FILE)
    for level, where in (("volatile", "ram::fast"), ("long_term", "data")):
        store.put("t", level, b"x" * 100, min_persistence=level)
        assert place(store, level) == [where]
    store.put("t", "temporary", b"x" * 100_000, min_persistence="temporary")
    assert place(store, "temporary")[0] in (f"{tmp_path}/scratch", "data") and store.get("t", "temporary") == b"x" * 100_000
    for level, where in (("volatile", "ram::fast"), ("temporary", f"{tmp_path}/scratch"), ("long_term", "data")):
        store.put("t", f"only {level}", b"x" * 100_000, min_persistence=f"only {level}")
        assert place(store, f"only {level}") == [where]
    for wrong in ({"min_persistence": "eternal"}, {"min_persistence": "only"}, {"min_persistence": "long_term", "offset": 1}, {"min_persistence": "long_term", "compression": "zlib"}):
        with pytest.raises(UsageError):
            store.put("t", "x", b"x", **wrong)
    store.close()
    assert not [name for name in os.listdir(tmp_path) if name.startswith("scratch")]


def test_a_memory_store_in_ram_only_refuses_what_it_cannot_keep(opened):
    store = opened(FAST, memory=True)
    with pytest.raises(OutOfSpace, match="no tier that fits"):
        store.put("t", "x", b"x", min_persistence="long_term")


@pytest.mark.parametrize("policy", ["round_robin", "random", "cost"])
def test_other_policies_use_all_targets_of_the_store(opened, policy):
    store = opened(FAST, SLOW, FILE, policy=policy)
    blobs = {str(number): os.urandom(64 * KIB) for number in range(60)}
    for blob, data in blobs.items():
        store.put("t", blob, data)
    used = {name for blob in blobs for name in place(store, blob)}
    # the fuller the fast one gets, the more does cost like the slow one; the file is far dearer
    assert used == ({"ram::fast", "ram::slow"} if policy == "cost" else {"ram::fast", "ram::slow", "data"})
    assert all(store.get("t", blob) == data for blob, data in blobs.items())


def test_what_remains_is_exact_after_churn_by_threads(opened):
    store = opened(FAST, SLOW, FILE, policy="round_robin")
    before = [target.remaining for target in store.targets()]
    assert before == [target.capacity for target in store.targets()]
    failed = []

    def churn(thread):
        try:
            for turn in range(120):
                blob = f"{thread} {turn % 7}"
                store.put("t", blob, bytes([turn]) * (1 + turn * 977 % 40_000), score=(turn % 5) / 4)
                if turn % 3 == 0:
                    store.delete("t", blob)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    store.flush()
    store.destroy("t")
    store.flush()
    store._tiers.blocks.shrink()
    assert [target.remaining for target in store.targets()] == before


def test_a_file_elsewhere_is_found_again_and_missed(opened, tmp_path):
    (tmp_path / "disk").mkdir()
    elsewhere = f"{{path: {tmp_path}/disk/wrp, bdev_type: file, capacity_limit: 8m}}"
    store = opened(FAST, elsewhere)
    data = os.urandom(MIB)
    store.put("away", "a", data)
    store.flush()
    store.close()
    files = os.listdir(tmp_path / "disk")
    assert len(files) == 1 and (tmp_path / "disk" / files[0]).stat().st_size >= MIB
    store = opened(FAST, FILE)                      # another configuration: what is there stays readable, and full
    assert store.get("away", "a") == data
    store.put("t", "here", data, score=0.0)
    assert place(store, "here") == ["data"]
    store.flush()
    store.close()
    os.rename(tmp_path / "disk" / files[0], tmp_path / "moved")
    with pytest.raises(StoreError, match=f"data file {tmp_path}/disk/{files[0]} isn't there, and blobs of the tags 'away' have bytes in it"):
        opened(FAST, FILE)
    os.rename(tmp_path / "moved", tmp_path / "disk" / files[0])
    store = opened(FAST, elsewhere)
    assert store.get("away", "a") == data and store.get("t", "here") == data
    store.destroy("away"), store.destroy("t")
    store.close()
    os.remove(tmp_path / "disk" / files[0])
    assert opened(FAST, FILE).tags() == []          # nothing is missed that nobody uses


def test_noop_forgets_and_says_so(opened):
    store = opened(FAST, "{path: nothing, bdev_type: noop, capacity_limit: 16m, score: 0.1}", FILE, policy="max_bw")
    store.put("t", "a", b"x" * 100_000, score=0.15)
    if place(store, "a") == ["nothing"]:
        with pytest.raises(StoreError, match="'nothing' of kind noop, which forgets what it is given"):
            store.get("t", "a")
    store.put("t", "b", b"kept")
    store.flush()
    assert store.size("t", "a") == 100_000 and store.get("t", "b") == b"kept"
    store.close()
    assert opened(FAST, FILE).get("t", "b") == b"kept"


def test_a_blob_moves_through_three_targets(opened):
    data = os.urandom(MIB)
    store = opened(FAST, SLOW, FILE)
    store.put("t", "a", data)
    before = {target.name: target.remaining for target in store.targets()}
    for where, held in (("ram::slow", ["ram::slow"]), ("ram", ["ram::fast"]), ("file", ["data"]), ("ram::slow", ["ram::slow"]), ("ram::fast", ["ram::fast"])):
        assert store.move("t", "a", where) and not store.move("t", "a", where)
        assert place(store, "a") == held and store.get("t", "a") == data
    after = {target.name: target.remaining for target in store.targets()}
    assert after == {**before, "data": before["data"] - MIB}
    view = store.view("t", "a")
    assert not store.move("t", "a", "ram::slow") and bytes(view) == data
    with pytest.raises(UsageError, match="'ram::slow', not 'tape'"):
        store.move("t", "a", "tape")


def test_rams_of_a_memory_store_exchange_blobs(opened):
    store = opened(FAST, SLOW, memory=True)
    store.put("t", "a", b"x" * 100_000)
    assert not store.move("t", "a", "file")
    assert store.move("t", "a", "ram::slow") and place(store, "a") == ["ram::slow"] and store.get("t", "a") == b"x" * 100_000
    assert store.move("t", "a", "ram") and place(store, "a") == ["ram::fast"]


@pytest.mark.parametrize("entry, sentence", [
    ("{path: 'ram::x', bdev_type: ram, persistence_level: long_term}", "ram is never long_term"),
    ("{path: scratch, bdev_type: file, persistence_level: temporary}", "give it an absolute path, not 'scratch'"),
    ("{path: 'ram::x', bdev_type: file}", "doesn't fit bdev_type file"),
    ("{path: x, bdev_type: ram}", "doesn't fit bdev_type ram"),
    ("{path: 'ram::x', score: 2}", "it must be from 0 to 1"),
])
def test_what_no_target_can_be_is_refused(opened, entry, sentence):
    with pytest.raises(ConfigError, match=sentence):
        opened(entry)


def test_a_policy_that_is_not_known(opened):
    with pytest.raises(ConfigError, match="did you mean 'max_bw'"):
        opened(FAST, policy="max_bandwidth")


@pytest.mark.mpi
def test_what_remains_is_exact_after_churn_by_ranks(shared_folder, tmp_path):
    ranks = world()
    path = tmp_path / "targets.yaml"
    path.write_text(f"storage:\n  - {FAST}\n  - {FILE}\n  - {FILE}\ndpe: {{dpe_type: round_robin}}\n")
    with Store.open(shared_folder, ranks, config=load(path)) as store:
        ranks.barrier("all have the store open")
        before = [target.remaining for target in store.targets()]
        ranks.barrier("all have looked")
        for turn in range(60):
            blob, data = f"{ranks.rank} {turn % 5}", bytes([turn, ranks.rank]) * (1 + turn * 977 % 40_000)
            store.put("t", blob, data, score=(turn % 5) / 4)
            assert store.get("t", blob) == data
        store.flush_all()
        ranks.barrier("all have put")
        used = sum(target.capacity - target.remaining for target in store.targets())
        assert used > 0 and len(before) == 3
        ranks.barrier("all have seen what is used")
        for turn in range(5):
            store.delete("t", f"{ranks.rank} {turn}")
        store.flush_all()
        ranks.barrier("all have deleted")
        store._tiers.blocks.shrink()
        ranks.barrier("all pages are back")
        assert [target.remaining for target in store.targets()] == before


def test_a_pinned_target_is_ram(opened):
    store = opened(FAST, "{path: locked, bdev_type: pinned, capacity_limit: 4m, score: 0.2, perf_metrics: {write_bandwidth_mbps: 6000, read_bandwidth_mbps: 6000, write_latency_us: 0.5}}")
    store.put("t", "b", b"x" * 70_000, score=0.5)
    assert place(store, "b") == ["locked"] and store.get("t", "b") == b"x" * 70_000 == bytes(store.view("t", "b"))
    assert next(target for target in store.targets() if target.name == "locked").kind == "pinned"


def test_a_ram_of_capacity_0_takes_what_there_is_and_other_kinds_do_not(opened):
    store = opened("{path: 'ram::all', capacity_limit: 0g}", memory=True)
    assert store.targets()[0].capacity > 256 * MIB
    store.put("t", "b", b"x" * MIB)
    assert store.get("t", "b") == b"x" * MIB
    with pytest.raises(ConfigError, match="capacity_limit is 0: it must be at least 4096"):
        opened("{path: data, capacity_limit: 0}")
