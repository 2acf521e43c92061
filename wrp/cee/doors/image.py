"""The metadata of an HDF5 file that was taken in, as h5py sees it: the file's image read from the store, without the datasets' raw data."""

import io

import h5py
import numpy as np

from wrp.cee.stream import TagStream
from wrp.comm.collecting import check_held_off


def opened(store, tag, layout):
    """A read-only h5py.File of the context's file: groups, attributes and scales are right, raw data is zeros (but what the image keeps).

    It is read only while collections are held off, else that is a WrpError: workers may be waited for with h5py's lock, see `wrp.comm.collecting`.
    """
    return h5py.File(_ImageFile(store, tag, layout), "r")


class _ImageFile(io.RawIOBase):
    """The file's bytes: those of the image in their places, zeros between them. Reads from the store what is asked for."""

    def __init__(self, store, tag, layout):
        self._what, self._nbytes, self._at = f"the image of {tag!r:.80}", layout.nbytes, 0
        self._starts, self._sizes = layout.image_offsets, layout.image_nbytes
        self._before = np.concatenate([[0], np.cumsum(self._sizes)])
        self._stream = TagStream(store, tag, int(self._sizes.sum()))

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._nbytes}[whence]
        return self._at

    def tell(self):
        return self._at

    def readinto(self, buffer):
        check_held_off(self._what)
        view = memoryview(buffer).cast("B")
        start, stop = self._at, min(self._at + len(view), self._nbytes)
        if stop <= start:
            return 0
        view = view[:stop - start]
        view[:] = bytes(len(view))
        run = max(0, int(np.searchsorted(self._starts, start, side="right")) - 1)
        while run < len(self._starts) and self._starts[run] < stop:
            first, size = int(self._starts[run]), int(self._sizes[run])
            low, high = max(start, first), min(stop, first + size)
            if low < high:
                self._stream.read_kept(int(self._before[run]) + low - first, view[low - start:high - start])
            run += 1
        self._at = stop
        return len(view)
