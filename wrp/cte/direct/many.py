"""Many small blobs of one tag in one kernel: names that a NUL ends, one behind the other, and rows of equal length."""

from wrp.comm.atomics import copy
from wrp.comm.jit import kernel
from wrp.cte.direct.getting import direct_get
from wrp.cte.direct.putting import direct_put


@kernel
def _next(names, start, full, tag_nbytes):
    """Put the name that begins at `start` of `names` (uint8) behind the tag's name at address `full`: where it ends."""
    end = start
    while names[end] != 0:
        end += 1
    copy(full + tag_nbytes + 1, names.ctypes.data + start, end - start)
    return end


@kernel
def direct_put_many(desk, full, tag_nbytes, names, start, rows, row, score):
    """Put rows (uint8, n x nbytes) from number `row` on, whose names begin at `start`: (row, start, code) where one needs the long way.

    full : address of memory with the tag's name and a NUL, and room for the longest name; (n, …, 0) when all are done
    """
    for number in range(row, len(rows)):
        end = _next(names, start, full, tag_nbytes)
        code = direct_put(desk, full, tag_nbytes + 1 + end - start, tag_nbytes, rows[number].ctypes.data, rows.shape[1], score)
        if code != 0:
            return number, start, code
        start = end + 1
    return len(rows), start, 0


@kernel
def direct_get_many(at, ram, full, tag_nbytes, names, start, rows, row):
    """Fill rows from the beginnings of blobs: (row, start) where one needs the long way; (n, …) when all are done."""
    for number in range(row, len(rows)):
        end = _next(names, start, full, tag_nbytes)
        if not direct_get(at, ram, full, tag_nbytes + 1 + end - start, 0, rows[number].ctypes.data, rows.shape[1]):
            return number, start
        start = end + 1
    return len(rows), start
