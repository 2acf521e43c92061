"""Giving the disk back what a data file doesn't use: the tail is cut, long gaps become holes."""

import ctypes
import os

_KEEP_SIZE, _PUNCH_HOLE = 1, 2          # flags of fallocate(2)
_WORTH_IT = 1 << 20                     # shorter gaps stay for the next blobs

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def trim(path, runs):
    """Free what lies outside `runs`, a list of (offset, nbytes), in the file. File systems without holes keep the gaps."""
    end = 0
    with open(path, "r+b", buffering=0) as file:
        for offset, nbytes in sorted(runs):
            if offset - end >= _WORTH_IT:
                _libc.fallocate(file.fileno(), _PUNCH_HOLE | _KEEP_SIZE, end, offset - end)
            end = max(end, offset + nbytes)
        if os.fstat(file.fileno()).st_size > end:
            file.truncate(end)
