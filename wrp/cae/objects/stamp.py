"""An object as it was surveyed, opened like a file: ranges of it, fetched ahead, and the file that h5py reads. What a service says is in service.py."""

import io
from collections import OrderedDict
from dataclasses import dataclass

from wrp.cae.objects.service import Service, changed
from wrp.cae.url import shown
from wrp.comm.collecting import check_held_off, held_off
from wrp.errors import SourceError

_BLOCK_NBYTES = 1 << 20                 # the HDF5 library reads many small pieces near each other
_KEPT_NBYTES = 64 << 20

# blocks of the object that was read last, by their numbers: every dataset's reader opens the file anew
_kept = {}


@dataclass(frozen=True)
class ObjectStamp:
    """An object as it was. `path` is its URL as messages name it, `url` the whole; `options`: of the Service; `marks`: what the service says of this state of it, its ETag for example."""

    path: str
    url: str
    options: tuple
    nbytes: int
    marks: tuple

    @classmethod
    def of(cls, url, options=()):
        """SourceMissing or SourceError say why it can't be read."""
        return cls(shown(url), url, options, *Service(url, options).look())

    def for_library(self):
        """What h5py opens."""
        return _LibraryFile(self)

    def reading(self):
        """Context manager of everything that may make h5py read: fsspec's thread is waited for then, with h5py's lock."""
        return held_off()

    def here(self):
        """A service tells every node the same."""
        return self

    def open(self):
        return ObjectFile(self)

    def check(self):
        """SourceError when the object was changed since `of`. The end of reading it here."""
        _kept.clear()
        if ObjectStamp.of(self.url, self.options) != self:
            raise changed(self.path)


class ObjectFile:
    """Ranges of an object; each is refused when the object isn't the one of the stamp, where the service can tell (S3)."""

    def __init__(self, stamp):
        self._stamp, self._service = stamp, Service(stamp.url, stamp.options)
        self._tag = dict(stamp.marks).get("ETag", "")
        self._begun = {}

    def whereabouts(self, offset):
        """Not in a file."""
        return None

    def expect(self, extents):
        """Ask for ranges, [(offset, nbytes)], which `fill` then takes; several are on their way at a time."""
        self._forget()
        self._begun = {extent: self._service.begin(*extent, self._tag) for extent in extents}

    def fill(self, buffer, offset):
        """Fill the whole buffer with the bytes from `offset`; SourceError."""
        if self._service is None:
            raise SourceError(f"the reader of {self._stamp.path} is closed")
        view = memoryview(buffer).cast("B")
        view[:] = self._service.get(offset, len(view), self._tag, self._begun.pop((offset, len(view)), None))

    def close(self):
        """Idempotent. Connections are fsspec's."""
        self._forget()
        self._service = None

    def _forget(self):
        for begun in filter(None, self._begun.values()):
            begun.cancel()
        self._begun = {}


class _LibraryFile(io.RawIOBase):
    """The object as a file that can be read at any place; whole blocks are kept until `ObjectStamp.check`, or another object is read.

    Of a service without marks they are this opening's only: the next one may find another object of the same size.
    """

    def __init__(self, stamp):
        self._stamp, self._at, self._file, self._own = stamp, 0, stamp.open(), OrderedDict()

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._stamp.nbytes}[whence]
        return self._at

    def tell(self):
        return self._at

    def readinto(self, buffer):
        check_held_off(self._stamp.path)
        view = memoryview(buffer).cast("B")[:max(0, self._stamp.nbytes - self._at)]
        done = 0
        while done < len(view):
            number, skip = divmod(self._at + done, _BLOCK_NBYTES)
            part = memoryview(self._block(number))[skip:skip + len(view) - done]
            view[done:done + len(part)] = part
            done += len(part)
        self._at += done
        return done

    def _block(self, number):
        blocks = self._blocks()
        data = blocks.pop(number, None)
        if data is None:
            start = number * _BLOCK_NBYTES
            data = bytearray(min(_BLOCK_NBYTES, self._stamp.nbytes - start))
            self._file.fill(data, start)
        blocks[number] = data
        if len(blocks) * _BLOCK_NBYTES > _KEPT_NBYTES:
            blocks.popitem(last=False)
        return data

    def _blocks(self):
        if not self._stamp.marks:
            return self._own
        if self._stamp not in _kept:
            _kept.clear()
        return _kept.setdefault(self._stamp, OrderedDict())
