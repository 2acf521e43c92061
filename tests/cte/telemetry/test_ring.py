"""The ring of operations: order, limits, many writers at once, writers that stop inside an entry."""

import os
import threading
import time

import numpy as np
import pytest
from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.segment import Segment
from wrp.cte.telemetry import Op, Telemetry
from wrp.cte.telemetry import ring as module
from wrp.cte.telemetry.counters import Counters, Counts
from wrp.errors import UsageError


@pytest.fixture
def segment():
    with Segment.private(4 << 20) as made:
        yield made


@pytest.fixture
def ring(segment):
    return Telemetry.create(segment, segment.place("telemetry", Telemetry.nbytes(64))[0], 64)


@kernel
def _write_many(ring, writer, count):
    for number in range(count):
        module.telemetry_record(ring, 0, writer, number, number * 3, number * 7, writer + 1, 0)


def test_entries_come_ascending_and_from_a_logical_time_on(ring):
    before = time.time_ns()
    for number in range(10):
        assert ring.record(Op.PUT_BLOB if number % 2 else Op.GET_BLOB, 5, number, number, 100, 0 if number % 2 else 7) == number
    last, entries, lost = ring.poll()
    assert last == 9 and lost == 0 and [entry.logical_time for entry in entries] == list(range(10))
    assert entries[3][:5] == (Op.PUT_BLOB, 3, 100, 5, 3) and entries[3].read_time == 0
    assert before - 1e9 < entries[3].mod_time < time.time_ns() + 1e9
    assert entries[2].mod_time == 7 and before - 1e9 < entries[2].read_time < time.time_ns() + 1e9
    assert [entry.logical_time for entry in ring.poll(7).entries] == [7, 8, 9]
    assert [entry.logical_time for entry in ring.poll(2, limit=3).entries] == [2, 3, 4] and ring.poll(2, limit=3).last == 4
    assert ring.poll(10) == (9, [], 0)
    assert ring.poll(-5).entries == entries         # polling takes nothing out


def test_operations_have_numbers_of_their_own(ring):
    assert [Op.PUT_BLOB, Op.GET_BLOB, Op.DELETE_BLOB, Op.CREATE_TAG, Op.DELETE_TAG, Op.GET_TAG_SIZE] == list(range(6))
    for op in Op:
        ring.record(op)
    assert [entry.op for entry in ring.poll().entries] == list(Op) and len(set(Op)) == 12


def test_the_oldest_are_overwritten_and_counted_as_lost(ring):
    for number in range(200):
        ring.record(Op.PUT_BLOB, blob=number)
    last, entries, lost = ring.poll(100)
    assert (last, lost, len(entries)) == (199, 36, 64)
    assert [entry.blob for entry in entries] == list(range(136, 200))


@pytest.mark.parametrize("entries", [0, 1, 3, 1000, -4])
def test_the_size_is_a_power_of_two(entries):
    with pytest.raises(UsageError, match="power of two"):
        Telemetry.nbytes(entries)


def test_off_costs_and_notes_nothing():
    assert module.telemetry_record(0, 0, 1, 2, 3, 4, 5, 6) == -1


def test_writers_of_several_processes_and_a_reader(segment):
    """No entry is lost that the ring still has, none is torn, each writer's are in its order."""
    offset = segment.place("telemetry", Telemetry.nbytes(1024))[0]
    ring = Telemetry.create(segment, offset, 1024)
    _write_many(ring.address, 99, 1)
    children = []
    for writer in (1, 2):
        child = os.fork()
        if child == 0:
            try:
                _write_many(ring.address, writer, 30_000)
            finally:
                os._exit(0)
        children.append(child)
    threads = [threading.Thread(target=_write_many, args=(ring.address, writer, 30_000)) for writer in (3, 4)]
    for thread in threads:
        thread.start()
    seen, following, lost = [], 1, 0
    while following < 120_001:
        rows, following, gone = ring.read(following, 512)
        seen.append(rows.copy())
        lost += gone
    for thread in threads:
        thread.join()
    for child in children:
        os.waitpid(child, 0)
    rows = np.concatenate(seen)
    assert len(rows) + lost == 120_000 and len(rows) > 1000
    assert (np.diff(rows[:, 0]) > 0).all()
    assert (rows[:, 4] == rows[:, 3] * 3).all() and (rows[:, 5] == rows[:, 3] * 7).all() and (rows[:, 6] == rows[:, 2] + 1).all()
    for writer in (1, 2, 3, 4):
        assert (np.diff(rows[rows[:, 2] == writer][:, 3]) > 0).all()


def test_a_writer_that_stopped_inside_an_entry_is_passed(ring):
    for number in range(5):
        ring.record(Op.PUT_BLOB, blob=number)
    atomics.add(ring.address + 64, 1)           # a logical time that nobody fills
    ring.record(Op.PUT_BLOB, blob=6)
    poll = ring.poll()
    assert [entry.blob for entry in poll.entries] == [0, 1, 2, 3, 4, 6] and poll.lost == 1 and poll.last == 6


def test_a_writer_that_wakes_late_spoils_no_entry_unseen(ring):
    """It overwrites words of a younger entry: that one is given up, never returned with foreign words."""
    for number in range(70):
        ring.record(Op.PUT_BLOB, tag=1, blob=number, size=number)
    slot = ring.address + 128 + 3 * 64          # logical time 67, once 3
    assert 67 in [entry.blob for entry in ring.poll(60).entries]
    atomics.store(slot + 24, 3)                 # the word `blob` of the late one
    poll = ring.poll(60)
    assert [entry.blob for entry in poll.entries] == [60, 61, 62, 63, 64, 65, 66, 68, 69] and poll.lost == 1


def test_counters(segment):
    offset = segment.place("counters", Counters.nbytes(4))[0]
    segment.reserve(offset, Counters.nbytes(4))
    counters = Counters(segment.address + offset, 4)
    for _ in range(3):
        counters.note(2, True, 100)
    counters.note(2, False, 7), counters.note(0, False, 1), counters.note(9, True, 5)
    assert counters.read() == {0: Counts(1, 1, 0, 0), 2: Counts(1, 7, 3, 300)}
    goes_on = counters.watch()
    assert not goes_on() and not goes_on()
    counters.note(1, True, 1)
    assert goes_on() and not goes_on()
