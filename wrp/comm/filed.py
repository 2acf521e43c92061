"""Bytes from memory to a file and back by kernels, with their crc32 on the way. Opens no file, and makes nothing durable.

The kernel of Linux copies with one instruction, which is slow between places that don't lie alike: 1 MiB from 16 bytes behind a page, where NumPy's large arrays
begin, went to a file in 107 us, from a multiple of 32 in 77; to there it came in 119 us, to a page in 51, to 8 bytes behind one in 315. Such bytes go by way of a
room in the second cache, which costs 25 us with the crc32, 20 of which that takes anyway. Each call looks at all of the page cache's piece, so few calls are best.
"""

import numpy as np

from wrp.comm.atomics import pread, pwrite
from wrp.comm.digests import crc32_at
from wrp.comm.jit import kernel
from wrp.comm.streaming import keep_checked

_PAGE = 4096
_ALIKE = 32                     # bytes that the processor copies at once
_ROOM = 1 << 20


class Room:
    """Memory of this process's own that these kernels may use, by one call at a time; `address`. It is backed when it is used first."""

    def __init__(self):
        self._bytes = np.empty(_ROOM + _PAGE, np.uint8)
        self.address = self._bytes.ctypes.data + -self._bytes.ctypes.data % _PAGE


@kernel
def write_checked(descriptor, data, nbytes, offset, room):
    """Write `nbytes` bytes from the address `data` at `offset` of a file: their crc32, or a negative errno."""
    if data % _ALIKE == 0:
        done = pwrite(descriptor, data, nbytes, offset)
        return done if done < 0 else crc32_at(data, nbytes, 0)
    crc = 0
    for start in range(0, nbytes, _ROOM):
        part = min(_ROOM, nbytes - start)
        crc = keep_checked(room, data + start, part, crc)
        done = pwrite(descriptor, room, part, offset + start)
        if done < 0:
            return done
    return crc


@kernel
def read_checked(descriptor, to, nbytes, offset, room):
    """Read `nbytes` bytes at `offset` of a file to the address `to`: their crc32; a negative number where they aren't all there."""
    crc, direct = 0, to % _PAGE == 0 or to % _PAGE >= _ALIKE
    for start in range(0, nbytes, _ROOM):
        part = min(_ROOM, nbytes - start)
        place = to + start if direct else room
        if pread(descriptor, place, part, offset + start) != part:
            return -1
        crc = crc32_at(place, part, crc) if direct else keep_checked(to + start, room, part, crc)
    return crc
