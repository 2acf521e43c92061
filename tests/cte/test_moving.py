"""Moves between real ram and files, by callers and by organizers: what is where, readers meanwhile, crashes of the plan."""

import threading
import time

import pytest
from wrp.comm.ranks import world
from wrp.cte import Store, organizer
from wrp.cte.client import Client
from wrp.cte.moving import in_ram
from wrp.cte.organizer import registry
from wrp.cte.organizer.lru import Lru
from wrp.cte.organizing import Organizing
from wrp.cte.records import RAM, full_name
from wrp.errors import NoSuchTag, UsageError
from wrp.runtime.config import load

MIB = 1 << 20


@pytest.fixture
def store(open_store):
    return open_store(ram="4m", file="64m")


def moves_of(store):
    return store._moves


def organizing(store, name, **settings):
    return Organizing(store._catalog, store._tiers, moves_of(store), name, **settings)


def where(store, blob):
    return "ram" if in_ram(store._catalog.find(full_name("t", blob))) else "file"


def settled(store):
    """Nothing is leased that no record names, nothing named twice."""
    records = store._catalog.scan()
    named = [extent[:3] for record in records for extent in set(record.extents) | set(record.durable)]
    assert len(named) == len(set(named))
    return {target: sum(extent[2] for extent in named if extent[0] == target) for target in (RAM, 1)}


def test_a_blob_goes_down_and_comes_up_again(store):
    data = bytes(range(256)) * 4096
    store.put("t", "a", data)
    store.put("t", "other", b"dirty")
    moves, name, stamp = moves_of(store), full_name("t", "a"), store.info("t", "a").stamp
    before = store._tiers.ram.free
    assert moves.move(name, to_ram=False, score=0.25)
    assert where(store, "a") == "file" and store.get("t", "a") == data and store._tiers.ram.free >= before + MIB
    assert not moves.move(name, to_ram=False)
    assert store._catalog.find(full_name("t", "other")).dirty           # only what moves is flushed
    assert moves.move(name, to_ram=True)
    assert where(store, "a") == "ram" and store.get("t", "a") == data
    info = store.info("t", "a")
    assert (info.score, info.stamp, info.tiers) == (0.25, stamp, ("file", "ram"))
    settled(store)


def test_what_moved_survives_the_job(open_store):
    store = open_store(ram="4m")
    for number in range(3):
        store.put("t", str(number), bytes([number]) * MIB)
        moves_of(store).move(full_name("t", str(number)), to_ram=False)
    moves_of(store).move(full_name("t", "1"), to_ram=True)
    store.close()
    store = open_store(ram="4m")
    assert [store.get("t", str(number)) for number in range(3)] == [bytes([number]) * MIB for number in range(3)]


def test_moves_that_cannot_be_are_refused_without_a_trace(store):
    moves = moves_of(store)
    assert not moves.move(full_name("t", "nobody"), True) and not moves.move("t", True)
    store.put("t", "empty", b"")
    assert not moves.move(full_name("t", "empty"), False)
    store.put("t", "viewed", b"x" * MIB)
    view = store.view("t", "viewed")
    assert not moves.move(full_name("t", "viewed"), False) and where(store, "viewed") == "ram" and bytes(view) == b"x" * MIB
    for number in range(9):                 # dirty ones fill the ram: nothing comes up
        store.put("t", str(number), bytes([number]) * MIB)
    down = next(str(number) for number in range(9) if where(store, str(number)) == "file")
    store.flush()
    free = store._tiers.ram.free
    store.put("t", down, b"new" * (MIB // 3))
    assert not moves.move(full_name("t", down), where(store, down) == "ram")
    assert store._tiers.ram.free >= free - MIB
    del view
    settled(store)


def test_a_memory_store_has_nowhere_to_move_to(open_store):
    store = open_store(memory=True)
    store.put("t", "a", b"x" * 1000)
    assert store.get("t", "a") == b"x" * 1000


def test_readers_and_writers_while_a_blob_moves(store):
    """Old or new, never neither: every get returns whole bytes of one put."""
    nbytes, stop, wrong, gets = 256 << 10, threading.Event(), [], []
    for blob in "ab":
        store.put("t", blob, bytes([1]) * nbytes)

    def read(blob):
        while not stop.is_set():
            data = store.get("t", blob)
            gets.append(blob)
            if len(data) != nbytes or data.count(data[0]) != nbytes:
                wrong.append((blob, set(data)))

    def write():
        for number in range(10**9):
            if stop.is_set():
                return
            store.put("t", "b", bytes([number % 251 + 1]) * nbytes)
            time.sleep(0.001)

    threads = [threading.Thread(target=read, args=(blob,)) for blob in "ab"] + [threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    moves, moved, end = moves_of(store), 0, time.monotonic() + 2
    try:
        while time.monotonic() < end:
            for blob in "ab":
                moved += moves.move(full_name("t", blob), to_ram=where(store, blob) == "file")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong and moved > 5 and set(gets) == {"a", "b"}
    store.flush()
    settled(store)


@pytest.mark.parametrize("name", [name for name in organizer.NAMES if name != "none"])
def test_an_organizer_brings_up_what_is_used(store, name):
    """The ram holds three of twelve blobs; the two that are used end up there, whatever was put last."""
    for number in range(12):
        store.put("t", str(number), bytes([number]) * MIB)
        store.flush()
    driver = organizing(store, name)
    driver.look()
    for _ in range(4):
        for _ in range(10):
            assert store.get("t", "0", size=1) == b"\0" and store.get("t", "1", size=1) == b"\1"
        driver.look()
    assert where(store, "0") == where(store, "1") == "ram", driver.organized
    assert driver.organized.moved >= 2 and driver.organized.moved_nbytes >= 2 * MIB and not driver.organized.last_error
    for number in range(12):
        assert store.get("t", str(number)) == bytes([number]) * MIB
    settled(store)


@pytest.mark.parametrize("name", [name for name in organizer.NAMES if name != "none"])
def test_an_organizer_takes_out_what_is_not_used_when_the_ram_is_full(open_store, name):
    store = open_store(ram="4m", file="64m")
    for number in range(4):
        store.put("t", str(number), bytes([number]) * (MIB - 4096))
    for _ in range(3):
        for blob in "013":
            store.get("t", blob)
    driver = organizing(store, name)
    driver.look()
    places = {str(number): where(store, str(number)) for number in range(4)}
    assert places["2"] == "file" and list(places.values()).count("file") == 1, (places, driver.organized)
    assert store.get("t", "2") == bytes([2]) * (MIB - 4096)
    settled(store)


def test_none_moves_nothing_and_most_is_kept(store):
    for number in range(12):
        store.put("t", str(number), bytes([number]) * MIB)
    store.flush()
    driver = organizing(store, "none")
    for _ in range(5):
        store.get("t", "0")
        driver.look()
    assert driver.organized.looks == 5 and driver.organized.moved == driver.organized.refused == 0
    driver = organizing(store, "lru", most=1)
    driver.look()
    for blob in "012":
        store.get("t", blob)
    driver.look()
    assert driver.organized.moved + driver.organized.refused <= 2


def test_the_thread_looks_by_itself_survives_errors_and_ends(store, monkeypatch):
    for number in range(12):
        store.put("t", str(number), bytes([number]) * MIB)
        store.flush()
    driver = organizing(store, "lru")
    look = driver._glances.look
    monkeypatch.setattr(driver._glances, "look", lambda: (_ for _ in ()).throw(OSError("no catalog today")))
    driver.start(0.01, 60)
    until(lambda: driver.organized.last_error)
    monkeypatch.setattr(driver._glances, "look", look)
    until(lambda: driver.organized.looks > 1)
    store.get("t", "0", size=1)
    until(lambda: where(store, "0") == "ram")
    driver.stop(), driver.stop()
    looks = driver.organized.looks
    time.sleep(0.05)
    assert driver.organized.looks == looks


def test_a_look_that_fails_loses_nothing(store, monkeypatch):
    """The organizer hears of what was put before it the next time, and of what has gone."""
    driver = organizing(store, "lru")
    store.put("t", "gone", b"x")
    driver.look()
    store.put("t", "a", b"x"), store.delete("t", "gone")
    for part in ("_closer", "_seen"):
        with monkeypatch.context() as patched:
            patched.setattr(driver._glances, part, lambda *_: (_ for _ in ()).throw(OSError("no catalog today")))
            with pytest.raises(OSError):
                driver.look()
    driver.look()
    assert list(driver._known) == ["t\0a"] and driver.organized.looks == 2


def until(reached):
    end = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_deleted_and_replaced_blobs_are_forgotten(store):
    driver = organizing(store, "frecency")
    for number in range(6):
        store.put("t", str(number), bytes([number]) * 1000)
    driver.look()
    store.delete("t", "0"), store.put("t", "1", b"new" * 500), store.destroy("t"), store.put("t", "5", b"x")
    driver.look()
    assert set(driver._organizer.book.blobs) == {full_name("t", "5")} == set(driver._known)


def organized_config(tmp_path, name="lru", period=20):
    path = tmp_path / "organized.yaml"
    path.write_text("storage:\n  - {path: 'ram::test', bdev_type: ram, capacity_limit: 4m}\n  - {path: data, bdev_type: file, "
                    f"capacity_limit: 64m}}\nperformance: {{organizer: {name}, organizer_period_ms: {period}, max_concurrent_operations: 8}}\n")
    return load(path)


def test_a_configured_organizer_works_by_itself_and_ends_with_the_store(tmp_path, folder):
    with Store.open(folder, config=organized_config(tmp_path)) as store:
        for number in range(12):
            store.put("t", str(number), bytes([number]) * MIB)
            store.flush()
        down = next(str(number) for number in range(12) if where(store, str(number)) == "file")
        store.get("t", down)
        until(lambda: where(store, down) == "ram")
        assert store.organize().moved > 0
    assert not [thread for thread in threading.enumerate() if thread.name == "wrp-organizer"]
    with Store.open(folder, config=organized_config(tmp_path, "none")) as store:
        assert store.organize().looks == 0 and store.get("t", down) == bytes([int(down)]) * MIB


def test_move_by_the_caller(store):
    store.put("t", "a", b"x" * MIB)
    assert store.move("t", "a", "file") and not store.move("t", "a", "file") and store.info("t", "a").tiers == ("file",)
    assert store.move("t", "a", "ram") and store.info("t", "a").tiers == ("file", "ram")
    with pytest.raises(NoSuchTag):
        store.move("nobody", "a", "ram")
    with pytest.raises(UsageError, match="'ram' or 'file', or to .* not 'tape'"):
        store.move("t", "a", "tape")


@pytest.mark.mpi
def test_one_rank_of_a_node_organizes_while_all_work(shared_folder, tmp_path):
    ranks = world()
    with Store.open(shared_folder, ranks, config=organized_config(tmp_path, "frecency", 5)) as store:
        for turn in range(30):
            name = f"{ranks.rank}-{turn % 6}"
            data = bytes([turn + 1, ranks.rank]) * (MIB // 8)
            store.put("t", name, data)
            if turn % 3 == 0:
                store.flush()
            assert store.get("t", name) == data
            for other in range(ranks.size):
                if store.exists("t", f"{other}-0"):
                    found = store.get("t", f"{other}-0")
                    assert found == found[:2] * (MIB // 8) and found[1] == other
        ranks.barrier("all have worked")
        organized = store.organize()
        assert (organized.looks > 0) == (ranks.local_rank == 0) and not organized.last_error


SCORED = """
storage:
  - {path: "ram::hot", bdev_type: ram, capacity_limit: 4m, score: 0.8}
  - {path: "ram::warm", bdev_type: ram, capacity_limit: 2m, score: 0.4}
  - {path: data, bdev_type: file, capacity_limit: 16m, score: 0.1}
  - {path: nothing, bdev_type: noop, capacity_limit: 16m, score: 0.0}
"""


@pytest.fixture
def scored(tmp_path, folder):
    (tmp_path / "scored.yaml").write_text(SCORED)
    with Store.open(folder, config=tmp_path / "scored.yaml") as store:
        yield store


def place(store, blob):
    return {store.target_name(target) for target, _, _ in store.extents("t", blob)}


def test_a_blob_goes_where_a_put_with_its_score_would_go(scored):
    data = bytes(range(256)) * 400
    scored.put("t", "b", data)
    assert place(scored, "b") == {"ram::hot"}
    for score, name in ((0.5, "ram::warm"), (0.2, "data/0"), (0.5, "ram::warm"), (0.9, "ram::hot"), (0.3, "data/0")):
        Client(scored).reorganize_blob("t", "b", score)
        assert place(scored, "b") == {name} and scored.get("t", "b") == data and scored.score("t", "b") == score
        assert not scored.move("t", "b", None)


def test_a_blob_that_fills_its_target_stays_and_one_without_room_goes_on(scored):
    scored.put("t", "large", bytes(1 << 20) + b"x" * (1 << 19), score=0.5)
    assert place(scored, "large") == {"ram::warm"} and not scored.move("t", "large", None)      # its own bytes don't count as taken
    scored.put("t", "next", bytes(1 << 20), score=0.9)
    scored.score("t", "next", 0.5)
    assert scored.move("t", "next", None) and place(scored, "next") == {"data/0"}                # no room in the second ram
    settled(scored)


def test_a_policy_that_fails_is_told_once_and_organizing_goes_on(store, caplog, monkeypatch):
    ticks = []

    class Failing(Lru):
        def tick(self):
            ticks.append(self)
            if len(ticks) < 4:
                return {}["a fault"]
            return super().tick()
    monkeypatch.setitem(registry._ALL, "lru", Failing)
    store.put("t", "a", bytes(MIB))
    moves_of(store).move(full_name("t", "a"), to_ram=False)
    store.get("t", "a")
    found = organizing(store, "lru")
    found.start(0.01, 60)
    try:
        end = time.monotonic() + 30
        while where(store, "a") == "file" and time.monotonic() < end:
            store.get("t", "a")
            time.sleep(0.01)
    finally:
        found.stop()
    assert where(store, "a") == "ram" and found.organized.moved == 1
    assert [record.message for record in caplog.records if "organizer" in record.message] == [
        "the organizer failed at a look, and goes on with the next one, knowing no earlier use of any blob (KeyError: 'a fault')"]
