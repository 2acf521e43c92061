"""Sets that get another data member, and lose it again."""

import os
import random

import pytest
from runtime.devices.safe.sets import CAPACITY, Set, break_disk, mend_disk

from wrp.errors import StoreError
from wrp.runtime.devices.safe import layout, opening, recovery, roster, widening
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


@pytest.mark.parametrize("away", [False, True])
def test_a_removed_member_is_missed_by_nobody_and_may_come_again(tmp_path, away):
    made, extra = Set(tmp_path, 2, 1), str(tmp_path / "m3")
    with made.opened() as array:
        made.put(array, 0, b"x" * CHUNK)
        other = opening.joined(made.paths, made.member, array.board, False)
        widening.added(array, extra, CHUNK, made.member)
        if away:
            break_disk(extra)
            array.lose(3, OSError(5, "Input/output error"))
            mend_disk(extra)
        widening.removed(array, 3, CHUNK)
        assert os.path.getsize(extra) == 0 and array.board.out == 0
        os.unlink(extra)
        made.put(other, 0, b"y" * 3 * CHUNK)
        array.sync()
        with pytest.raises(StoreError, match="it has no member 3"):
            recovery.recover(array, 3, made.member)
        other.close()
    for lost in range(3):
        with made.without((lost,)).opened() as array:       # it doesn't count among those that may go
            made.check(array)
            assert roster.positions_of(array.board.out) == (lost,)
    with made.opened() as array:
        capacity = widening.added(array, extra, 3 * CHUNK, made.member)
        made.grow(capacity)
        made.put(array, capacity - 2 * CHUNK, b"z" * 2 * CHUNK)
    with made.without((0,)).opened() as array:
        made.check(array)


def test_the_first_of_a_set_may_be_removed_while_nothing_is_in_it(tmp_path):
    made = Set(tmp_path, 3, 1)
    with made.opened() as array:
        widening.removed(array, 0, 0)
        made.put(array, 0, b"x" * 5 * CHUNK)
    made.bring(0, b"somebody else's" * 10_000)
    with made.opened() as array:
        assert array.board.out == 0
        made.check(array)
