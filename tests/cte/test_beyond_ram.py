"""Puts beyond the ram, which go into the file itself: a full ram is asked once, and again as soon as something has left it."""

import pytest

from wrp.cte.tiers import space
from wrp.errors import OutOfSpace

MIB = 1 << 20


def data_of(number):
    return bytes([number]) * MIB


@pytest.fixture
def store(open_store, monkeypatch):
    """Ram for two blobs of 1 MiB, a file for many. No refusal of the ram is asked about again just because time has passed."""
    monkeypatch.setattr(space, "_REMEMBERED_S", 60)
    return open_store(ram="2m", file="64m")


def fill(store, count=6, tag="t"):
    for number in range(count):
        store.put(tag, f"b{number}", data_of(number))


def tiers_of(store, tag="t"):
    return [info.tiers for info in store.infos(tag).values()]


def test_a_full_ram_is_asked_once(store):
    asked, run = [], store._tiers.make_room
    store._tiers.make_room = lambda nbytes: asked.append(nbytes) or run(nbytes)
    fill(store, 12)
    assert tiers_of(store) == 2 * [("ram",)] + 10 * [("file",)] and asked == [MIB]
    # a smaller blob may fit where that didn't
    store.put("t", "small", bytes(100 << 10))
    assert asked == [MIB, 100 << 10]


@pytest.mark.parametrize("leave", [lambda store: store.delete("t", "b1"), lambda store: store.put("t", "b1", b""),
                                   lambda store: store.move("t", "b1", "file"), lambda store: store.flush()], ids=["delete", "replace", "move", "flush"])
def test_what_leaves_the_ram_makes_room_at_once(store, leave):
    fill(store)
    leave(store)
    store.put("u", "next", data_of(7))
    assert store.info("u", "next").tiers == ("ram",) and store.get("u", "next") == data_of(7)
    assert store.get("t", "b0") == data_of(0) and store.get("t", "b5") == data_of(5)


def test_a_view_that_ends_makes_room_at_once(store):
    fill(store)
    view = store.view("t", "b0")
    store.delete("t", "b0")
    fill(store, 2, "u")
    assert tiers_of(store, "u") == 2 * [("file",)] and view[:MIB] == data_of(0)
    view.release()
    fill(store, 1, "u")
    assert tiers_of(store, "u") == [("ram",), ("file",)]


def test_a_ram_that_refused_is_asked_again_before_a_put_is_refused(store):
    fill(store, 2)
    store.flush()
    views = [store.view("t", f"b{number}") for number in range(2)]
    with pytest.raises(OutOfSpace, match=r"(?s)file.*ram|ram.*file"):
        for number in range(100):
            store.put("u", f"b{number}", data_of(number))
    for view in views:
        view.release()
    # nothing in the ram was replaced or given back, but what is there may be given up
    store.put("u", "last", data_of(9))
    assert store.info("u", "last").tiers == ("ram",)
    assert all(store.get("u", f"b{n}") == data_of(n) for n in range(len(store.list("u")) - 1)) and store.get("t", "b1") == data_of(1)
    store.destroy("u")                  # the file has no room for what is in ram alone
