"""Wrong arguments of any public call are refused in one sentence of the store's own, and nothing has happened."""

import asyncio

import numpy as np
import pytest

from cte.proof.wrong import trouble_of, wrong_calls, wrong_calls_of
from wrp.cte import Store
from wrp.cte.arrays import array_info, get_array, put_array
from wrp.cte.client import Client, Tag
from wrp.errors import OutOfSpace, UsageError

LEFT = {"attach", "close", "open", "salvage"}


@pytest.fixture
def store(open_store):
    store = open_store(memory=True, ram="16m")
    store.put("t", "b", b"abc")
    return store


def troubles(store, thing, leave=LEFT):
    found = []
    for label, call, arguments, must in wrong_calls(thing, leave):
        found.append(trouble_of(label, call, arguments, must))
        if not store.exists("t", "b"):
            store.put("t", "b", b"abc")
    return [each for each in found if each]


def test_of_a_store(store):
    assert troubles(store, store) == []


def test_of_a_client_and_its_tag(store):
    with Client(store) as client:
        assert troubles(store, client, {"close", "later"}) == []
        assert troubles(store, Tag("t", client)) == []


def test_of_calls_that_are_answered_later(store):
    async def awaited(call, arguments):
        return await getattr(client.later, call)(**arguments)

    with Client(store) as client:
        for label, call, arguments, must in wrong_calls(client, {"close", "later", "deferred", "reserve_blob"}):
            error = getattr(client.later, call.__name__)(**arguments)
            assert trouble_of(f"later {label}", lambda found=error: found, {}, must) is None
        with pytest.raises(UsageError):
            asyncio.run(awaited("put_blob", {"tag_id": "t", "blob_name": "\ud800", "offset": 0, "size": None, "data": b"a"}))


def test_of_deferred_puts(store):
    with Client(store) as client, client.deferred(1 << 20) as deferred:
        assert troubles(store, deferred) == []


def test_of_a_batch(store):
    batch = store.batch("wrong")
    assert troubles(store, batch, {"commit"}) == []
    batch.abandon()
    assert store.list("t") == ["b"]


def test_of_arrays(store):
    put_array(store, "a", np.zeros((4, 3)))
    block = np.zeros((4, 3))
    calls = [*wrong_calls_of(put_array, store=store, tag="a", block=block), *wrong_calls_of(get_array, store=store, tag="a"), *wrong_calls_of(array_info, store=store)]
    assert list(filter(None, (trouble_of(*each) for each in calls))) == []


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("offset", [-1, 1 << 62, 1 << 63, 1 << 70])
def test_of_offsets_that_no_blob_reaches(store, compression, offset):
    for call in (lambda: store.put("t", "b", b"x", offset, compression=compression), lambda: store.put_segments("t", "b", [(0, b"a"), (offset, b"x")])):
        with pytest.raises((UsageError, OutOfSpace)):
            call()
        assert store.get("t", "b") == b"abc"


@pytest.mark.parametrize("folder", [5, b"folder", ["folder"]])
def test_of_a_folder_that_is_no_path(folder):
    with pytest.raises(UsageError, match=r"^the folder of a store is a path, not "):
        Store.open(folder)


@pytest.mark.parametrize(("dtype", "shape", "why"), [("f8", None, "an element has 8 bytes, and 3 are left over"), ("u1", (2, 2), "that takes 4 bytes")])
def test_of_a_view_that_does_not_fit(store, dtype, shape, why):
    with Client(store) as client, pytest.raises(UsageError, match=f"^3 bytes are no array of dtype '{dtype}'.*: {why}$"):
        client.view_blob("t", "b", dtype, shape)


@pytest.mark.parametrize("given", [(), ("folder",), (None,)])
def test_a_store_that_is_not_opened_says_how(given):
    with pytest.raises(UsageError, match=r"^a store is opened by Store.open\(folder\), or by Store.attach\(name\)"):
        Store(*given)
