"""Views: their bytes stay what they were as long as somebody has one, in whatever process, and not longer."""

import gc
import os
import signal
import threading

import numpy as np
import pytest

from wrp.cte import Store
from wrp.cte.client import Client
from wrp.cte.views import MOST, Views
from wrp.comm.segment import Segment

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


def test_what_a_dead_process_viewed_is_free():
    segment = Segment.private(1 << 20)
    place = segment.place("views", 1 << 19)[0]
    views = Views(segment, place)
    extent = (0, 4096, 100, 0)
    pid = os.fork()
    if pid == 0:
        from wrp.cte.views import view_begin
        theirs = Views(segment, place)
        view_begin(theirs.taken().address, 4000, 200)
        signal.pause()
    while not views.hold([extent]):
        os.sched_yield()
    assert views.free_of([extent, (0, 8192, 100, 0)]) == [(0, 8192, 100, 0)] and views.due() == []
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not views.hold([extent]) and views.due() == [extent] and views.due() == []
    views.close()
    segment.close()


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
