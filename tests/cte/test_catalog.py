"""The catalog against a dict; what happens when it is full; readers while a writer changes what they look for."""

import threading
import time

import pytest
from hypothesis import given, settings, strategies as st

from wrp.comm.ranks.solo import Solo
from wrp.cte.catalog import Catalog
from wrp.cte.records import BLOB, TAG, Record
from wrp.errors import OutOfSpace

NAMES = st.sampled_from([f"t{tag}" for tag in range(3)] + [f"t{tag}\0b{blob}" for tag in range(3) for blob in range(8)])
STEPS = st.lists(st.tuples(NAMES, st.integers(-1, 40), st.booleans()), max_size=150)


def made(slots=1000):
    return Catalog(Solo(), slots, 5)


def record(name, count, dirty):
    kind = BLOB if "\0" in name else TAG
    extents = tuple((count % 3, 64 * k, 10, k) for k in range(count)) if kind == BLOB else ()
    return Record(name, kind, count + 1, 10 * len(extents), count if kind == BLOB else 0, 1.0, extents, (), dirty)


def same(catalog, model):
    assert sorted(catalog.scan()) == sorted(model.values())
    for kind in (TAG, BLOB):
        assert sorted(catalog.scan(kind=kind)) == sorted(found for found in model.values() if found.kind == kind)
    for dirty in (True, False):
        assert sorted(catalog.scan(dirty=dirty)) == sorted(found for found in model.values() if found.dirty == dirty)
    for target in range(3):
        lying = [found for found in model.values() if any(extent[0] == target for extent in found.extents)]
        assert sorted(catalog.scan(target=target)) == sorted(lying)
        assert sorted(catalog.scan(kind=BLOB, dirty=False, target=target)) == sorted(found for found in lying if not found.dirty)
    for tag in ("t0", "t1", "t2"):
        blobs = [found for found in model.values() if found.kind == BLOB and found.tag == tag]
        if tag in model:
            assert sorted(catalog.names(tag)) == sorted(found.blob for found in blobs)
            assert sorted(catalog.scan(tag=tag)) == sorted(blobs)
            assert catalog.sums(tag) == (len(blobs), sum(found.size for found in blobs))
        else:
            assert catalog.names(tag) == [] and catalog.sums(tag) is None


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_against_a_dict(steps):
    catalog, model = made(), {}
    for name, count, dirty in steps:
        with catalog.changing("test"):
            if count < 0:
                assert catalog.remove(name) == model.pop(name, None)
            else:
                model[name] = record(name, count, dirty)
                catalog.put(model[name])
        assert catalog.find(name) == model.get(name) and catalog.has(name) == (name in model)
    same(catalog, model)
    with catalog.changing("test"):
        for name in list(model):
            catalog.remove(name)
    assert catalog.scan() == [] and len(catalog) == 0
    catalog.close()


@settings(max_examples=20, deadline=None)
@given(STEPS, STEPS)
def test_many_at_once_are_those_one_by_one(before, steps):
    one, many = made(), made()
    fresh = {name: record(name, count, dirty) for name, count, dirty in steps if count >= 0}
    for catalog in (one, many):
        with catalog.changing("test"):
            for name, count, dirty in before:
                catalog.put(record(name, max(count, 0), dirty))
    with one.changing("test"):
        replaced = [one.find(name) for name in fresh if "\0" in name and one.has(name)]
        for name, new in fresh.items():
            if "\0" in name or not one.has(name):
                one.put(new)
    with many.changing("test"):
        assert many.put_all(list(fresh.values())) == replaced
    assert sorted(many.scan()) == sorted(one.scan())
    for catalog in (one, many):
        catalog.close()


def test_full_catalog_refuses_and_keeps_what_it_has():
    catalog = made(slots=10)
    with catalog.changing("test"):
        with pytest.raises(OutOfSpace, match="next to its 10: raise runtime.index_slots"):
            for number in range(20):
                catalog.put(record(f"t\0b{number}", 1, True))
        assert len(catalog) == 10 and len(catalog.scan_held()) == 9         # one is the anchor of the tag
        catalog.put(record("t", 0, True))
        with pytest.raises(OutOfSpace):
            catalog.put(record("another\0b", 1, True))
        with pytest.raises(OutOfSpace):
            catalog.put(record("t\0b1", 1 << 16, True))         # a record longer than the heap
    assert catalog.find("another") is None and catalog.find("t\0b1") == record("t\0b1", 1, True)
    catalog.close()


def test_a_large_list_comes_in_parts(monkeypatch):
    monkeypatch.setattr("wrp.cte.catalog._LISTED", 200)
    catalog = made()
    with catalog.changing("test"):
        for number in range(30):
            catalog.put(record(f"t\0b{number}", number, True))
    assert len(catalog.scan()) == 30 and catalog.find("t") is None and catalog.scan(tag="t") == []
    with catalog.changing("test"):
        catalog.put_missing_tags(["t\0b1", "nobody\0x"])
    assert len(catalog.scan(tag="t")) == 30 and len(catalog.names("t")) == 30 and catalog.scan(kind=TAG)[0].name == "t"
    catalog.close()


def test_readers_see_one_state_or_another():
    """A writer replaces, lengthens and removes other names; a name that is always there is always found, whole."""
    catalog = made(slots=200)
    wrong, done = [], threading.Event()

    def read():
        while not done.is_set():
            found = catalog.find("t\0steady")
            if found is None or found != record("t\0steady", found.checksum, True):
                wrong.append(found)
    with catalog.changing("test"):
        catalog.put(record("t\0steady", 1, True))
    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    turn, end = 0, time.monotonic() + 1.5
    while time.monotonic() < end:
        turn += 1
        with catalog.changing("test"):
            catalog.put(record("t\0steady", turn % 23, True))
            for number in range(8):
                name = f"t\0other{(turn + number) % 60}"
                catalog.remove(name) if catalog.has(name) else catalog.put(record(name, turn % 7, True))
    done.set()
    for reader in readers:
        reader.join()
    assert turn > 50 and not wrong
    catalog.close()
