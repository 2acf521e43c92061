"""Having the kernel begin to write out what a sync will wait for, while more is written. Where there is no such call nothing happens."""

import ctypes

LEAST = 256 << 10                       # for shorter runs the call costs more than it gains
_WRITE = 2                              # flag of sync_file_range(2): begin, and don't wait

_begin = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _begin is not None:
    _begin.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def begin_sync(descriptor, offset, nbytes):
    """Begin to write a run of a file to storage. It promises nothing: that is for fdatasync, which also says what went wrong."""
    if _begin is not None and nbytes >= LEAST:
        _begin(descriptor, offset, nbytes, _WRITE)
