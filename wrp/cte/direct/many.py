"""Many small blobs of one tag in one kernel: full names that a NUL ends, one behind the other, and rows of equal length."""

from wrp.comm.jit import kernel
from wrp.cte.direct.getting import direct_get
from wrp.cte.direct.putting import direct_put


@kernel
def _end(names, start):
    """Where the text ends that begins at `start` of `names` (uint8)."""
    end = start
    while names[end] != 0:
        end += 1
    return end


@kernel
def direct_put_many(desk, names, start, tag_nbytes, rows, row, score):
    """Put rows (uint8, n x nbytes) from number `row` on, whose names begin at `start`: (row, start, code) where one needs the long way.

    (n, …, 0) when all are done
    """
    for number in range(row, len(rows)):
        end = _end(names, start + tag_nbytes + 1)
        code = direct_put(desk, names.ctypes.data + start, end - start, tag_nbytes, rows[number].ctypes.data, rows.shape[1], score)
        if code != 0:
            return number, start, code
        start = end + 1
    return len(rows), start, 0


@kernel
def direct_get_many(desk, names, start, tag_nbytes, rows, row):
    """Fill rows from the beginnings of blobs: (row, start) where one needs the long way; (n, …) when all are done."""
    for number in range(row, len(rows)):
        end = _end(names, start + tag_nbytes + 1)
        if not direct_get(desk, names.ctypes.data + start, end - start, 0, rows[number].ctypes.data, rows.shape[1]):
            return number, start
        start = end + 1
    return len(rows), start
