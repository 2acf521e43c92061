"""A member of a safe device: bytes at places, in a file or in the node's segment. What they mean is for others to know.

A file MEMBER.fail beside a file makes each of its reads and writes fail, as a broken disk does. Whether it is there is looked at when the member is opened, and then every LOOK_S.
"""

import errno
import os
import time

from wrp.comm.lasting import sync_names
from wrp.comm.refusals import is_refusal
from wrp.errors import OutOfSpace

RAM = "ram::"
LOOK_S = 0.02


class FileMember:
    """Opens the file; OSError when it isn't there, unless `create`."""

    def __init__(self, path, read_only=False, create=False):
        self.path = path
        self._fail, self._is_failing, self._look_at = path + ".fail", False, 0.0
        self._check()
        self._descriptor = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | (os.O_CREAT if create else 0) | os.O_CLOEXEC, 0o666)
        try:
            if create:
                sync_names(os.path.dirname(os.path.abspath(path)))
        except BaseException:
            os.close(self._descriptor)
            raise

    def read_some(self, place, nbytes):
        """The bytes at a place, fewer where the file ends."""
        self._check()
        return os.pread(self._descriptor, nbytes, place)

    def read(self, place, views):
        """Fill views (writable) from a place on; what lies behind the end is zeros."""
        self._check()
        views = [view for view in views if len(view)]
        left = sum(map(len, views))
        while left:
            count = os.preadv(self._descriptor, views, place)
            if count == 0:
                for view in views:
                    view[:] = bytes(len(view))
                return
            left -= count
            if left:
                place, views = place + count, _rest(views, count)

    def write(self, place, *pieces):
        """Write pieces (bytes-like) one behind the other."""
        self._check()
        pieces = [memoryview(piece) for piece in pieces if len(piece)]
        left = sum(map(len, pieces))
        while left:
            count = os.pwritev(self._descriptor, pieces, place)
            left -= count
            if left:
                place, pieces = place + count, _rest(pieces, count)

    def back(self, place, nbytes):
        """Have room for bytes that will be written. OutOfSpace."""
        try:
            os.posix_fallocate(self._descriptor, place, nbytes)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OutOfSpace(f"the file system of {self.path} has no room for it ({error.strerror})") from error
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                raise

    def sync(self):
        self._check()
        os.fdatasync(self._descriptor)

    @property
    def nbytes(self):
        return os.fstat(self._descriptor).st_size

    @property
    def is_there(self):
        """False where another file, or none, stands at its path by now."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except OSError as error:
            if not is_refusal(error):
                raise
            return False

    def empty(self):
        """Nothing is in it any more, and its room is free. OSError."""
        os.ftruncate(self._descriptor, 0)

    def close(self):
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _check(self):
        now = time.monotonic()
        if now >= self._look_at:
            self._is_failing, self._look_at = os.path.exists(self._fail), now + LOOK_S
        if self._is_failing:
            raise OSError(errno.EIO, f"{self._fail} says that it fails", self.path)


class RamMember:
    """memory : writable memoryview; reserve : (place, nbytes), OutOfSpace; release : all of it"""

    def __init__(self, path, memory, reserve, release):
        self.path, self._memory, self.nbytes = path, memory, len(memory)
        self._reserve, self.empty = reserve, release

    def read_some(self, place, nbytes):
        return self._memory[place:place + nbytes]

    def read(self, place, views):
        for view in views:
            view[:] = self._memory[place:place + len(view)]
            place += len(view)

    def write(self, place, *pieces):
        for piece in pieces:
            self._memory[place:place + len(piece)] = piece
            place += len(piece)

    def back(self, place, nbytes):
        self._reserve(place, nbytes)

    def sync(self):
        """Memory is as good as it gets."""

    def close(self):
        self._memory = memoryview(b"")


def _rest(views, count):
    """What is left of views when so many bytes have passed."""
    number = 0
    while number < len(views) and count >= len(views[number]):
        count -= len(views[number])
        number += 1
    left = views[number:]
    return [left[0][count:], *left[1:]] if left else []
