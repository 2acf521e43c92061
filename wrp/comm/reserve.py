"""Backs pages of shared memory before bytes are promised: no room is OutOfSpace, never SIGBUS or a killed process."""
import ctypes
import errno
import mmap
import os
import time

import numpy as np

from wrp.comm import atomics, memory
from wrp.comm.jit import kernel
from wrp.comm.sizes import format_size
from wrp.errors import OutOfSpace, WrpError

PAGE = mmap.PAGESIZE
_PIECE = 16 << 20                       # pages are backed in pieces, so that a signal is answered between two
_LOOK_S, _SMALL = 0.05, 64              # a look at the free bytes counts so long, for ranges of less than this part of them
_MADV_POPULATE_WRITE = 23               # Linux 5.14
_MADV_DONTNEED, _MADV_REMOVE = 4, 9
_NO_ROOM = (errno.ENOMEM, errno.EFAULT, errno.ENOSPC)     # EFAULT: a touch would have been a SIGBUS

_libc = ctypes.CDLL(None, use_errno=True)       # a call through CDLL releases the GIL
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


def free_bytes(fd=None):
    """The free bytes of the file system of `fd`, else of /dev/shm; None where neither is known."""
    try:
        found = os.statvfs("/dev/shm" if fd is None else fd)
    except OSError:
        return None                     # no /dev/shm on this machine
    return found.f_bavail * found.f_frsize


def reserve(address, nbytes, fd=None, offset=0):
    """Back the pages of `nbytes` bytes at `address`; bytes in them stay as they are. OutOfSpace if there is no room.

    `fd` is the mapped file, if known, and `offset` the place of `address` in it. Takes no more than the pages of the
    range. First touch of fresh memory is slow (a gigabyte takes seconds); the GIL is free meanwhile.
    """
    if nbytes <= 0:
        return
    skew = address % PAGE
    address, nbytes, offset = address - skew, nbytes + skew, offset - skew
    missing = _missing(address, nbytes)
    if missing:
        _check_room(missing, fd)
    for start in range(0, nbytes, _PIECE):
        _back(address + start, min(_PIECE, nbytes - start), fd, offset + start)


def release(address, nbytes):
    """Give the pages that lie wholly in the range back, for all processes that map them; their bytes are zeros then, and no longer reserved."""
    begin, end = -(-address // PAGE) * PAGE, (address + nbytes) // PAGE * PAGE
    if end > begin and _libc.madvise(begin, end - begin, _MADV_REMOVE):
        _libc.madvise(begin, end - begin, _MADV_DONTNEED)       # memory of this process alone


def _check_room(missing, fd):
    """Refuse at once, instead of filling the memory of the node first and failing then."""
    looked_at, free = _looks.get(fd, (0.0, 0))
    # a runtime that starts backs hundreds of small ranges: one look does for all that are small beside what it found
    if missing * _SMALL > free or time.monotonic() > looked_at + _LOOK_S:
        looked_at, free = time.monotonic(), _free(fd)
    if free is None:
        return
    if missing > free:
        _refuse(missing, free, fd)
    _looks[fd] = looked_at, free - missing


_looks = {}                             # by descriptor: when its free bytes were looked at, and what is left of them


def _free(fd):
    """Bytes that can still be had for the memory of `fd`, or for memory without a file."""
    found = [number for number in (memory.available(), free_bytes(fd) if fd is not None else None) if number is not None]
    return min(found) if found else None


def _missing(address, nbytes):
    """Bytes of the range whose pages aren't in memory yet."""
    missing = 0
    for start in range(0, nbytes, _PIECE):
        piece = min(_PIECE, nbytes - start)
        pages = np.zeros(-(-piece // PAGE), dtype=np.uint8)
        if _libc.mincore(address + start, piece, pages.ctypes.data):
            return nbytes               # unknown: as if none were there
        missing += int(np.count_nonzero(pages & 1 == 0)) * PAGE
    return missing


def _back(address, nbytes, fd, offset):
    code = _populate(address, nbytes)
    if code == errno.EINVAL:            # a kernel older than 5.14
        code = _allocate(address, nbytes, fd, offset)
    if code in _NO_ROOM:
        _refuse(nbytes, _free(fd), fd)
    if code:
        raise WrpError(f"Cannot reserve {format_size(nbytes)} of shared memory: {os.strerror(code)}.")


def _populate(address, nbytes):
    while _libc.madvise(address, nbytes, _MADV_POPULATE_WRITE):
        code = ctypes.get_errno()
        if code not in (errno.EINTR, errno.EAGAIN):
            return code
    return 0


def _allocate(address, nbytes, fd, offset):
    """The way without MADV_POPULATE_WRITE: blocks of the file, else a look at the free space and a touch of every page."""
    if fd is not None:
        try:
            os.posix_fallocate(fd, offset, nbytes)
        except OSError as error:
            return error.errno
        return 0
    free = free_bytes()
    if free is not None and _missing(address, nbytes) > free:
        return errno.ENOSPC
    _touch(address, nbytes, PAGE)
    return 0


@kernel
def _touch(address, nbytes, page):
    # adding zero backs the page and can't undo what another process writes there at the same moment
    for start in range(0, nbytes, page):
        atomics.add(address + start, 0)


def _refuse(nbytes, free, fd):
    rest = "" if free is None else f": {format_size(free)} are free"
    raise OutOfSpace(f"Shared memory has no room for {format_size(nbytes)} more{rest}; ask for smaller tiers of memory, "
                     f"for more memory from the batch system, or remove what other programs left in {_folder(fd)}.")


def _folder(fd):
    """Where the file of `fd` lies, WRP_SHM_DIR for one; /dev/shm for its folders, and where there is no file."""
    try:
        path = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        path = ""
    return os.path.dirname(path) if path.startswith("/") and not path.startswith("/dev/") else "/dev/shm"
