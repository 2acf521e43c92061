"""An Array against plain bytes: every pattern of lost members, damage, members that fail, are stale or of another set."""

import itertools
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.devices.safe.sets import CAPACITY, Set

from wrp.errors import Corrupt, OutOfSpace, StoreError, UsageError
from wrp.runtime.devices.safe import layout, mending
from wrp.runtime.devices.safe.layout import CHUNK, chunk_place, entry_place


@pytest.fixture
def four(tmp_path):
    """A set of four data members and two of parity that holds something everywhere."""
    made = Set(tmp_path, 4, 2)
    with made.opened() as array:
        made.write(array, random.Random(1), 40)
    return made


OPERATIONS = st.lists(st.tuples(st.integers(0, CAPACITY - 1), st.sampled_from([1, 700, 4096, CHUNK, CHUNK + 1, 5 * CHUNK, 600_000]), st.integers(0, 2**32)), min_size=1, max_size=6)


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
                assert mending.positions_of(array.board.out) == lost


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
            mending.recover(array, position, rest.member)
        assert array.board.out == 0 and mending.look(array)[1:] == (0, 0, 0)
    for others in itertools.combinations(range(6), 2):
        with rest.without(others).opened() as array:
            rest.check(array)


def test_one_more_than_may_go_is_refused_and_nothing_is_made(four):
    rest = four.without((0, 1, 5))
    with pytest.raises(StoreError, match=r"3 of its members are missing or stale \(.*m0, .*m1, .*m5\), and 2 may be: bring them back"), rest.opened():
        pass
    assert not os.path.exists(rest.paths[0])
    with four.opened() as array:
        four.check(array)


@pytest.mark.parametrize("where", [0, 5])
def test_a_chunk_that_rots_comes_back_and_is_mended(four, where):
    with four.opened() as array:
        row = next(row for row in range(16) if array.chunk(where, row) is not None)
    four.flip(where, chunk_place(row) + 100)
    with four.opened() as array:
        four.check(array)
        if where == 5:
            assert mending.look(array)[2] == 1              # nobody reads parity
        assert array.chunk(where, row) is not None and mending.look(array)[1:] == (0, 0, 0)


def test_entries_that_are_wiped_are_noticed(four):
    four.wipe(2, entry_place(0), 4096)
    with four.opened() as array:
        four.check(array)
        assert mending.look(array)[3] == 0
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
        assert mending.look(array)[3] == 3
        with pytest.raises(Corrupt):
            array.write(10, memoryview(b"x"))               # the rest of the chunk isn't known
        four.put(array, 0, bytes(4 * CHUNK))
        four.check(array)


def test_a_member_that_missed_something_is_stale_until_it_is_recovered(four):
    old = four.copy(3)
    with four.without((3,)).opened() as array:
        four.put(array, 0, b"new" * 100_000)
    rest = four.without((3,), again=True)
    rest.bring(3, old)
    with rest.opened() as array:
        assert mending.positions_of(array.board.out) == (3,)
        four.check(array)
        mending.recover(array, 3, rest.member)
        with pytest.raises(StoreError, match="m3 needn't be recovered: it is in"):
            mending.recover(array, 3, rest.member)
    with rest.without((0, 1)).opened() as array:
        four.check(array)


def test_an_old_copy_of_a_member_is_stale_too(four):
    old = four.copy(2)
    with four.opened() as array:
        four.put(array, 0, b"new" * 100_000)
    four.bring(2, old)
    with four.opened() as array:
        assert mending.positions_of(array.board.out) == (2,)
        four.check(array)


def test_files_that_are_no_members_of_the_set_are_refused(four, tmp_path):
    (tmp_path / "other").mkdir()
    other = Set(tmp_path / "other", 4, 2)
    with other.opened() as array:
        other.write(array, random.Random(2), 2)
    kept = four.copy(1)
    four.bring(1, other.copy(1))
    with pytest.raises(StoreError, match="m1 is a member of another set than the others"), four.opened():
        pass
    four.bring(1, b"somebody's bytes" * 10_000)
    with pytest.raises(StoreError, match="m1 holds other bytes and no label"), four.opened():
        pass
    four.bring(1, kept)
    with pytest.raises(StoreError, match=r"m\d is member \d of the set and stands in place \d: name the members in their order"):
        mending.opened(four.paths[::-1], 2, CAPACITY, four.member, four.board(), True)
    with pytest.raises(StoreError, match="the set has 4 data members and outlives 2, not 5 and 1"):
        mending.opened(four.paths, 1, CAPACITY, four.member, four.board(), True)
    with four.opened() as array:
        four.check(array)


def test_members_that_fail_go_out_and_the_last_that_may_not_is_an_error(four):
    with four.opened() as array:
        four.fail(1)
        four.put(array, 100, b"a" * 300_000)
        four.check(array)
        assert mending.positions_of(array.board.out) == (1,)
        four.fail(4)
        four.check(array)
        four.put(array, 0, b"b" * 300_000)
        four.check(array)
        assert mending.positions_of(array.board.out) == (1, 4)
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
            mending.recover(array, 1, four.member)
        four.works(1)
        assert mending.recover(array, 1, four.member) > 0 and mending.recover(array, 4, four.member) > 0
        four.check(array)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(5, "Input/output error")])
def test_a_recovery_that_fails_can_be_tried_again(four, monkeypatch, error):
    def failing(fd, offset, nbytes):
        raise error

    rest = four.without((3,))
    with rest.opened() as array:
        with monkeypatch.context() as patch, pytest.raises((OSError, OutOfSpace)):
            patch.setattr(os, "posix_fallocate", failing)
            mending.recover(array, 3, rest.member)
        assert array.board.joining == 0 and mending.positions_of(array.board.out) == (3,)
        rest.put(array, 0, b"meanwhile" * 50_000)
        assert mending.recover(array, 3, rest.member) > 0
        assert array.board.out == 0 and mending.look(array)[1:] == (0, 0, 0)
        rest.check(array)


def test_a_row_that_is_lost_doesn_t_keep_the_others_from_recovery(four):
    with four.opened() as array:
        four.put(array, 0, bytes(range(256)) * 2048)        # rows 0 and 1
    rest = four.without((3,))
    for position in (0, 4):
        rest.flip(position, chunk_place(0) + 5)
    with rest.opened() as array:
        assert mending.recover(array, 3, rest.member) > 0 and array.board.out == 0
        rest.check(array, begin=4 * CHUNK)
        with pytest.raises(Corrupt, match="3 of the 6 chunks of row 0"):
            array.read(3 * CHUNK, memoryview(bytearray(10)))


def test_a_member_comes_back_under_another_path(four, tmp_path):
    rest = four.without((0,))
    with rest.opened() as array:
        mending.recover(array, 0, rest.member, str(tmp_path / "elsewhere"))
    rest.paths[0] = str(tmp_path / "elsewhere")
    with rest.without((1, 2)).opened() as array:
        four.check(array)


def test_a_disk_without_room_is_out_of_space(four, monkeypatch):
    def full(fd, offset, nbytes):
        raise OSError(28, "No space left on device")

    with four.opened() as array:
        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OutOfSpace, match="m0 has no room for it"):
            array.back(0, CHUNK)


def test_who_only_reads_sees_what_is_there_and_changes_nothing(four):
    before = [four.copy(position) for position in range(6)]
    array = mending.alone(four.without((0,)).paths, four.member)
    four.check(array)
    array.close()
    assert [four.copy(position) for position in range(6)] == before
    with pytest.raises(StoreError, match="none of its members is there"):
        mending.alone([path + ".no" for path in four.paths], four.member)


def test_who_only_reads_hears_of_a_member_that_went_out(four):
    array = mending.alone(four.paths, four.member)
    with four.opened() as writer:
        four.fail(1)
        four.put(writer, 0, b"z" * 400_000)
        four.works(1)
        four.check(array)
        assert mending.positions_of(array.board.out) == (1,)
    array.close()


def test_a_wider_group_begins_behind_what_is_used(tmp_path):
    made = Set(tmp_path, 2, 1)
    with made.opened() as array:
        made.put(array, 0, random.Random(5).randbytes(10 * CHUNK))
        before = [made.copy(position) for position in range(3)]
        capacity = mending.added(array, str(tmp_path / "m3"), 10 * CHUNK, made.member)
        assert capacity > CAPACITY and array.groups.last.members == (0, 1, 3)
        assert [copy[layout.chunk_place(0):layout.chunk_place(5)] for copy in before] == [made.copy(position)[layout.chunk_place(0):layout.chunk_place(5)] for position in range(3)]
        made.grow(capacity)
        made.put(array, 9 * CHUNK, random.Random(6).randbytes(capacity - 9 * CHUNK))
        made.check(array)
        with pytest.raises(StoreError, match="member 3 can't be removed: rows lie on it"):
            mending.removed(array, 3, capacity)
        with pytest.raises(StoreError, match="m3 is a member already"):
            mending.added(array, str(tmp_path / "m3"), capacity, made.member)
    for lost in range(4):
        with made.without((lost,)).opened() as array:      # the labels know the fourth
            made.check(array)


def test_a_member_on_which_nothing_lies_can_go_again(tmp_path):
    made = Set(tmp_path, 2, 1)
    with made.opened() as array:
        made.put(array, 0, b"x" * CHUNK)
        grown = mending.added(array, str(tmp_path / "m3"), CHUNK, made.member)
        assert grown > mending.removed(array, 3, CHUNK) == CAPACITY
        with pytest.raises(StoreError, match="can't be removed: it holds parity"):
            mending.removed(array, 2, CHUNK)
    with made.opened() as array:
        made.check(array)


@pytest.mark.parametrize("members, failures, sentence", [(["a"], 1, "a safe device of 1 members can't outlive 1"), (["a", "b"], 2, "can't outlive 2"), (["a", "b"], 0, "can't outlive 0"),
                                                         (["a", "a"], 1, "each may stand there once"), (["a,b", "c"], 1, "without a comma")])
def test_what_no_set_can_be(members, failures, sentence):
    with pytest.raises(UsageError, match=sentence):
        layout.address(members, failures)


def test_an_address_names_the_members():
    assert layout.parsed(layout.address(["/a", "ram::b", "/c"], 2, "-7")) == (["/a-7", "ram::b-7", "/c-7"], 2)
    with pytest.raises(UsageError, match="is no address of a safe device"):
        layout.parsed("safe:x:a,b,")
