"""Arrays of all ranks: any decomposition in, any box out, on any number of ranks; refusals are everybody's."""

import json
import threading

import numpy as np
import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.arrays import array_info, get_array, put_array
from wrp.errors import Corrupt, NoSuchBlob, NoSuchTag, RangeError, UsageError

pytestmark = pytest.mark.mpi
SHAPE = (13, 7, 4)


def full(dtype=np.float64):
    return np.arange(np.prod(SHAPE)).astype(dtype).reshape(SHAPE)


def slab(ranks, axis, shape=SHAPE):
    """(offset, slices) of this rank's share along an axis."""
    low, high = (shape[axis] * number // ranks.size for number in (ranks.rank, ranks.rank + 1))
    return tuple(low if number == axis else 0 for number in range(len(shape))), tuple(
        slice(low, high) if number == axis else slice(None) for number in range(len(shape)))


@pytest.mark.parametrize("axis, dtype", [(0, "f8"), (1, ">i2"), (2, [("a", "i4"), ("b", "f8", (2,))]), (1, "S5")])
def test_any_decomposition_any_box(shared_folder, axis, dtype):
    ranks = world()
    whole = full() if dtype != [("a", "i4"), ("b", "f8", (2,))] else np.zeros(SHAPE, dtype)
    if whole.dtype.names:
        whole["a"] = full(int)
        whole["b"][..., 1] = full()
    whole = whole.astype(dtype)
    offset, slices = slab(ranks, axis)
    with Store.open(shared_folder) as store:
        put_array(store, "t/a.b", whole[slices], offset)
        assert array_info(store, "t/a.b").shape == SHAPE
    with Store.open(shared_folder) as store:
        other, cut = slab(ranks, (axis + 1) % 3)
        mine = get_array(store, "t/a.b", other, whole[cut].shape)
        assert mine.dtype == whole.dtype and mine.tobytes() == whole[cut].tobytes()
        assert get_array(store, "t/a.b").tobytes() == whole.tobytes()
        assert get_array(store, "t/a.b", (3, 2, 1), (4, 3, 2)).tobytes() == whole[3:7, 2:5, 1:3].tobytes()
        out = np.empty((1, 7, 4), whole.dtype)
        assert get_array(store, "t/a.b", (12, 0, 0), (1, 7, 4), out=out) is out and out.tobytes() == whole[12:].tobytes()
        assert get_array(store, "t/a.b", (5, 5, 0), (0, 1, 4)).size == 0


def test_put_again_replaces_all_blocks(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        put_array(store, "t", full()[slab(ranks, 0)[1]], slab(ranks, 0)[0])
        small = np.full((ranks.size, 2), ranks.rank, np.uint8)[ranks.rank:ranks.rank + 1]
        put_array(store, "t", small, (ranks.rank, 0))
        assert get_array(store, "t").tolist() == [[rank, rank] for rank in range(ranks.size)]
        assert len(array_info(store, "t").blocks) == ranks.size


@pytest.mark.parametrize("offset, shape, sentence", [
    ((0, 0), None, "overlap"), ((2, 0), (99, 3), "no rank has a block with"), ((2, 0), (1, 3), "lies outside")])
def test_blocks_that_are_no_array_are_refused_on_every_rank(shared_folder, offset, shape, sentence):
    ranks = world()
    if ranks.size == 1 and sentence == "overlap":
        pytest.skip("one rank has nobody to overlap with")
    with Store.open(shared_folder) as store:
        with pytest.raises(UsageError, match=sentence):
            put_array(store, "t", np.zeros((2, 3)), tuple(ranks.rank * part for part in offset), shape)
        assert not store.exists("t")


def test_different_dtypes_are_refused(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        with pytest.raises(UsageError, match="different kinds" if ranks.size > 1 else "dtype object holds addresses"):
            put_array(store, "t", np.zeros(2, "f4" if ranks.rank else "f8") if ranks.size > 1 else np.array([None]), (2 * ranks.rank,))


def test_boxes_beyond_and_missing_blocks(shared_folder):
    ranks = world()
    offset, slices = slab(ranks, 0)
    with Store.open(shared_folder) as store:
        put_array(store, "t", full()[slices], offset)
        with pytest.raises(RangeError, match="lies beyond array 't'"):
            get_array(store, "t", (10, 0, 0), (4, 1, 1))
        ranks.barrier("all have looked")
        if ranks.rank == 0:
            store.delete("t", next(iter(array_info(store, "t").blocks.values())))
        store.flush_all()
        with pytest.raises(Corrupt, match="are in no block"):
            get_array(store, "t")
        ranks.barrier("all have looked again")
        if ranks.rank == 0:
            store.put("t", "array", json.dumps({"version": 1}).encode())
            store.put("u", "b", b"x")
        store.flush_all()
        with pytest.raises(Corrupt, match="doesn't describe an array"):
            get_array(store, "t")
        with pytest.raises(NoSuchBlob, match="holds no array"):
            get_array(store, "u")
        for call in (get_array, array_info):
            with pytest.raises(NoSuchTag):
                call(store, "nobody")


def test_memory_of_others_goes_in_without_a_copy(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        words = memoryview(bytearray(range(8))).cast("I")
        put_array(store, "t", words, (2 * ranks.rank,))
        assert get_array(store, "t", (2 * ranks.rank,), (2,)).tolist() == list(words)


def test_arrays_of_version_1_are_read(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        with store.batch("as before") as batch:
            if ranks.rank == 0:
                batch.put("t", "array", json.dumps({"version": 1, "dtype": "<i4", "shape": [4]}).encode())
                batch.put("t", "block_0+2", np.arange(2, dtype="<i4")), batch.put("t", "block_2+2", np.arange(2, 4, dtype="<i4"))
        assert get_array(store, "t").tolist() == [0, 1, 2, 3] and get_array(store, "t", (1,), (2,)).tolist() == [1, 2]


def test_a_reader_sees_one_put(configured):
    """A thread of each rank reads while all ranks put again and again: one put's elements, never those of two."""
    ranks = world()
    wrong, seen, end = [], [0], threading.Event()
    with Store.open(None, config=configured(ram="32m")) as store:
        shape = (8 * ranks.size, 500)

        def put(number):
            put_array(store, "t", np.full((8, 500), number), (8 * ranks.rank, 0), shape)

        def read():
            while not end.is_set():
                found = get_array(store, "t")
                seen[0] += 1
                if (found != found[0, 0]).any():
                    wrong.append(found)
        put(0)
        thread = threading.Thread(target=read)
        thread.start()
        for number in range(1, 40):
            put(number)
        end.set()
        thread.join()
        assert not wrong and seen[0]
        assert (get_array(store, "t") == 39).all() and len(store.list("t")) == ranks.size + 1
        ranks.barrier("all have looked")
