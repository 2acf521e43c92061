"""Source files: opened, read at offsets until a buffer is full, and checked for changes since they were surveyed."""

import os
import stat
from contextlib import nullcontext
from dataclasses import dataclass

from wrp.errors import SourceError, SourceMissing


@dataclass(frozen=True)
class Stamp:
    """A file as it was when it was surveyed. `path` is absolute."""

    path: str
    nbytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path):
        """Stat and try to open a regular file; SourceMissing or SourceError say why it can't be read."""
        path = os.path.abspath(path)
        fd = _opened(path)
        try:
            status = os.fstat(fd)
        finally:
            os.close(fd)
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{path} is not a regular file; name one that is")
        return cls(path, status.st_size, status.st_mtime_ns)

    def for_library(self):
        """What h5py opens."""
        return self.path

    def reading(self):
        """Context manager of everything that may make h5py read: it reads by itself."""
        return nullcontext()

    def here(self):
        """The stamp to compare with at the end on a node that didn't make the survey: nodes may tell different times."""
        return Stamp.of(self.path)

    def open(self):
        """A `File`; SourceError when the file's size isn't the surveyed one (on another node: another file)."""
        fd = _opened(self.path)
        found = os.fstat(fd).st_size
        if found != self.nbytes:
            os.close(fd)
            raise SourceError(f"{self.path} has {found} bytes here but had {self.nbytes} when the job began; "
                              "every rank must see the same file, unchanged")
        return File(fd, self.path)

    def check(self):
        """SourceError when the file was changed since `of`."""
        now = Stamp.of(self.path)
        if now != self:
            raise SourceError(f"{self.path} was changed while it was being read; take it in again once it is complete")


class File:
    """An opened local file."""

    def __init__(self, fd, path):
        self._fd, self._path = fd, path

    def whereabouts(self, offset):
        """(descriptor, offset) of the bytes from `offset`."""
        if self._fd is None:
            raise SourceError(f"the reader of {self._path} is closed")
        return self._fd, offset

    def expect(self, extents):
        """Nothing is fetched before it is asked for: the operating system reads ahead."""

    def fill(self, buffer, offset):
        """Fill the whole buffer with the bytes from `offset`; SourceError."""
        fd, offset = self.whereabouts(offset)
        fill(fd, buffer, offset, self._path)

    def close(self):
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def fill(fd, buffer, offset, path):
    """Fill the whole buffer with the file's bytes from `offset`; SourceError when the file ends before that."""
    view = memoryview(buffer).cast("B")
    done = 0
    while done < len(view):
        try:
            count = os.preadv(fd, [view[done:]], offset + done)
        except OSError as error:
            raise SourceError(f"{path} can't be read at byte {offset + done}: {error.strerror}") from error
        if count == 0:
            raise SourceError(f"{path} ends at byte {offset + done}, {len(view) - done} bytes earlier than it should; "
                              "it was cut short")
        done += count


def _opened(path):
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise SourceMissing(f"{path} does not exist; check the path and the folder the job runs in") from None
    except OSError as error:
        raise SourceError(f"{path} can't be opened: {error.strerror}") from error
    except ValueError as error:         # a NUL in the path
        raise SourceError(f"{path!r} can't be opened: {error}") from error
