"""Calls of a store that an error of a signal's handler ends in the middle, at every step: they have happened or not, the store goes on, and no byte belongs to two blobs."""
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from harness.interrupting import Interrupted, interrupted_at, interrupted_behind_any_call

from wrp.comm.ranks.solo import Solo
from wrp.cte import Store, catalog
from wrp.cte.arrays import get_array, put_array
from wrp.cte.folder.replay import read_changes
from wrp.errors import OutOfSpace

_LONG, _SHORT = 300_000, 1000


def _long(store, step):
    store.put("t", "long", _bytes(step, _LONG))


def _short(store, step):
    store.put("t", "short", _bytes(step, _SHORT), min_persistence="only volatile")


def _range(store, step):
    store.put("t", "range", b"r" * 400, step % 50)


def _append(store, step):
    store.put("t", "range", b"r" * 400)
    store.append("t", "range", b"r")


def _tag(store, step):
    store.put(f"tag{step}", "b", _bytes(step, 100))


def _delete(store, step):
    store.put("t", "gone", _bytes(step, _SHORT))
    store.delete("t", "gone")


def _rename(store, step):
    store.put("t", f"old{step}", _bytes(step, _SHORT))
    store.rename("t", f"old{step}", f"new{step}")


def _replace(store, step):
    store.put("t", "over", _bytes(step, _SHORT))
    store.rename("t", "over", "replaced", replace=True)


def _snapshot(store, step):
    store.snapshot("t", f"snapshot{step}")
    store.destroy(f"snapshot{step}")


def _reserve(store, step):
    with store.reserve("t", "reserved", _LONG) as place:
        place.view[:] = _bytes(step, _LONG)


def _move(store, step):
    store.put("t", "moved", _bytes(step, _LONG))
    store.move("t", "moved", "file")
    store.move("t", "moved", "ram")


def _flush(store, step):
    store.put("t", "flushed", _bytes(step, _LONG))
    store.flush()


def _batch(store, step):
    with store.batch("a batch") as batch:
        batch.put("t", "batched", _bytes(step, 4000))
        batch.put("t", "batched too", _bytes(step, _LONG))


def _evict(store, step):
    store.put("t", "evicted", _bytes(step, _LONG))
    store.evict("ram", _LONG)


_WAITING = (_move, _flush, _batch, _evict)          # for storage, each time
_STRIDES = {_move: 29, _flush: 19, _evict: 19, _batch: 3, _snapshot: 5}


@pytest.mark.parametrize("call", [_long, _short, _range, _append, _tag, _delete, _rename, _replace, _snapshot, _reserve, _move, _flush, _batch, _evict], ids=lambda call: call.__name__.strip("_"))
def test_an_interrupted_call_is_done_or_not_and_the_store_goes_on(call, tmp_path):
    with Store.open(str(tmp_path / "store") if call in _WAITING else None, Solo()) as store:
        for turn in range(2):
            for each in (_long, _short, _range):
                each(store, turn)
            call(store, turn)                   # kernels are there, space is where it will be
        step = 1
        while interrupted_at(step, lambda: call(store, 1000 + step)):
            _long(store, step), _short(store, step)
            step += _STRIDES.get(call, 1)
            if step % 50 == 0:
                _check(store)
        _check(store)
    assert step > 20


def _filed(store, step):
    store.put("t", "filed", _bytes(step, 100_000), min_persistence="temporary")


def _zipped(store, step):
    store.put("t", "zipped", _bytes(step, 50_000), compression="zlib")
    store.put("t", "zipped", b"abc", 100)


def _many(store, step):
    store.put_many("t", [f"m{number}" for number in range(5)], np.full((5, 2000), step % 256, np.uint8))


def _truncate(store, step):
    store.put("t", "cut", _bytes(step, _LONG))
    store.truncate("t", "cut", _LONG // 3)


_views = []


def _replace_viewed(store, step):
    store.put("t", "viewed", _bytes(step, _SHORT))
    _views.append(store.view("t", "viewed"))
    store.put("t", "viewed", _bytes(step, _LONG))


def _destroy(store, step):
    for number in range(4):
        store.put("d", f"b{number}", _bytes(step, _SHORT if number % 2 else _LONG))
    store.destroy("d")


def _abandon(store, step):
    batch = store.batch("a batch")
    batch.put("t", "batched", _bytes(step, 4000))
    batch.put("t", "batched", _bytes(step, _LONG))
    batch.abandon()


def _writing(store, step):
    with store.batch("a batch") as batch:
        with batch.writing("t", "written", _LONG) as place:
            place[:] = _bytes(step, _LONG)
        batch.put("t", "batched", _bytes(step, 4000))
        batch.remove("removed")


def _array(store, step):
    put_array(store, "a", np.full((300, 400), step % 256, np.uint8))
    assert (get_array(store, "a", (10, 20), (100, 100)) == step % 256).all()


_FREED = {_array: 17, _long: 1, _short: 3, _range: 3, _append: 5, _zipped: 11, _many: 1, _truncate: 5, _replace_viewed: 3, _delete: 5, _rename: 5, _replace: 5, _snapshot: 17, _reserve: 3,
          _destroy: 11, _abandon: 5, _writing: 11, _batch: 17, _filed: 3, _flush: 37, _move: 23, _evict: 19}


@pytest.mark.parametrize("call, stride", _FREED.items(), ids=lambda each: getattr(each, "__name__", str(each)).strip("_"))
def test_space_that_an_interrupted_call_had_is_free_with_the_next_one(call, stride, tmp_path):
    with Store.open(str(tmp_path / "store") if call in (*_WAITING, _filed) else None, Solo()) as store:
        for turn in range(2):
            for each in (_long, _short, call):
                each(store, turn)
            assert _taken(store) == 0           # and what follows begins with no page for blocks
        step = 1
        goes_on = True
        while goes_on:
            _short(store, step), _long(store, step)
            goes_on = interrupted_at(step, lambda: call(store, step))
            assert _taken(store) == 0, step
            step += stride
    assert step > 10 * stride


def _taken(store):
    """Bytes that lie nowhere once everything is destroyed."""
    _views.clear()
    for tag in store.tags():
        store.destroy(tag)
    store.flush()
    tiers = store._tiers
    tiers.blocks.shrink()
    return sum(2 * device.capacity - device.remaining - device.free for device in tiers._devices.values())


class _Full(Interrupted, OutOfSpace):
    """As a handler raises that has itself put something where there was no room."""

    def __init__(self):
        super().__init__("no room for what the handler puts")


def test_space_of_a_put_that_an_untrue_out_of_space_ends_is_free_with_the_next_one():
    with Store.open(None, Solo()) as store:
        for turn in range(3):
            _long(store, turn)
        used, step, goes_on = store._tiers.used(0), 1, True
        while goes_on:
            goes_on = interrupted_at(step, lambda: _long(store, step), _Full)
            for number in range(2):
                _long(store, number)
            assert store._tiers.used(0) == used, step
            step += 1
        assert step > 10


def test_what_is_written_to_a_reservation_is_what_its_commit_shows_though_an_untrue_out_of_space_came_as_it_was_made():
    with Store.open(None, Solo()) as store:
        step, goes_on = 1, True
        while goes_on:
            def work():
                with store.reserve("t", "reserved", _LONG) as place:
                    place.view[:] = after
            _reserve(store, step)
            before, after = _bytes(step, _LONG), _bytes(step + 1, _LONG)
            goes_on = interrupted_behind_any_call(step, work, error=_Full)
            assert store.get("t", "reserved") in (before, after), step
            assert _taken(store) == 0, step
            step += 1
        assert step > 50 and _taken(store) == 0


def test_a_batch_that_is_interrupted_as_it_looks_at_what_it_has_replaced_gives_that_back(monkeypatch):
    with Store.open(None, Solo()) as store:
        _batch(store, 0), _batch(store, 1)
        unpack_all, used = catalog.unpack_all, store._tiers.used(0)

        def cut_off(data):
            monkeypatch.setattr(catalog, "unpack_all", unpack_all)
            raise Interrupted
        monkeypatch.setattr(catalog, "unpack_all", cut_off)
        with pytest.raises(Interrupted):
            _batch(store, 2)
        assert store._tiers.used(0) == used
        assert store.get("t", "batched") == _bytes(2, 4000)


def test_of_two_batches_that_are_joined_one_has_what_both_have_put_when_it_is_interrupted():
    """As a daemon joins the shares of attached programs, and abandons all of them after that."""
    with Store.open(None, Solo()) as store:
        used, step, goes_on = store._tiers.used(0), 1, True
        while goes_on:
            one, other = store.batch("one"), store.batch("other")
            one.put("t", "one", _bytes(step, _LONG)), other.put("t", "other", _bytes(step, _LONG))
            goes_on = interrupted_at(step, lambda: one._join(other))
            other.abandon(), one.abandon()
            assert store._tiers.used(0) == used, step
            step += 1
        assert step > 5


def test_space_that_two_threads_replace_in_one_batch_is_given_back_once(monkeypatch):
    with Store.open(None, Solo()) as store:
        with store.batch("a batch") as batch:
            for turn in range(2):
                for blob in ("one", "other"):
                    batch.put("t", blob, _bytes(turn, _LONG))
            used, let_go = store._tiers.used(0), batch._let_go

            def late(*entry):
                if entry[1] == "one":
                    thread = threading.Thread(target=batch.put, args=("t", "other", _bytes(2, _LONG)))
                    thread.start()
                    thread.join(30)
                let_go(*entry)
            monkeypatch.setattr(batch, "_let_go", late)
            batch.put("t", "one", _bytes(2, _LONG))
            assert store._tiers.used(0) == used
        assert [store.get("t", blob) for blob in ("one", "other")] == [_bytes(2, _LONG)] * 2


def test_of_two_threads_that_replace_in_one_batch_none_stumbles_over_what_the_other_has_given_back():
    with Store.open(None, Solo()) as store, store.batch("a batch") as batch:
        for blob in ("one", "other"):
            batch.put("t", blob, _bytes(0, _LONG))
        used = store._tiers.used(0)

        class Late(list):
            def __bool__(self):             # as Python may let another thread run between the look and what comes of it
                found, batch._unused = len(self) > 0, self
                if found and threads:
                    thread = threads.pop()
                    thread.start()
                    thread.join(30)
                return found

        def put():
            batch.put("t", "other", _bytes(1, _LONG))
        batch._unused, threads = Late(), []
        threads.append(threading.Thread(target=put))
        batch.put("t", "one", _bytes(1, _LONG))
        assert store._tiers.used(0) == used and not threads and not batch._unused


@pytest.mark.parametrize("is_named", [False, True])
def test_a_folder_whose_destroy_is_interrupted_is_there_whole_or_gone_and_gone_if_the_journal_says_so(is_named, tmp_path):
    """It does at once where one of its tags has another name, else with the next flush."""
    with Store.open(str(tmp_path / "store"), Solo()) as store:
        step, goes_on = 1, True
        while goes_on:
            folder = f"f{step}"
            for tag in (f"{folder}/a", f"{folder}/b"):
                store.put(tag, "b0", b"x" * _SHORT), store.put(tag, "b1", b"x" * _LONG)
            if is_named:
                store.alias(f"{folder}/a", f"{folder}/c")
            before = store.tags(f"{folder}/.*")
            goes_on = interrupted_at(step, lambda: store.destroy(folder, recursive=True))
            gone = {own for change in read_changes(store._parts.journal.path, whole=False) for own, _ in change.get("gone", ())}
            found = store.tags(f"{folder}/.*")
            assert found == ([] if f"{folder}/a" in gone else before) or not is_named and found == [], (step, found)
            assert all(store.list(tag) == ["b0", "b1"] for tag in found), step
            if found:
                store.destroy(folder, recursive=True)
            step += 7
        assert step > 70


def test_a_tag_whose_new_name_is_interrupted_has_the_name_that_the_journal_says(tmp_path):
    with Store.open(str(tmp_path / "store"), Solo()) as store:
        step, goes_on = 1, True
        while goes_on:
            store.put(f"old{step}", "b", b"x")
            goes_on = interrupted_at(step, lambda: store.rename_tag(f"old{step}", f"new{step}"))
            said = {plain[0] for change in read_changes(store._parts.journal.path, whole=False) for plain in change.get("put", ())}
            is_new = any(f"\0new{step}\uffff" in name for name in said)
            assert [tag for tag in store.tags() if tag.endswith(f"w{step}") or tag.endswith(f"d{step}")] == [f"new{step}" if is_new else f"old{step}"], step
            step += 5
        assert step > 50


@pytest.mark.parametrize("files", [1, 2])
def test_a_flush_that_is_interrupted_again_and_again_takes_no_more_space_each_time(files, tmp_path):
    with Store.open(str(tmp_path / "store"), Solo()) as store:
        for number in range(1, files):          # then each blob is flushed by itself
            store.add_target(str(tmp_path / f"file{number}"), "file", 64 << 20, persistence="long_term")

        def puts(step):
            for blob, nbytes in (("long", _LONG), ("short", _SHORT), ("other", 5000)):
                store.put("t", blob, _bytes(step, nbytes))
        puts(0), store.flush()
        puts(1), store.flush()
        most, step = sum(map(len, _places_of(store).values())), 1
        while interrupted_at(step, store.flush):
            if step % 3 == 0:
                puts(step)
            assert sum(map(len, _places_of(store).values())) <= 3 * most
            step += 1
        assert step > 60
        assert sum(map(len, _places_of(store).values())) <= most
    with Store.open(str(tmp_path / "store"), Solo()) as store:
        assert {store.get("t", blob)[:1] for blob in ("long", "short", "other")} == {_bytes((step - 1) // 3 * 3, 1)}


def _places_of(store):
    """{blob: places that its record names in files}."""
    return {blob: store._catalog.find(f"{tag}\0{blob}").durable for tag, blob in store.blobs(".*")}


_ENDS = """
import gc, os, sys, threading
from harness.interrupting import interrupted_at
from wrp.comm.ranks.solo import Solo
from wrp.cte import Store

what, folder, stride = sys.argv[1], sys.argv[2], int(sys.argv[3])
begun, step, goes_on = threading.active_count(), 1, True
while goes_on:
    held = []
    opened = lambda: held.append(Store.open(folder, Solo()))
    if what == "close":
        opened()
        held[0].put("t", "later", b"y" * 3000)
        held.append(held[0].view("t", "later"))
        goes_on = interrupted_at(step, held[0].close)
    else:
        goes_on = interrupted_at(step, opened)
    for store in held[:1]:
        store.close()                   # again, or where the step was behind the opening
    held.clear()
    gc.collect()
    left = [path for path in map(os.readlink, (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")))
            if path.startswith(folder) and "/data/" not in path]
    assert not left and threading.active_count() == begun, (step, left, threading.enumerate())
    with Store.open(folder, Solo()) as store:
        assert store.get("t", "b") == b"x" * 1000
    step += stride
print(step)
"""


@pytest.mark.parametrize("what, stride", [("open", 997), ("close", 53)])
def test_a_store_that_is_interrupted_as_it_opens_or_closes_leaves_its_folder_free(what, stride, tmp_path):
    """In a program of its own: a finalizer that drops the error may keep a descriptor of a file."""
    with Store.open(str(tmp_path / "store"), Solo()) as store:
        store.put("t", "b", b"x" * 1000)
    found = subprocess.run([sys.executable, "-c", _ENDS, what, str(tmp_path / "store"), str(stride)], capture_output=True, text=True, timeout=60,
                           env={**os.environ, "PYTHONPATH": os.path.join(os.path.dirname(__file__), "..")})
    assert not found.returncode, found.stderr
    assert int(found.stdout) > 5 * stride


def test_a_close_that_is_interrupted_as_it_waits_for_the_journal_to_be_shortened_closes_the_journal(tmp_path, monkeypatch):
    monkeypatch.setenv("WRP_TIMEOUT_S", "5")        # or a lock that is left taken is waited for
    step, goes_on = 1, True
    while goes_on:
        store = Store.open(str(tmp_path / "store"), Solo())
        store.put("t", "b", b"x"), store.flush()
        parts = store._parts
        assert parts.journal.is_begun
        goes_on = interrupted_behind_any_call(step, store.close, "cte/compacting.py")
        store.close()
        assert not parts.journal.is_begun and not parts.is_stuck, step
        step += 1
    assert step > 5


def _bytes(number, nbytes):
    return bytes([number % 256]) * nbytes


def _check(store):
    places = []
    for tag, blob in store.blobs(".*"):
        assert len(set(store.get(tag, blob))) <= 2      # of a range: what it has, and zeros
        places += [(target, offset, offset + nbytes) for target, offset, nbytes in store.extents(tag, blob)]
    places.sort()
    assert all(one[0] != other[0] or one[2] <= other[1] for one, other in zip(places, places[1:]))
