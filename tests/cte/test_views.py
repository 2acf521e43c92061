"""Views: their bytes stay what they were as long as somebody has one, in whatever process, and not longer."""

import gc
import os
import signal
import threading

import numpy as np
import pytest

from harness.wandering import wander
from wrp.comm.atomics import store as store_word
from wrp.comm.checksum import crc32
from wrp.comm.segment import Segment
from wrp.cte import Store, views as views_module
from wrp.cte.client import Client
from wrp.cte.views import MOST, NBYTES, Views, view_begin, views_wait
from wrp.errors import NoSuchBlob, OutOfSpace, UsageError

MIB = 1 << 20
SIZES = [1, 5000, 16 << 10, 100_000, 5 * MIB]


def filled(store, count, nbytes, tag="other"):
    for number in range(count):
        store.put(tag, str(number), bytes([number + 1]) * nbytes)


@pytest.fixture
def store(open_store):
    return open_store(memory=True, ram="64m")


CHANGES = {
    "put": lambda store, nbytes: store.put("t", "b", b"n" * nbytes),
    "longer": lambda store, nbytes: store.put("t", "b", b"n" * (2 * nbytes)),
    "range": lambda store, nbytes: store.put("t", "b", b"n", offset=nbytes // 2),
    "truncate": lambda store, nbytes: store.truncate("t", "b", nbytes // 2),
    "delete": lambda store, nbytes: store.delete("t", "b"),
    "destroy": lambda store, nbytes: store.destroy("t"),
    "put_many": lambda store, nbytes: store.put_many("t", ["b"], np.zeros((1, nbytes), np.uint8)),
    "rename over": lambda store, nbytes: (store.delete("t", "b"), store.put("t", "new", b"n"), store.rename("t", "new", "b")),
    "renamed": lambda store, nbytes: (store.rename("t", "b", "c"), store.put("t", "c", b"n" * nbytes)),
    "range, then put": lambda store, nbytes: (store.append("t", "b", b"n"), store.put("t", "b", b"n" * nbytes)),
    "scored, then put": lambda store, nbytes: (store.score("t", "b", 0.5), store.put("t", "b", b"n" * nbytes)),
}


def put_in_batch(store, nbytes):
    with store.batch("b") as batch:
        batch.put("t", "b", b"n" * nbytes)


CHANGES["batch"] = put_in_batch


@pytest.mark.parametrize("nbytes", SIZES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_view_shows_what_it_showed_whatever_happens_to_the_blob(store, change, nbytes):
    free = store.targets()[0].remaining
    store.put("t", "b", b"v" * nbytes)
    view = store.view("t", "b")
    array = (np.frombuffer(view, np.uint8) if nbytes % 2 else view.obj)[nbytes // 2:]
    del view
    CHANGES[change](store, nbytes)
    filled(store, 4, nbytes)
    filled(store, 4, max(1, nbytes // 2), "more")
    assert (array == ord("v")).all()
    store.destroy("other"), store.destroy("more")
    assert (array == ord("v")).all()
    del array
    for tag in store.tags():
        store.destroy(tag)
    assert store.targets()[0].remaining == free


def test_space_comes_back_when_the_last_view_ends(open_store):
    store = open_store(memory=True, ram="8m")
    store.put("t", "b", b"v" * (3 * MIB))
    views = [store.view("t", "b") for _ in range(3)]
    store.put("t", "b", b"w" * (3 * MIB))
    with pytest.raises(Exception, match="no room"):
        store.put("t", "c", b"x" * (3 * MIB))
    while views:
        assert bytes(views.pop()) == b"v" * (3 * MIB)
    store.put("t", "c", b"x" * (3 * MIB))
    assert store.get("t", "b") == b"w" * (3 * MIB)


def test_evict_move_and_flush_go_on_when_views_end(open_store):
    store = open_store(ram="8m")
    for blob in "ab":
        store.put("t", blob, blob.encode() * MIB)
    store.flush()
    views = [store.view("t", blob) for blob in "ab"]
    assert not store.move("t", "a", "file") and store.evict("ram", 8 * MIB) == 0
    del views
    assert store.move("t", "a", "file") and store.info("t", "a").tiers == ("file",)
    assert store.evict(store.targets()[0].name, 8 * MIB) == MIB
    assert [store.get("t", blob) for blob in "ab"] == [b"a" * MIB, b"b" * MIB]


def test_views_outlive_the_store(configured, tmp_path):
    with Store.open(tmp_path / "s", config=configured()) as store:
        store.put("t", "b", b"v" * MIB), store.put("t", "c", b"w" * 100)
        views = [store.view("t", "b"), np.frombuffer(store.view("t", "c"), np.uint8)]
    assert bytes(views[0]) == b"v" * MIB and bytes(views[1]) == b"w" * 100
    del views
    gc.collect()


def test_views_end_in_the_middle_of_calls(store):
    """Garbage collection ends views wherever it comes, also in calls of the same thread."""
    store.put("t", "b", b"v" * 5000)
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(300):
            circle = [store.view("t", "b")]
            circle.append(circle)
            del circle
            store.put("t", "b", bytes([number % 256]) * 5000)
    finally:
        gc.set_threshold(*before)
    gc.collect()
    store.destroy("t")


def test_more_views_than_the_node_has_slots_are_copies(store):
    store.put("t", "b", b"v" * 100)
    views = [store.view("t", "b") for _ in range(MOST + 10)]
    store.put("t", "b", b"w" * 100)
    assert all(view == b"v" * 100 for view in views)
    views.clear()
    assert store.view("t", "b") == b"w" * 100


def test_readers_never_see_another_blob(store):
    """Threads replace and destroy while others look: each view is one put's bytes, now and later."""
    nbytes, end, wrong, seen = 20_000, threading.Event(), [], [0]

    def write(blob):
        number = 0
        while not end.is_set():
            number += 1
            store.put("t", blob, bytes([number % 250]) * nbytes)
            if number % 7 == 0:
                store.delete("t", blob)
                store.put("t", blob, bytes([number % 250]) * (nbytes // 2))

    def read():
        kept = []
        while not end.is_set():
            for blob in "ab":
                try:
                    view = store.view("t", blob)
                except KeyError:
                    continue
                kept.append((view, view[0]))
                seen[0] += 1
            if len(kept) > 20:
                wrong.extend(1 for view, first in kept if bytes(view) != bytes([first]) * len(view))
                kept.clear()
    for blob in "ab":
        store.put("t", blob, bytes(nbytes))
    threads = [threading.Thread(target=write, args=(blob,)) for blob in "ab"] + [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    end.wait(2)
    end.set()
    for thread in threads:
        thread.join()
    assert not wrong and seen[0] > 20
    store.destroy("t")


@pytest.mark.parametrize("nbytes", [*SIZES, 1 << 20])
def test_a_put_over_what_was_viewed_stays_in_the_kernels(store, monkeypatch, nbytes):
    """And what it has replaced goes back as if nobody had looked, also where others are looked at."""
    data = np.full(nbytes, 1, np.uint8)
    store.put("t", "b", data), store.put("t", "other", data)
    other, before = store.view("t", "other"), store.targets()[0].remaining
    store.put("t", "b", data)

    def fail(*_, **__):
        raise AssertionError("the long way")
    for owner, name in ((store._changes, "publish"), (store._changes, "modify"), (store._tiers.views, "hold"), (store._tiers.views, "free_of")):
        if nbytes <= 4 * MIB or owner is store._changes:        # several extents are asked for one by one
            monkeypatch.setattr(owner, name, fail)
    for number in range(20):
        assert bytes(store.view("t", "b")[:1]) == data.tobytes()[:1]
        store.put("t", "b", data)
    assert store.get("t", "b") == bytes(other) == data.tobytes() and store.targets()[0].remaining == before


def test_only_what_is_looked_at_waits(store):
    """Puts over one blob that is looked at and over one that isn't: the first one's bytes wait, nothing else does."""
    for blob in "ab":
        store.put("t", blob, b"v" * MIB)
    view, free = store.view("t", "a"), store._tiers.ram.free
    for number in range(10):
        for blob in "ab":
            store.put("t", blob, b"w" * MIB)
            assert store.view("t", blob) == b"w" * MIB
    assert view == b"v" * MIB and store._tiers.ram.free == free - MIB
    del view
    assert store._tiers.free(0) >= free


@pytest.mark.parametrize("nbytes", SIZES)
def test_what_a_dead_process_looked_at_is_free_with_the_put_over_it(store, nbytes):
    store.put("t", "b", b"v" * nbytes)
    store.view("t", "b")
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    offset = store._catalog.find("t\0b").extents[0][1]
    slot, free = store._tiers.views.taken().address, store._tiers.free(0)
    store_word(slot + views_module._OWNER, pid)
    view_begin(slot, offset, nbytes)
    store.put("t", "b", b"w" * nbytes)
    assert store._tiers.free(0) == free and not store._tiers.views.waits
    filled(store, 2, nbytes)
    assert store.get("t", "b") == b"w" * nbytes


@pytest.mark.parametrize("memory", [True, False])
def test_a_view_never_changes_while_it_is_there(open_store, memory):
    store = open_store(memory=memory, ram="32m")
    free = store.targets()[0].remaining
    seen, wrong = wander(store, 7, 1000)
    assert not wrong and seen > 500
    store.destroy("t")
    store.flush()
    assert store.targets()[0].remaining == free


def test_handlers_of_signals_view_and_put_in_the_middle_of_puts(store):
    """A handler replaces blobs, and looks at them, while the program does the same."""
    seen, kept = [], []

    def handler(*_):
        try:
            store.put("t", f"b{len(seen) % 3}", bytes([1 + len(seen) % 200]) * (3000 if len(seen) % 2 else 200_000))
            view = store.view("t", f"b{len(seen) % 2}")
            kept.append((view, crc32(view)))
        except (UsageError, NoSuchBlob, OutOfSpace):
            pass
        seen.append(None)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
    for number in range(3):
        store.put("t", f"b{number}", b"v" * 200_000)
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        _, wrong = wander(store, 3, 700)
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert not wrong and len(kept) > 20
    assert all(crc32(view) == checksum for view, checksum in kept)


@pytest.fixture
def place():
    """(segment, place) of the words of views."""
    segment = Segment.private(NBYTES + 65536)
    yield segment, segment.place("views", NBYTES)[0]
    segment.close()


def test_what_a_dead_process_viewed_is_free(place):
    views = Views(*place)
    extent = (0, 4096, 100, 0)
    pid = os.fork()
    if pid == 0:
        theirs = Views(*place)
        view_begin(theirs.taken().address, 4000, 200)
        signal.pause()
    while not views.hold([extent]):
        os.sched_yield()
    assert views.free_of([extent, (0, 8192, 100, 0)]) == [(0, 8192, 100, 0)] and views.due() == [] and views.waits
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not views.hold([extent]) and views.due() == [extent] and views.due() == [] and not views.waits
    views.close()


def test_slots_of_the_dead_are_given_out_again(place, monkeypatch):
    monkeypatch.setattr(views_module, "_PAUSE_S", 0)
    views, extent = Views(*place), (0, 4096, 100, 0)
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        theirs = Views(*place)
        view_begin(theirs.taken().address, 4000, 200)
        while theirs.taken() is not None:
            pass
        os.write(tell, b".")
        signal.pause()
    os.read(ready, 1)
    os.close(ready), os.close(tell)
    assert views.taken() is None and views.free_of([extent]) == []
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    slots = {views.taken().address for _ in range(MOST)}
    assert len(slots) == MOST and views.taken() is None
    assert not views.hold([extent]) and views.due() == [extent]
    views.close()


def test_slots_of_who_has_closed_are_given_out_again(place):
    """But what he looks at still is his."""
    held = Views(*place)
    view_begin(held.taken().address, 4000, 200)
    held.close()
    for _ in range(MOST // 16 + 10):
        views = Views(*place)
        slot = views.taken()
        view_begin(slot.address, 8192, 100)
        assert views.hold([(0, 8192, 100, 0)]) and views.hold([(0, 4000, 200, 0)])
        views.end(slot)
        views.close()


@pytest.mark.parametrize("written", [False, True])
def test_who_dies_with_waiting_space_in_hand_loses_no_place(place, written):
    views, pid = Views(*place), os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    slot = views.taken()
    view_begin(slot.address, 4096, 100)
    assert views.free_of([(0, 4096, 100, 0)]) == []
    views.end(slot)
    if not written:
        assert views.due() == [(0, 4096, 100, 0)]
    store_word(views.at + views_module._WAITS + views_module._STATE, pid)
    assert views.due() == []
    views.bury()
    assert views.due() == ([(0, 4096, 100, 0)] if written else [])
    assert all(views_wait(views.at, 4096, 100, 0, os.getpid()) for _ in range(MOST)) and not views_wait(views.at, 4096, 100, 0, os.getpid())
    views.close()


def test_a_view_of_a_child_is_its_parents_to_end(store):
    store.put("t", "b", b"v" * 5000)
    view = store.view("t", "b")
    pid = os.fork()
    if pid == 0:
        del view
        os._exit(0)
    os.waitpid(pid, 0)
    store.put("t", "b", b"w" * 5000)
    filled(store, 5, 5000)
    assert view == b"v" * 5000


def test_arrays_of_a_client_hold_too(store):
    client = Client(store)
    tag = client.get_or_create_tag("t")
    client.put_blob(tag, "b", 0, None, np.arange(1000))
    array = client.view_blob(tag, "b", np.int64)[500:]
    client.put_blob(tag, "b", 0, None, np.zeros(1000, np.int64))
    filled(store, 4, 8000)
    assert (array == np.arange(500, 1000)).all() and not array.flags.writeable
