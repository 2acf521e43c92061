"""Several Arrays on one board, as processes of a node have them: each knows what another has changed before it reads or writes."""

import mmap
import os
import random
import signal
import threading

import numpy as np
import pytest
from runtime.devices.safe.sets import CAPACITY, Set

from wrp.errors import Corrupt, StoreError
from wrp.runtime.devices.safe import label as labels
from wrp.runtime.devices.safe import opening, recovery, roster, rows, seen, widening
from wrp.runtime.devices.safe.array import Array
from wrp.runtime.devices.safe.board import COUNTERS_NBYTES, NBYTES, Board
from wrp.runtime.devices.safe.layout import CHUNK, entry_place
from wrp.runtime.devices.safe.member import FileMember


@pytest.fixture
def shared(tmp_path):
    """(Set of three data members and two of parity, the Array that has made it, another one)."""
    made, memory = Set(tmp_path, 3, 2), mmap.mmap(-1, NBYTES + COUNTERS_NBYTES)
    address = np.frombuffer(memory, np.uint8).ctypes.data
    board = Board(address, address + NBYTES, 60.0)
    array = opening.opened(made.paths, 2, CAPACITY, made.member, board, False)
    made.put(array, 0, random.Random(3).randbytes(9 * CHUNK))
    other = opening.joined(made.paths, made.member, board, False)
    yield made, array, other
    opening.closed(array)
    other.close()
    array.close()


@pytest.mark.parametrize("path", [None, "elsewhere"])
def test_a_recovered_member_is_the_same_file_for_all(shared, path, monkeypatch):
    monkeypatch.setattr(rows, "_TRY_S", 0.0001)              # nobody writes meanwhile: who only reads waits for nobody
    made, array, other = shared
    path = path and str(made.folder / path)
    outside = opening.alone(made.paths, made.member)
    made.fail(0)
    made.put(array, 0, b"1" * 3 * CHUNK)
    made.works(0)
    os.unlink(made.paths[0])
    late = opening.joined(made.paths, made.member, array.board, False)       # it has no member 0
    recovery.recover(array, 0, made.member, path)
    for number, each in enumerate((other, late, array)):
        made.put(each, number * CHUNK // 2, bytes([65 + number]) * 4 * CHUNK)
        for reader in (array, other, late, outside):
            made.check(reader)
    assert array.board.out == 0 and recovery.look(array)[1:] == (0, 0, 0)
    late.close()
    outside.close()


def test_two_that_lose_members_write_one_label_after_the_other(shared):
    made, array, other = shared
    made.fail(1)
    made.put(array, 0, b"a" * 3 * CHUNK)
    other.lose(0, OSError(5, "Input/output error"))          # in the middle of something: it hasn't looked since
    assert array.board.out == 0b11
    made.put(other, 0, b"b" * 3 * CHUNK)
    made.works(1)
    array.refresh()
    assert (array.label.generation, array.label.out) == (other.label.generation, (0, 1))
    again = opening.alone(made.paths, made.member)
    assert again.board.out == 0b11
    made.check(again)
    again.close()


def test_a_member_that_was_added_stays_when_another_is_lost(shared):
    made, array, other = shared
    widening.added(array, str(made.folder / "m5"), 9 * CHUNK, made.member)
    other.lose(0, OSError(5, "Input/output error"))          # in the middle of something: it hasn't looked since
    assert other.label.paths[-1] == str(made.folder / "m5") and roster.read_label(array.members[1]).groups == other.label.groups


def killed(step):
    """Do it in a child that ends in the middle."""
    child = os.fork()
    if not child:
        try:
            step()
        finally:
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


def dying(*args):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def lost(shared):
    made, array, other = shared
    made.fail(1)
    made.put(array, 0, b"1" * 3 * CHUNK)
    made.works(1)
    return shared


def test_a_recovery_that_was_killed_is_another_one_s(lost, monkeypatch):
    made, array, other = lost
    with monkeypatch.context() as patched:
        patched.setattr(Array, "put", dying)
        killed(lambda: recovery.recover(array, 1, made.member))
    found = seen.state(other.board)
    assert other.board.joining == 0b10 and (found["recovering"], found["recovery_active"]) == ([], 0)
    made.put(other, CHUNK, b"2" * 3 * CHUNK)
    assert recovery.recover(other, 1, made.member) > 0
    assert (other.board.out, other.board.joining) == (0, 0) and seen.state(other.board)["recovery_ops_remaining"] == 0
    made.check(array)
    assert recovery.look(array)[1:] == (0, 0, 0)


def test_a_member_that_fails_when_its_recovery_was_killed_isn_t_in_after_a_crash(lost, monkeypatch):
    made, array, other = lost
    write = labels.write
    with monkeypatch.context() as patched:
        patched.setattr(labels, "write", lambda member, label: dying() if label.active and not label.out else write(member, label))
        killed(lambda: recovery.recover(array, 1, made.member))
    made.fail(1)
    made.put(other, 0, b"2" * 3 * CHUNK)
    made.works(1)
    with made.without(()).opened() as again:            # as all of them have left it
        assert again.board.out == 0b10
        made.check(again)


def test_a_recovery_goes_on_when_another_member_fails(lost, monkeypatch):
    made, array, other = lost
    put = Array.put

    def failing(*args):
        put(*args)
        if other.board.out == 0b10:
            other.lose(0, OSError(5, "Input/output error"))
    monkeypatch.setattr(Array, "put", failing)
    assert recovery.recover(array, 1, made.member) > 0
    assert (array.board.out, array.board.joining) == (0b1, 0)
    made.check(other)


def test_more_looks_than_places_are_refused(shared):
    made, array, other = shared
    with other.board.labels():
        places = [other.board.begin_work() for _ in range(32)]
    with pytest.raises(StoreError, match="32 looks at all its rows are under way: wait for one of them"):
        recovery.look(array)
    other.board.end_work(places.pop())
    assert recovery.look(array)[1:] == (0, 0, 0)
    for place in places:
        other.board.end_work(place)


class _Stopped(BaseException):
    """As Ctrl-C: no Exception."""


def test_labels_that_an_error_stops_halfway_are_older_than_the_next(shared, monkeypatch):
    made, array, other = shared
    write = labels.write

    def stopped(member, label):
        write(member, label)
        if label.active:
            raise _Stopped
    with monkeypatch.context() as patched:
        patched.setattr(labels, "write", stopped)
        with pytest.raises(_Stopped):
            array.lose(1, OSError(5, "Input/output error"))     # member 0 alone knows
    made.fail(0)
    made.put(other, 0, b"2" * 3 * CHUNK)
    made.works(0)
    with made.without(()).opened() as again:
        assert again.board.out & 1
        made.check(again)


@pytest.mark.parametrize("upto", [5, 6, 7, 8, 9])
def test_a_write_that_an_error_stops_is_done_or_undone_before_the_next(shared, monkeypatch, upto):
    made, array, other = shared
    before, number, write = bytes(made.model[:3 * CHUNK]), 0, FileMember.write

    def stopping(member, place, *pieces):
        nonlocal number
        number += 1
        if number == upto:
            raise _Stopped
        write(member, place, *pieces)
    monkeypatch.setattr(FileMember, "write", stopping)
    with pytest.raises(_Stopped):
        array.write(100, memoryview(b"n" * CHUNK))          # two chunks and both of parity: four records come first
    monkeypatch.undo()
    made.model[100:100 + CHUNK] = b"n" * CHUNK
    assert not array.board.is_under_way and bytes(made.model[:3 * CHUNK]) != before
    assert recovery.look(other)[1:] == (0, 0, 0)
    for position in (0, 1):
        made.fail(position)
    made.check(other)
    for position in (0, 1):
        made.works(position)


def test_a_writer_that_died_beside_a_member_that_is_out_is_repaired_before_that_comes_back(shared):
    made, array, other = shared
    made.fail(1)
    made.put(array, 0, b"1" * 3 * CHUNK)
    made.works(1)
    child = os.fork()
    if not child:
        killing = FileMember.write

        def write(member, place, *pieces):
            killing(member, place, *pieces)
            if member.path == made.paths[0] and place == entry_place(0):
                os.kill(os.getpid(), signal.SIGKILL)
        FileMember.write = write
        other.write(10, memoryview(b"2" * 2 * CHUNK))
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    made.model[10:10 + 2 * CHUNK] = b"2" * 2 * CHUNK
    recovery.recover(array, 1, made.member)
    made.check(array)
    assert recovery.look(array)[1:] == (0, 0, 0)


def test_who_only_reads_gets_no_mixture_of_a_row_that_is_being_written(shared, monkeypatch):
    made, array, other = shared
    made.fail(0)
    made.put(array, 0, bytes(made.model[:3 * CHUNK]))        # member 0 is out: its column is read from the others
    made.works(0)
    outside, write = opening.alone(made.paths, made.member), FileMember.write
    begun, goes = threading.Event(), threading.Event()

    def slow(member, place, *pieces):
        write(member, place, *pieces)
        if member.path == made.paths[3] and place == entry_place(0):
            begun.set()
            goes.wait(20)
    before = bytes(made.model[:CHUNK])
    monkeypatch.setattr(FileMember, "write", slow)
    writer = threading.Thread(target=made.put, args=(array, CHUNK, b"n" * CHUNK))
    writer.start()
    assert begun.wait(10)
    out = bytearray(CHUNK)
    with pytest.raises(Corrupt, match="row 0 is being written, or was when its writer died"):
        outside.read(0, memoryview(out))                    # one parity is new, the other and the data are old
    with monkeypatch.context() as shorter:
        shorter.setattr(rows, "_TRY_S", 0.0001)
        made.check(outside, begin=3 * CHUNK)
    threading.Timer(0.1, goes.set).start()
    outside.read(0, memoryview(out))                        # a writer that lives is waited for
    writer.join()
    assert out == before
    monkeypatch.setattr(rows, "_TRY_S", 0.0001)
    made.check(outside)
    outside.close()
