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


_LAST = 1 << 50         # this key and all others of the test have home 0, so they make one run
_OTHERS = 6


@kernel
def _churn(address, rounds, words):
    """Every round: the last key goes to the end of the run (while words[1] is odd), then is moved down by removals."""
    for number in range(1, rounds + 1):
        table.index_insert(address, 0, 0, number, -number, 0)
        atomics.add(words + 8, 1)
        table.index_remove(address, _LAST, 0, 0)
        for other in range(1, _OTHERS):
            table.index_insert(address, other << 40, 64, number, -number, 0)
        table.index_insert(address, _LAST, 0, number, -number, 0)
        atomics.add(words + 8, 1)
        for other in range(1, _OTHERS):
            table.index_remove(address, other << 40, 64, 0)
    atomics.store(words, 1)


@kernel
def _watch(address, key, words, out):
    """Looks at a key until words[0] is 1: (looks that found it, looks that missed it while it was there, torn values)."""
    found, missed, torn = 0, 0, 0
    while atomics.load(words) == 0:
        before = atomics.load(words + 8)
        state = table.index_find(address, key, 0, out)
        if state == 1:
            found += 1
            torn += atomics.load(out) != -atomics.load(out + 8)
        elif state == 0 and before & 1 == 0 and atomics.load(words + 8) == before:
            missed += 1
    return found, missed, torn


def test_readers_of_a_busy_table_see_no_torn_value_and_miss_no_key(segment, fork):
    index = _index(segment, 32)
    words = segment.address + segment.place("words", 64)[0]
    assert table._home(index.address, _LAST, 0) == table._home(index.address, 5 << 40, 64) == 0
    _churn(index.address, 1, words)
    assert _watch(index.address, 0, words, words + 16) == (0, 0, 0)         # both are compiled before the fork
    atomics.store(words, 0)

    def reader(key, out):
        found, missed, torn = _watch(index.address, key, words, out)
        assert found > 0 and (missed, torn) == (0, 0), (found, missed, torn)

    children = [fork(lambda: reader(0, words + 32)), fork(lambda: reader(_LAST, words + 48))]
    _churn(index.address, 100_000, words)
    assert [child.join() for child in children] == [0, 0]


def test_a_removal_in_progress_hides_no_key(segment):
    index = _index(segment, 8)
    index.insert((1, 1), (5, 6))
    atomics.add(index.address + table._MOVES, 1)
    assert index.find((1, 1)) == (5, 6)
    assert table.index_find(index.address, 2, 2, 0) == table.BUSY
    atomics.add(index.address + table._MOVES, 1)
    assert table.index_find(index.address, 2, 2, 0) == table.ABSENT


def test_a_key_that_slips_past_a_reader_is_found_at_the_second_look(segment, monkeypatch):
    index = _index(segment, 32)
    for key in ((1 << 40, 64), (_LAST, 0)):
        index.insert(key, (5, 6))
    search, states = table._search, []

    def interrupted(address, *key_and_out):
        """The search as it is when, between its looks at the first and the second slot, the key moves from there to here."""
        if not states:
            index.remove((1 << 40, 64))
            assert table._read(table._slot_at(address, 1), _LAST, 0, False, 0) == 2
            states.append(table.ABSENT)
        else:
            states.append(search(address, *key_and_out))
        return states[-1]

    monkeypatch.setattr(table, "_search", interrupted)
    assert table.index_find.py_func(index.address, _LAST, 0, 0) == table.FOUND
    assert states == [table.ABSENT, table.FOUND]


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
