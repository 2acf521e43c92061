"""The hash table: against a dict, full tables, and readers that race a writer."""
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrp.comm import atomics
from wrp.comm import index as table
from wrp.comm.index import Index
from wrp.comm.jit import kernel
from wrp.comm.segment import Segment
from wrp.errors import OutOfSpace, WaitTimeout

_CAPACITY = 24


def _index(segment, capacity):
    offset, _ = segment.place("index", Index.nbytes(capacity))
    return Index.create(segment, offset, capacity)


# few homes, so that runs grow and removals move keys
_key = st.tuples(st.integers(0, 40), st.sampled_from([0, 64, -(2**62)]))
_step = st.tuples(st.sampled_from(["insert", "insert", "remove"]), _key, st.integers(-(2**63), 2**63 - 1))


@given(st.lists(_step, max_size=120))
@settings(max_examples=60, deadline=None)
def test_is_a_dict(steps):
    with Segment.private(1 << 18) as segment:
        index, model = _index(segment, _CAPACITY), {}
        for verb, key, number in steps:
            if verb == "remove":
                assert index.remove(key) == model.pop(key, None)
            elif key in model or len(model) < _CAPACITY:
                assert index.insert(key, (number, key[0])) == model.get(key)
                model[key] = (number, key[0])
            else:
                with pytest.raises(OutOfSpace):
                    index.insert(key, (number, key[0]))
        assert len(index) == len(model)
        assert all(index.find(key) == value for key, value in model.items())
        assert sorted(map(tuple, index.values().tolist())) == sorted(model.values())
        assert index.find((10**6, 1)) is None


def test_scan_in_small_pieces_and_attach(segment):
    index = _index(segment, 100)
    for number in range(90):
        index.insert((number * 7919, 0), (number, -number))
    other, seen, step = Index.attach(segment, segment.find("index")[0]), [], 0
    while step >= 0:
        out = np.empty((7, 2), dtype=np.int64)
        count, step = table.index_scan(other.address, step, out)
        seen += out[:count].tolist()
    assert sorted(seen) == [[number, -number] for number in range(90)]


@kernel
def _churn(address, rounds, others, stop):
    """Replaces key 0 with (n, -n) all the time, and moves a permanent key about by taking out and in those before it."""
    for number in range(1, rounds + 1):
        table.index_insert(address, 0, 0, number, -number, 0)
        for other in range(1, others):
            table.index_remove(address, other << 40, 64, 0)
        for other in range(1, others):
            table.index_insert(address, other << 40, 64, number, -number, 0)
    atomics.store(stop, 1)


@kernel
def _watch(address, key, stop, out):
    """Looks at a permanent key until `stop`: (looks, absent, torn)."""
    looks, absent, torn = 0, 0, 0
    while atomics.load(stop) == 0:
        state = table.index_find(address, key, 0, out)
        looks += 1
        if state == 0:
            absent += 1
        elif state == 1 and atomics.load(out) != -atomics.load(out + 8):
            torn += 1
    return looks, absent, torn


def test_readers_of_a_busy_table_see_no_torn_value_and_miss_no_key(segment, fork):
    index = _index(segment, 32)
    stop, _ = segment.place("stop", 64)
    stop += segment.address
    # all keys have home 0 of the table, so the permanent keys at the end of the run are moved by every removal
    homes, last = table._homes(32), 1 << 50
    keys = [0, *((number << 40) for number in range(1, 6)), last]
    for key in keys:
        index.insert((key, 0 if key in (0, last) else 64), (0, 0))
    assert homes == 64
    _churn(index.address, 1, 6, stop + 8)
    atomics.store(stop, 1)
    _watch(index.address, 0, stop, stop + 16)           # compiled before the fork
    atomics.store(stop, 0)

    def reader(key):
        looks, absent, torn = _watch(index.address, key, stop, stop + (32 if key else 48))
        assert looks > 0 and (absent, torn) == (0, 0), (looks, absent, torn)

    children = [fork(lambda: reader(0)), fork(lambda: reader(last))]
    _churn(index.address, 100_000, 6, stop)
    assert [child.join() for child in children] == [0, 0]


def test_a_writer_that_died_inside_leaves_busy_not_a_hang(segment):
    index = _index(segment, 8)
    index.insert((1, 1), (5, 6))
    number, _ = table._locate(index.address, 1, 1)
    slot = table._slot_at(index.address, number)
    atomics.add(slot, 1)
    started = time.monotonic()
    with pytest.raises(WaitTimeout, match="being changed"):
        index.find((1, 1), timeout_s=0.05)
    with pytest.raises(WaitTimeout):
        index.values(timeout_s=0.05)
    assert time.monotonic() - started < 20
    atomics.add(slot, 1)
    assert index.find((1, 1)) == (5, 6)
