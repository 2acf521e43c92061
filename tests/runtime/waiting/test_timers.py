"""The heap of timers against Python's, and the grid of periods, replayed."""

import random

import numpy as np

from wrp.runtime import tasks
from wrp.runtime.waiting.heap import heap_due, heap_first, heap_put, heap_remove, words_of
from wrp.runtime.waiting.period import period_missed, period_next


def test_heap_against_a_sorted_list():
    count, chance = 64, random.Random(3)
    records = np.zeros((count + 1) * tasks.NBYTES // 8, np.int64)
    heap, base = np.zeros(words_of(count), np.int64), records.ctypes.data
    due = {}
    for _ in range(5000):
        offset = chance.randrange(1, count + 1) * tasks.NBYTES
        if chance.random() < 0.6:
            due[offset] = chance.randrange(1, 1000)
            heap_put(base, heap.ctypes.data, offset, due[offset])
        else:
            due.pop(offset, None)
            heap_remove(base, heap.ctypes.data, offset)
        assert heap[0] == len(due)
        assert heap_due(heap.ctypes.data) == min(due.values(), default=0)
        if due:
            assert due[heap_first(heap.ctypes.data)] == min(due.values())


def replayed(period, ends):
    """(times it was due, dues missed) of runs that end at these times; each begins when it is due."""
    due, dues, missed = 0, [], 0
    for end in ends:
        missed += period_missed(due, period, max(end, due))
        due = period_next(due, period, max(end, due))
        dues.append(due)
    return dues, missed


def test_quick_runs_keep_the_grid():
    assert replayed(10, [1, 19, 21, 33]) == ([10, 20, 30, 40], 0)


def test_slow_runs_miss_dues_and_come_back_to_the_grid():
    assert replayed(10, [35, 41, 42]) == ([40, 50, 60], 3)
    dues, missed = replayed(10, [12, 20, 999, 1000])
    assert all(due % 10 == 0 for due in dues)
    assert len(set(dues)) == len(dues)              # never two runs for one due
    assert dues[-1] // 10 == len(dues) + missed     # each due is run or counted
