"""Rows of a postman's desk: each is somebody's until it is given back, and a number of a task that has ended ends no other."""

import numpy as np
import pytest

from wrp.comm import atomics
from wrp.runtime.postman import desk
from wrp.runtime.postman.desk import FREE_SENT, FREE_SERVED, NUMBER, ROWS, SENT, SERVED


@pytest.fixture
def words():
    """The words of a desk with nothing but rows."""
    words, rows = np.zeros(desk.WORDS, np.int64), np.zeros((2, ROWS, desk.ROW_WORDS), np.int64)
    words[[SENT // 8, SERVED // 8]] = rows[0].ctypes.data, rows[1].ctypes.data
    desk.rows_format(words.ctypes.data)
    yield words
    del rows            # not before


def test_rows_are_taken_until_none_is_free(words):
    quick = words.ctypes.data
    for rows, free in ((SENT, FREE_SENT), (SERVED, FREE_SERVED)):
        assert [desk.row_take(quick, rows, free) for _ in range(ROWS)] == list(range(1, ROWS + 1))
        assert desk.row_take(quick, rows, free) == 0
        for row in (7, ROWS):
            desk.row_give(quick, rows, free, row)
        assert [desk.row_take(quick, rows, free) for _ in range(3)] == [ROWS, 7, 0]


def test_a_number_that_is_over_ends_nothing(words):
    quick = words.ctypes.data
    row = desk.row_take(quick, SENT, FREE_SENT)
    place, number = desk.row_at(quick, SENT, row), -(5 * ROWS + row - 1)
    atomics.store(place + NUMBER, number)
    desk.sent_end(quick, number + ROWS, 0, 1, 2, 3, 4)          # of the task that had this row before
    assert desk.row_take(quick, SENT, FREE_SENT) == row + 1 and words[FREE_SENT // 8] == row + 2
