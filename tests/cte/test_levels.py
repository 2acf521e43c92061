"""More than two tiers: ram, scratch space, a fast and a slow file. What a caller or an organizer moves is where it should be, and never nowhere."""

import os
import threading

import pytest

from wrp.cte import Store
from wrp.cte.organizing import Organizing, tiers_of
from wrp.cte.records import full_name
from wrp.errors import NoSuchBlob, UsageError
from wrp.runtime.config import load

MIB = 1 << 20
SPEEDS = {"scratch": 3000, "fast": 2000, "slow": 200}


@pytest.fixture
def opened(tmp_path, folder):
    """A function that opens a store with these tiers below a ram; `sizes` in MiB."""
    stores = []

    def make(*names, memory=False, **sizes):
        entries = [f"{{path: 'ram::top', bdev_type: ram, capacity_limit: {sizes.get('ram', 4)}m}}"]
        for name in names:
            scratch = name.startswith("scratch")
            place = f"{tmp_path}/{name}" if scratch else name
            speed = SPEEDS[name.rstrip("0123456789")] - int(name[-1]) * 100 if name[-1].isdigit() else SPEEDS[name]
            entries.append(f"{{path: '{place}', bdev_type: file, capacity_limit: {sizes.get(name, 8)}m, "
                           f"persistence_level: {'temporary' if scratch else 'long_term'}, perf_metrics: {{write_bandwidth_mbps: {speed}, "
                           f"read_bandwidth_mbps: {speed}, write_latency_us: {10_000 // speed}}}}}")
        path = tmp_path / "levels.yaml"
        path.write_text("storage:\n" + "".join(f"  - {entry}\n" for entry in entries))
        stores.append(Store.open(None if memory else folder, config=load(path)))
        return stores[-1]
    yield make
    for store in stores:
        store.close()


def data(number):
    return bytes([number]) * (MIB - 4096 - number)


def names_of(store):
    return {target.number: os.path.basename(target.name) for target in store.targets()}


def place(store, blob):
    """The targets from which a blob is read."""
    return {names_of(store)[extent[0]] for extent in store._catalog.find(full_name("t", blob)).extents}


def lasting(store, blob):
    """The data files in which it is."""
    return {names_of(store)[extent[0]] for extent in store._catalog.find(full_name("t", blob)).durable}


def filled(store, count):
    for number in range(count):
        store.put("t", str(number), data(number))


def whole(store, count):
    """Every blob is what it was, and nothing is taken that none names."""
    for number in range(count):
        assert store.get("t", str(number)) == data(number)
    records = store._catalog.scan()
    named = {extent[:3] for record in records for extent in record.extents + record.durable}
    for target in store.targets():
        taken = sum(-(-extent[2] // 4096) * 4096 for extent in named if extent[0] == target.number)
        assert target.capacity - target.remaining == taken, target


def test_tiers_in_order_of_speed(opened):
    store = opened("slow", "scratch", "fast")
    order = [names_of(store)[tier.number] for tier in tiers_of(store._tiers)]
    assert order == ["ram::top", "scratch", "fast", "slow"]


@pytest.mark.parametrize("is_flushed", [False, True])
def test_a_caller_moves_a_blob_through_all_of_them(opened, tmp_path, is_flushed):
    store = opened("scratch", "fast", "slow")
    filled(store, 3)
    if is_flushed:
        store.flush()
    stamp = store.info("t", "1").stamp
    for name, last in (("slow", "slow"), (str(tmp_path / "scratch"), "slow"), ("fast", "fast"), ("ram", "fast"), ("slow", "slow"), ("file", "slow"), ("ram", "slow")):
        moved = store.move("t", "1", name)
        assert moved == (name != "file"), name
        where = {"ram": "ram::top", "file": "slow"}.get(name, os.path.basename(name))
        assert place(store, "1") == {where} and lasting(store, "1") == {last} and store.info("t", "1").stamp == stamp
        assert not store._catalog.find(full_name("t", "1")).dirty
        whole(store, 3)
    with pytest.raises(UsageError, match="'fast'"):
        store.move("t", "1", "elsewhere")
    with pytest.raises(NoSuchBlob):
        store.move("t", "none", "slow")
    store.close()
    store = opened("scratch", "fast", "slow")
    assert lasting(store, "1") == {"slow"} == place(store, "1")
    whole(store, 3)


def test_a_viewed_blob_and_one_without_room_stay(opened):
    store = opened("fast", "slow", slow=2)
    filled(store, 3)
    store.flush()
    view = store.view("t", "0")
    assert not store.move("t", "0", "slow") and bytes(view) == data(0)
    assert store.move("t", "1", "slow") and store.move("t", "2", "slow")
    store.put("t", "3", data(3))
    store.flush()
    before = lasting(store, "3")
    assert not store.move("t", "3", "slow")
    assert lasting(store, "3") == before and not store._catalog.find(full_name("t", "3")).dirty
    whole(store, 4)


@pytest.mark.parametrize("names, memory", [(("scratch1", "scratch2"), True), (("fast", "slow"), False), (("scratch", "fast", "slow"), False)], ids=str)
def test_what_nobody_uses_sinks_level_by_level(opened, names, memory):
    """Each level takes what the one above has no room for; what is used stays up, or comes up again."""
    sizes = {"ram": 4, names[0]: 4, names[1]: 4 if len(names) > 2 else 32, names[-1]: 32}
    store = opened(*names, memory=memory, **sizes)
    driver = Organizing(store._catalog, store._tiers, store._moves, "lru")
    count = 12
    for number in range(count):
        store.put("t", str(number), data(number))
        if not memory:
            store.flush()
        for _ in range(2):
            driver.look()
    for _ in range(6):
        store.get("t", "0", size=1), store.get("t", str(count - 1), size=1)
        driver.look()
    levels = ["ram::top", *names]
    places = [max(map(levels.index, place(store, str(number)))) for number in range(count)]
    assert places[0] == places[-1] == 0 and 1 in places and len(set(places)) >= 3, (places, driver.organized)
    whole(store, count)
    if not memory:
        store.close()
        whole(opened(*names, **sizes), count)


def test_readers_and_writers_while_blobs_sink_and_rise(opened):
    store = opened("fast", "slow", fast=24, slow=24)
    filled(store, 6)
    store.flush()
    stop, errors = threading.Event(), []

    def reads():
        try:
            while not stop.is_set():
                for number in range(5):
                    assert store.get("t", str(number)) == data(number)
                store.put("t", "5", data(5))
        except BaseException as error:
            errors.append(error)
    thread = threading.Thread(target=reads)
    thread.start()
    try:
        for turn in range(20):
            for number in range(6):
                store.move("t", str(number), ("slow", "ram", "fast")[(turn + number) % 3])
    finally:
        stop.set()
        thread.join()
    assert not errors
    store.flush()
    whole(store, 6)


def test_a_target_that_comes_is_a_tier_from_then_on(opened, tmp_path):
    store = opened("fast")
    driver = Organizing(store._catalog, store._tiers, store._moves, "lru")
    driver.look()
    store.add_target(str(tmp_path / "later"), "file", 8 * MIB)
    filled(store, 2)
    driver.look()
    assert len(driver._found) == 3 and set(driver._organizer.book.blobs) == {full_name("t", "0"), full_name("t", "1")}
    store.remove_target(str(tmp_path / "later"))
    driver.look()
    assert len(driver._found) == 2
    whole(store, 2)
