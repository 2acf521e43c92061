"""Queues of attached processes, without processes."""

import pytest

from wrp.comm import atomics
from wrp.comm.segment import Segment
from wrp.runtime import queues

_FIRST, _MARKS = 4096, 65536


@pytest.fixture
def record():
    """Address of a lane's record with queues of 3 processes behind it, and marks behind them."""
    with Segment.private(1 << 20) as segment:
        offset, _ = segment.place("queues", 1 << 18)
        segment.reserve(offset, 1 << 18)
        record = segment.address + offset
        for word, value in ((queues.FIRST, _FIRST), (queues.STRIDE, queues.QUEUE_NBYTES), (queues.HIGH, 3), (queues.MARKS, _MARKS)):
            atomics.store(record + word, value)
        yield record


def queue(record, process):
    return record + _FIRST + process * queues.QUEUE_NBYTES


def test_nothing_is_taken_before_the_bell(record):
    queues.queue_push(queue(record, 0), 64)
    assert queues.queues_take(record) == -1 and not queues.queues_ringing(record)
    queues.queues_ring(record)
    assert queues.queues_ringing(record)
    assert queues.queues_take(record) == 64 and queues.queue_count(queue(record, 0)) == 0
    assert queues.queues_take(record) == -1 and not queues.queues_ringing(record)


def test_processes_take_turns_and_each_keeps_its_order(record):
    for process in range(3):
        for number in range(4):
            queues.queue_push(queue(record, process), 8 * (10 * process + number))
    queues.queues_ring(record)
    taken = [queues.queues_take(record) // 8 for _ in range(12)]
    assert taken == [10 * process + number for number in range(4) for process in range(3)]


def test_full_round_wraps_and_marks(record):
    for _ in range(5):
        for number in range(queues.TASKS_AT_ONCE):
            queues.queue_push(queue(record, 1), 8 * number)
        queues.queues_ring(record)
        assert [queues.queues_take(record) // 8 for _ in range(queues.TASKS_AT_ONCE)] == list(range(queues.TASKS_AT_ONCE))
    assert all(atomics.load(record + _MARKS + 8 * number) == 1 for number in range(queues.TASKS_AT_ONCE))


def test_words_leave_room_for_all_tasks_and_set_no_mark(record):
    words = 0
    while queues.queue_push_word(queue(record, 2), 8 * words + 1):
        words += 1
    assert words == queues.CAPACITY - queues.TASKS_AT_ONCE
    for number in range(queues.TASKS_AT_ONCE):
        queues.queue_push(queue(record, 2), 8 * number)
    queues.queues_ring(record)
    taken = [queues.queues_take(record) for _ in range(queues.CAPACITY)]
    assert taken[:words] == [8 * number + 1 for number in range(words)] and taken[words:] == [8 * number for number in range(len(taken) - words)]
    assert all(atomics.load(record + _MARKS + 8 * number) == 1 for number in range(queues.TASKS_AT_ONCE))
    assert atomics.load(record + _MARKS + 8 * queues.TASKS_AT_ONCE) == 0
