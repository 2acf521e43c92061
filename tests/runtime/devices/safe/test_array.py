"""An Array against plain bytes: every pattern of lost members, damage, members that fail."""

import itertools
import os
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.devices.safe.sets import CAPACITY, OPERATIONS, Set

from wrp.errors import Corrupt, OutOfSpace, StoreError
from wrp.runtime.devices.safe import recovery, roster
from wrp.runtime.devices.safe.layout import CHUNK, chunk_place, entry_place
from wrp.runtime.devices.safe.member import LOOK_S


@settings(max_examples=6, deadline=None)
@given(shape=st.sampled_from([(1, 1), (2, 1), (3, 2), (4, 2), (2, 3)]), operations=OPERATIONS)
def test_every_pattern_of_lost_members_shows_the_same_bytes(tmp_path_factory, shape, operations):
    data, parity = shape
    made = Set(tmp_path_factory.mktemp("set"), data, parity)
    with made.opened() as array:
        for offset, nbytes, seed in operations:
            made.put(array, offset, random.Random(seed).randbytes(min(nbytes, CAPACITY - offset)))
        made.check(array)
    for count in range(1, parity + 1):
        for lost in itertools.combinations(range(data + parity), count):
            with made.without(lost).opened() as array:
                made.check(array)
                assert roster.positions_of(array.board.out) == lost


@pytest.mark.parametrize("where", [0, 5])
def test_a_chunk_that_rots_comes_back_and_is_mended(four, where):
    with four.opened() as array:
        row = next(row for row in range(16) if array.chunk(where, row) is not None)
    four.flip(where, chunk_place(row) + 100)
    with four.opened() as array:
        four.check(array)
        if where == 5:
            assert recovery.look(array)[2] == 1              # nobody reads parity
        assert array.chunk(where, row) is not None and recovery.look(array)[1:] == (0, 0, 0)


def test_entries_that_are_wiped_are_noticed(four):
    four.wipe(2, entry_place(0), 4096)
    with four.opened() as array:
        four.check(array)
        assert recovery.look(array)[3] == 0
    with four.without((0, 1)).opened() as array:
        four.check(array)


def test_more_damage_than_may_be_is_an_error_of_these_bytes_only(four):
    with four.opened() as array:
        four.put(array, 0, bytes(range(256)) * 2048)        # rows 0 and 1
    for position in (0, 1, 4):
        four.flip(position, chunk_place(0) + 5)
    with four.opened() as array:
        with pytest.raises(Corrupt, match="3 of the 6 chunks of row 0 are damaged or gone, and 2 may be"):
            array.read(0, memoryview(bytearray(10)))
        four.check(array, begin=4 * CHUNK)
        assert recovery.look(array)[3] == 3
        with pytest.raises(Corrupt):
            array.write(10, memoryview(b"x"))               # the rest of the chunk isn't known
        four.put(array, 0, bytes(4 * CHUNK))
        four.check(array)


def test_members_that_fail_go_out_and_the_last_that_may_not_is_an_error(four):
    with four.opened() as array:
        four.fail(1)
        four.put(array, 100, b"a" * 300_000)
        four.check(array)
        assert roster.positions_of(array.board.out) == (1,)
        four.fail(4)
        four.check(array)
        four.put(array, 0, b"b" * 300_000)
        four.check(array)
        assert roster.positions_of(array.board.out) == (1, 4)
        four.fail(0)
        with pytest.raises((StoreError, Corrupt), match="members"):
            four.check(array)
        with pytest.raises(StoreError, match="only 3 of its members answer|too many of its members|more than 2 of its members"):
            array.write(0, memoryview(b"c" * 300_000))
    for position in (0, 1, 4):
        four.works(position)
    with four.opened() as array:
        four.check(array)
        with pytest.raises(StoreError, match="m1.fail|is stale|members"):
            four.fail(1)
            recovery.recover(array, 1, four.member)
        four.works(1)
        assert recovery.recover(array, 1, four.member) > 0 and recovery.recover(array, 4, four.member) > 0
        four.check(array)


def test_a_disk_without_room_is_out_of_space(four, monkeypatch):
    def full(fd, offset, nbytes):
        raise OSError(28, "No space left on device")

    with four.opened() as array:
        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OutOfSpace, match="m0 has no room for it"):
            array.back(0, CHUNK)


def test_whether_a_member_fails_is_not_looked_up_at_each_read(four, monkeypatch):
    looks, exists = [], os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: looks.append(path) or exists(path))
    with four.opened() as array:
        begin, count = time.monotonic(), len(looks)
        for _ in range(200):
            array.read(0, memoryview(bytearray(4096)))
        assert len(looks) - count <= 6 * (1 + (time.monotonic() - begin) / LOOK_S)


def test_a_member_whose_sync_fails_is_out(four):
    with four.opened() as array:
        four.put(array, 0, b"s" * 100_000)
        read, write = os.pipe()
        os.dup2(write, array.members[2]._descriptor)        # fdatasync of a pipe: EINVAL
        array.sync()
        assert roster.positions_of(array.board.out) == (2,)
        four.check(array)
        os.close(read)
        os.close(write)
