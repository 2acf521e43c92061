"""What users give: arrays of every dtype and layout come back as they were, and what holds addresses, or can't be filled, is refused before anything has happened."""

import array
import ctypes

import numpy as np
import pytest

from wrp.cte import Store
from wrp.cte.arrays import get_array, put_array
from wrp.cte.client import Client
from wrp.errors import OutOfSpace, UsageError

OBJECTS = np.array([1, "a", None], object)
FIELDS = np.zeros(3, [("x", "f8"), ("what", object)])
TEXTS = np.array(["a", "b" * 40], np.dtypes.StringDType()) if hasattr(np.dtypes, "StringDType") else OBJECTS
POINTERS = (ctypes.c_char_p * 2)(b"a", b"b")
NAMED_O = np.zeros(3, [("O", "i4"), ("P", "f8")])

ADDRESSES = {"objects": OBJECTS, "fields": FIELDS, "texts": TEXTS, "pointers": POINTERS, "view": memoryview(OBJECTS), "strided": OBJECTS[::2],
             "scalar": np.array(None)}
PUTS = {
    "put": lambda store, data: store.put("t", "b", data),
    "put of a range": lambda store, data: store.put("t", "b", data, offset=0),
    "compressed": lambda store, data: store.put("t", "b", data, compression="zlib"),
    "put_many": lambda store, data: store.put_many("t", ["b"], [data]),
    "append": lambda store, data: store.append("t", "b", data),
    "put_segments": lambda store, data: store.put_segments("t", "b", [(0, data)]),
    "put_blob": lambda store, data: Client(store).put_blob("t", "b", 0, None, data),
    "append_blob": lambda store, data: Client(store).append_blob("t", "b", data),
    "get": lambda store, data: store.get("t", "b", out=data),
}


@pytest.fixture
def store(open_store):
    store = open_store(memory=True, ram="32m")
    store.put("t", "b", b"A" * 48)
    return store


@pytest.mark.parametrize("call", PUTS)
@pytest.mark.parametrize("kind", ADDRESSES)
def test_addresses_are_no_bytes(store, kind, call):
    with pytest.raises(UsageError, match="encode the objects .* and give the bytes"):
        PUTS[call](store, ADDRESSES[kind])
    assert store.get("t", "b") == b"A" * 48


@pytest.mark.parametrize("call", [
    lambda store: store.put_many("t", ["b", "c"], OBJECTS[:2].reshape(2, 1)),
    lambda store: store.get_many("t", ["b"], OBJECTS.reshape(1, 3)),
    lambda store: Client(store).get_blob("t", "b", dtype="O", shape=6),
    lambda store: Client(store).get_blob("t", "b", dtype="O"),
    lambda store: Client(store).view_blob("t", "b", dtype="O"),
    lambda store: put_array(store, "a", OBJECTS),
])
def test_objects_are_refused_wherever_arrays_go(store, call):
    with pytest.raises(UsageError):
        call(store)
    with store.batch("objects") as batch, pytest.raises(UsageError):
        batch.put("t", "b", OBJECTS)
    assert store.get("t", "b") == b"A" * 48 and store.list("t") == ["b"]


TIMES = np.array(["2001-01-01", "2002-02-02", "NaT"], "M8[s]")
CUBE = np.arange(24, dtype="f4").reshape(2, 3, 4)
LAYOUTS = {
    "datetime": TIMES, "timedelta": TIMES - TIMES[0], "strided": CUBE[:, ::2], "Fortran": np.asfortranarray(CUBE), "reversed": CUBE[::-1], "bytes": np.array([b"ab", b"c"]),
    "texts": np.array(["ab", "c"]), "big endian": CUBE.astype(">f4"), "structured": NAMED_O, "scalar": np.array(7.5), "number": np.float32(2), "moment": TIMES[0],
    "view": memoryview(CUBE), "strided view": memoryview(CUBE)[::-1], "fields": memoryview(NAMED_O), "array": array.array("d", [1, 2]), "none": CUBE[:0], "bytearray": bytearray(b"abc"),
    "complex": CUBE.astype("c8"), "more than a block": np.arange(1 << 18).reshape(512, 512).T, "more than a piece": np.arange(3 << 18).reshape(3, -1).T,
}


class OfDlpack:
    """An array that nothing but DLPack shows."""

    def __init__(self, data):
        self.__dlpack__, self.__dlpack_device__ = data.__dlpack__, data.__dlpack_device__


@pytest.mark.parametrize("kind", LAYOUTS)
def test_arrays_are_their_elements_in_c_order(store, kind):
    data = LAYOUTS[kind]
    wanted = data.tobytes() if hasattr(data, "tobytes") else bytes(data)
    for put in ("put", "append", "put_many", "put_segments", "put_blob"):
        store.put("t", "b", b"")
        if put != "put_blob" or wanted:
            PUTS[put](store, data)
            assert store.get("t", "b") == wanted
    with store.batch("one") as batch:
        batch.put("t", "c", data)
    assert store.get("t", "c") == wanted


def test_dlpack_alone_is_enough(store):
    out = np.zeros(24, "f4")
    store.put("t", "b", OfDlpack(CUBE.T))
    assert store.get("t", "b") == CUBE.T.tobytes() and store.get("t", "b", out=OfDlpack(out)) == 96
    assert (out == CUBE.T.reshape(-1)).all()


@pytest.mark.parametrize("data", [TIMES, TIMES - TIMES[0], NAMED_O, TIMES.astype("M8[25us]"), CUBE.astype(">c16")])
def test_gets_fill_arrays_of_any_plain_dtype_and_arrays_keep_it(store, data):
    store.put("t", "b", data)
    out = np.empty_like(data)
    assert store.get("t", "b", out=out) == data.nbytes and out.tobytes() == data.tobytes()
    assert Client(store).get_blob("t", "b", dtype=data.dtype, shape=data.shape).tobytes() == data.tobytes()
    put_array(store, "a", data)
    found = get_array(store, "a")
    assert found.dtype == data.dtype and found.tobytes() == data.tobytes()


@pytest.mark.parametrize("out, match", [
    (np.zeros((4, 12), np.uint8).T, "C order: read into a new array"),
    (memoryview(bytearray(96))[::2], "C order"),
    (np.zeros(96, np.uint8)[::2], "C order"),
    (bytes(48), "read-only"),
    (np.frombuffer(bytes(48), np.uint8), "read-only"),
    ([0] * 48, "writable array"),
    (np.float64(1), "read-only"),
])
def test_a_get_says_what_it_cannot_fill(store, out, match):
    with pytest.raises(UsageError, match=match):
        store.get("t", "b", out=out)


@pytest.mark.parametrize("data", ["text", 7, None])
def test_what_is_no_buffer_is_refused(store, data):
    with pytest.raises(UsageError, match="encode it first"):
        store.put("t", "b", data)


@pytest.mark.parametrize("call", [
    lambda store: store.reserve("t", "r", 100000.5), lambda store: store.reserve("t", "r", "10"), lambda store: store.truncate("t", "b", 1.5),
    lambda store: store.get("t", "b", 0.0), lambda store: store.get("t", "b", 0, 1.5, bytearray(10)), lambda store: store.put("t", "b", b"a", offset=1.5),
    lambda store: store.get_segments("t", "b", [(0, 1.0)]), lambda store: store.put_segments("t", "b", [(1.0, b"a")]),
])
def test_sizes_are_whole_numbers(store, call):
    with pytest.raises(UsageError, match="is no whole number"):
        call(store)
    assert store.get("t", "b", np.int64(1), np.uint8(2)) == b"AA"
    with store.reserve("t", "r", np.int32(100000)) as reservation:
        reservation.view[:] = bytes(100000)
    assert store.size("t", "r") == 100000


@pytest.mark.parametrize("nbytes", [33 << 20, 1 << 40, 1 << 70])
def test_a_reservation_that_no_tier_could_take_is_refused_at_once(store, open_store, nbytes):
    with pytest.raises(OutOfSpace, match="no tier has room"):
        store.reserve("t", "r", nbytes)
    lasting = open_store()
    with lasting.reserve("t", "r", 9 << 20) as reservation:           # the file has room
        reservation.view[-1:] = b"a"
    assert lasting.size("t", "r") == 9 << 20
    with pytest.raises(OutOfSpace):
        lasting.reserve("t", "r", (80 << 20) + nbytes)


def test_blocks_of_an_array_and_blobs_of_a_batch_go_where_their_score_belongs(tmp_path):
    (tmp_path / "scored.yaml").write_text("storage:\n" + "".join(f"  - {{path: 'ram::{name}', bdev_type: ram, capacity_limit: 16m, score: {score}}}\n" for name, score in (("hot", 0.8), ("warm", 0.2))))
    with Store.open(config=tmp_path / "scored.yaml") as store:
        for score, name in ((1.0, "ram::hot"), (0.5, "ram::warm")):
            put_array(store, "a", CUBE, score=score)
            with store.batch("scored") as batch:
                batch.put("a", "more", CUBE, score)
            assert {(store.score("a", blob), store.target_name(store.extents("a", blob)[0][0])) for blob in store.list("a")} == {(score, name)}
            assert (get_array(store, "a") == CUBE).all()
        with pytest.raises(UsageError, match="outside 0 to 1"):
            put_array(store, "a", CUBE, score=2)


MASKED = np.ma.masked_array(np.arange(6.0).reshape(2, 3), np.eye(2, 3))


@pytest.mark.parametrize("put", [put for name, put in PUTS.items() if name != "get"] + [
    lambda store, data: store.put_many("t", ["b", "c"], data), lambda store, data: put_array(store, "array", data, (0, 0))])
def test_masked_elements_are_refused_and_a_mask_without_any_is_none(store, put):
    with pytest.raises(UsageError, match="its mask would be lost"):
        put(store, MASKED)
    assert store.get("t", "b") == b"A" * 48 and store.list("t") == ["b"]
    put(store, np.ma.masked_array(np.arange(6.0).reshape(2, 3)))


@pytest.mark.parametrize("data", [[1, 2], (1.0, 2.0), type("Series", (), {"__array__": lambda self, *_, **__: np.zeros(3)})()], ids=["list", "tuple", "Series"])
def test_what_is_nearly_an_array_is_told_how_to_be_one(store, data):
    with pytest.raises(UsageError, match="give the array that numpy.asarray makes of it"):
        store.put("t", "b", data)
    store.put("t", "b", np.asarray(data))


def test_sizes_of_targets_may_be_text(store):
    assert store.add_target("more", "ram", "1m").capacity == 1 << 20
    with pytest.raises(UsageError, match="'some' is not a size"):
        store.add_target("other", "ram", "some")


def test_a_configuration_is_a_file_or_what_was_read_from_one(tmp_path):
    with pytest.raises(UsageError, match="config of type dict: give the path of a YAML file"):
        Store.open(tmp_path / "store", config={"storage": []})
    assert not (tmp_path / "store").exists()


def test_a_generation_is_a_whole_number(store):
    with pytest.raises(UsageError, match="if_generation of 'x' is no generation"):
        store.put("t", "b", b"new", if_generation="x")
    assert store.get("t", "b") == b"A" * 48


def test_a_batch_takes_nothing_once_its_with_block_has_ended(store):
    with store.batch("first") as batch:
        batch.put("t", "first", b"1")
    for call in (lambda: batch.put("t", "late", b"2"), lambda: batch.create("u"), lambda: batch.replace("t"), lambda: batch.remove("t"), lambda: batch.writing("t", "late", 4).__enter__()):
        with pytest.raises(UsageError, match="batch 'first' has ended with its with block"):
            call()
    with batch:
        batch.put("t", "second", b"2")
    assert store.list("t") == ["b", "first", "second"]
