"""Members that were lost are whole again once they are recovered, whatever was written meanwhile."""

import itertools
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.devices.safe.sets import CAPACITY, OPERATIONS, Set

from wrp.errors import Corrupt, OutOfSpace, StoreError
from wrp.runtime.devices.safe import opening, recovery, roster
from wrp.runtime.devices.safe.layout import CHUNK, chunk_place


@settings(max_examples=4, deadline=None)
@given(lost=st.sets(st.integers(0, 5), min_size=1, max_size=2), operations=OPERATIONS)
def test_writes_without_members_are_whole_once_they_are_recovered(tmp_path_factory, lost, operations):
    made = Set(tmp_path_factory.mktemp("set"), 4, 2)
    with made.opened() as array:
        made.write(array, random.Random(7), 10)
    rest = made.without(lost)
    with rest.opened() as array:
        for offset, nbytes, seed in operations:
            rest.put(array, offset, random.Random(seed).randbytes(min(nbytes, CAPACITY - offset)))
        rest.check(array)
        for position in lost:
            recovery.recover(array, position, rest.member)
        assert array.board.out == 0 and recovery.look(array)[1:] == (0, 0, 0)
    for others in itertools.combinations(range(6), 2):
        with rest.without(others).opened() as array:
            rest.check(array)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(5, "Input/output error")])
def test_a_recovery_that_fails_can_be_tried_again(four, monkeypatch, error):
    def failing(fd, offset, nbytes):
        raise error

    rest = four.without((3,))
    with rest.opened() as array:
        with monkeypatch.context() as patch, pytest.raises((OSError, OutOfSpace)):
            patch.setattr(os, "posix_fallocate", failing)
            recovery.recover(array, 3, rest.member)
        assert array.board.joining == 0 and roster.positions_of(array.board.out) == (3,)
        rest.put(array, 0, b"meanwhile" * 50_000)
        assert recovery.recover(array, 3, rest.member) > 0
        assert array.board.out == 0 and recovery.look(array)[1:] == (0, 0, 0)
        rest.check(array)


def test_a_row_that_is_lost_doesn_t_keep_the_others_from_recovery(four):
    with four.opened() as array:
        four.put(array, 0, bytes(range(256)) * 2048)        # rows 0 and 1
    rest = four.without((3,))
    for position in (0, 4):
        rest.flip(position, chunk_place(0) + 5)
    with rest.opened() as array:
        assert recovery.recover(array, 3, rest.member) > 0 and array.board.out == 0
        rest.check(array, begin=4 * CHUNK)
        with pytest.raises(Corrupt, match="3 of the 6 chunks of row 0"):
            array.read(3 * CHUNK, memoryview(bytearray(10)))


def test_a_row_that_is_lost_stays_so_after_a_crash(tmp_path):
    made = Set(tmp_path, 4, 2)
    with made.opened() as array:
        made.put(array, 0, bytes(range(1, 251)) * 1048)     # row 0, which nobody has written before
    rest = made.without((3,))
    for position in (0, 4):
        rest.flip(position, chunk_place(0) + 5)
    array = opening.opened(rest.paths, 2, CAPACITY, rest.member, rest.board(), False)
    recovery.recover(array, 3, rest.member)
    array.close()                       # its labels don't say that nothing is left in the middle
    with rest.opened() as array, pytest.raises(Corrupt, match="3 of the 6 chunks of row 0"):
        array.read(0, memoryview(bytearray(10)))


def test_a_member_comes_back_under_another_path(four, tmp_path):
    rest = four.without((0,))
    with rest.opened() as array:
        recovery.recover(array, 0, rest.member, str(tmp_path / "elsewhere"))
    rest.paths[0] = str(tmp_path / "elsewhere")
    with rest.without((1, 2)).opened() as array:
        four.check(array)


def test_a_member_isn_t_recovered_to_the_place_of_another(four):
    rest = four.without((1, 2))
    with rest.opened() as array, pytest.raises(StoreError, match="m2 is the place of another member"):
        recovery.recover(array, 1, rest.member, rest.paths[2])
    assert not os.path.exists(rest.paths[2])
