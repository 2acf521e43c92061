"""Sets that get another data member, and lose it again."""

import random

import pytest
from runtime.devices.safe.sets import CAPACITY, Set

from wrp.errors import StoreError
from wrp.runtime.devices.safe import layout, widening
from wrp.runtime.devices.safe.layout import CHUNK


def test_a_wider_group_begins_behind_what_is_used(tmp_path):
    made = Set(tmp_path, 2, 1)
    with made.opened() as array:
        made.put(array, 0, random.Random(5).randbytes(10 * CHUNK))
        before = [made.copy(position) for position in range(3)]
        capacity = widening.added(array, str(tmp_path / "m3"), 10 * CHUNK, made.member)
        assert capacity > CAPACITY and array.groups.last.members == (0, 1, 3)
        assert [copy[layout.chunk_place(0):layout.chunk_place(5)] for copy in before] == [made.copy(position)[layout.chunk_place(0):layout.chunk_place(5)] for position in range(3)]
        made.grow(capacity)
        made.put(array, 9 * CHUNK, random.Random(6).randbytes(capacity - 9 * CHUNK))
        made.check(array)
        with pytest.raises(StoreError, match="member 3 can't be removed: rows lie on it"):
            widening.removed(array, 3, capacity)
        with pytest.raises(StoreError, match="m3 is a member already"):
            widening.added(array, str(tmp_path / "m3"), capacity, made.member)
    for lost in range(4):
        with made.without((lost,)).opened() as array:      # the labels know the fourth
            made.check(array)


def test_a_member_on_which_nothing_lies_can_go_again(tmp_path):
    made = Set(tmp_path, 2, 1)
    with made.opened() as array:
        made.put(array, 0, b"x" * CHUNK)
        grown = widening.added(array, str(tmp_path / "m3"), CHUNK, made.member)
        assert grown > widening.removed(array, 3, CHUNK) == CAPACITY
        with pytest.raises(StoreError, match="can't be removed: it holds parity"):
            widening.removed(array, 2, CHUNK)
    with made.opened() as array:
        made.check(array)
