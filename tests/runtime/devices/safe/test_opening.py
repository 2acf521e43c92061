"""Which members are a set's own: those that are missing, stale, or of another set; and who only reads."""

import os
import random
from types import SimpleNamespace

import pytest
from runtime.devices.safe.sets import CAPACITY, Set

from wrp.errors import StoreError
from wrp.runtime.devices.safe import opening, recovery, roster, rows, widening
from wrp.runtime.devices.safe.layout import chunk_place


def test_one_more_than_may_go_is_refused_and_nothing_is_made(four):
    rest = four.without((0, 1, 5))
    with pytest.raises(StoreError, match=r"3 of its members are missing or stale \(.*m0, .*m1, .*m5\), and 2 may be: bring them back"), rest.opened():
        pass
    assert not os.path.exists(rest.paths[0])
    with four.opened() as array:
        four.check(array)


def test_paths_that_no_label_has_room_for_are_refused_and_nothing_is_made(tmp_path):
    long = str(tmp_path) + 1500 * "/."
    made = Set(tmp_path, 3, 8)
    made.paths = [f"{long}/m{number}" for number in range(11)]
    with pytest.raises(StoreError, match="a label of 11 members with such long paths takes [0-9]+ bytes, and may take 32704"), made.opened():
        pass
    assert os.listdir(tmp_path) == []
    made.paths[0] = str(tmp_path / "m0")
    with made.opened() as array:
        with pytest.raises(StoreError, match="a label of 12 members"):
            widening.added(array, f"{long}/new", CAPACITY, made.member)
        array.lose(0, OSError(5, "Input/output error"))
        with pytest.raises(StoreError, match="a label of 11 members"):
            recovery.recover(array, 0, made.member, f"{long}/new")
        assert "new" not in os.listdir(tmp_path) and recovery.recover(array, 0, made.member) >= 0


def test_a_member_that_missed_something_is_stale_until_it_is_recovered(four):
    old = four.copy(3)
    with four.without((3,)).opened() as array:
        four.put(array, 0, b"new" * 100_000)
    rest = four.without((3,), again=True)
    rest.bring(3, old)
    with rest.opened() as array:
        assert roster.positions_of(array.board.out) == (3,)
        four.check(array)
        recovery.recover(array, 3, rest.member)
        with pytest.raises(StoreError, match="m3 needn't be recovered: it is in"):
            recovery.recover(array, 3, rest.member)
    with rest.without((0, 1)).opened() as array:
        four.check(array)


def test_an_old_copy_of_a_member_is_stale_too(four):
    old = four.copy(2)
    with four.opened() as array:
        four.put(array, 0, b"new" * 100_000)
    four.bring(2, old)
    with four.opened() as array:
        assert roster.positions_of(array.board.out) == (2,)
        four.check(array)


@pytest.mark.parametrize("keeps", [False, True])        # the old file
def test_a_member_that_was_recovered_elsewhere_is_found_there(four, tmp_path, keeps):
    old, place = four.copy(1), str(tmp_path / "elsewhere")
    os.unlink(four.paths[1])
    with four.opened() as array:
        four.put(array, 0, b"new" * 100_000)
        recovery.recover(array, 1, four.member, place)
    if keeps:
        four.bring(1, old)
    for text in (b"later", b"last"):
        with four.opened() as array:
            assert not array.board.out and array.members[1].path == place
            four.put(array, 5000, text * 100_000)
    for lost in (0, 2):
        os.unlink(four.paths[lost])
    with four.opened() as array:
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
        opening.opened(four.paths[::-1], 2, CAPACITY, four.member, four.board(), True)
    with pytest.raises(StoreError, match="the set has 4 data members and outlives 2, not 5 and 1"):
        opening.opened(four.paths, 1, CAPACITY, four.member, four.board(), True)
    with four.opened() as array:
        four.check(array)


def test_who_only_reads_sees_what_is_there_and_changes_nothing(four):
    before = [four.copy(position) for position in range(6)]
    array = opening.alone(four.without((0,)).paths, four.member)
    four.check(array)
    array.close()
    assert [four.copy(position) for position in range(6)] == before
    with pytest.raises(StoreError, match="none of its members is there"):
        opening.alone([path + ".no" for path in four.paths], four.member)


def test_who_only_reads_waits_for_no_chunk_that_is_damaged(four, monkeypatch):
    with four.opened() as array:
        four.put(array, 0, bytes(range(256)) * 2048)
        written = [row for row in range(16) if array.chunk(1, row) is not None]
    for row in written:
        four.flip(1, chunk_place(row) + 5)
    waits = []
    monkeypatch.setattr(rows, "time", SimpleNamespace(sleep=waits.append))
    array = opening.alone(four.paths, four.member)
    four.check(array)
    array.close()
    assert len(written) > 1 and waits == []


def test_who_only_reads_hears_of_a_member_that_went_out(four):
    array = opening.alone(four.paths, four.member)
    with four.opened() as writer:
        four.fail(1)
        four.put(writer, 0, b"z" * 400_000)
        four.works(1)
        four.check(array)
        assert roster.positions_of(array.board.out) == (1,)
    array.close()


def test_a_member_that_opens_and_can_t_be_read_is_out(four):
    rest = four.without(())
    os.unlink(rest.paths[0])
    os.symlink("/proc/self/mem", rest.paths[0])             # nothing lies at its first bytes: EIO
    with rest.opened() as array:
        four.check(array)
        assert array.board.out == 1
        rest.put(array, 0, b"z" * 100_000)
    array = opening.alone(rest.paths, rest.member)
    rest.check(array)
    assert array.board.out == 1
    array.close()


def test_who_opens_a_set_for_writing_says_what_is_missing_and_who_reads_doesn_t(four, caplog):
    rest = four.without((2,))
    opening.alone(rest.paths, rest.member).close()
    assert not caplog.messages
    with rest.opened() as array:
        other = opening.joined(rest.paths, rest.member, array.board, False)
        rest.check(other)
        other.close()
    assert len(caplog.messages) == 1 and "m2 of a safe device isn't there" in caplog.messages[0]
    with rest.opened():
        assert len(caplog.messages) == 1
