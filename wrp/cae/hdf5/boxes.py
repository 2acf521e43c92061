"""Byte ranges of a C-order stream as boxes of elements, and the reader's frame that both HDF5 readers share."""

from math import prod

import numpy as np

from wrp.errors import SourceError

_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64, 16: np.complex128}


def element(itemsize):
    """The dtype elements are moved as: NumPy copies machine words much faster than opaque bytes."""
    return np.dtype(_WORDS.get(itemsize, f"V{itemsize}"))


def decompose(shape, first, stop):
    """Yield (start, extent) boxes that are, one after the other, the elements [first, stop) of a C-order array.

    At most 2 d - 1 boxes for d dimensions; each one is contiguous in the stream.
    """
    inner = [prod(shape[axis + 1:]) for axis in range(len(shape))]
    while first < stop:
        # the outermost axis along which whole steps fit
        axis = 0
        while first % inner[axis] or stop - first < inner[axis]:
            axis += 1
        start, rest = [], first
        for step in inner:
            start.append(rest // step)
            rest %= step
        steps = min((stop - first) // inner[axis], shape[axis] - start[axis])
        yield tuple(start), (1,) * axis + (steps,) + tuple(shape[axis + 1:])
        first += steps * inner[axis]


class ElementReader:
    """A `Reader` whose subclass gives boxes of elements: `_read_box(start, out)` and `_close()`."""

    def __init__(self, name, shape, itemsize):
        self._name = name
        self._shape = tuple(shape) or (1,)
        self._dtype = element(itemsize)
        self._open = True

    def read_into(self, buffer, start):
        if not self._open:
            raise SourceError(f"the reader of {self._name} is closed")
        out = np.frombuffer(buffer, np.uint8)
        itemsize = self._dtype.itemsize
        first, stop = start // itemsize, -(-(start + len(out)) // itemsize)
        if start % itemsize or len(out) % itemsize or out.ctypes.data % min(itemsize, 8):
            whole = np.empty(stop - first, self._dtype)
            self._read(first, whole)
            skip = start - first * itemsize
            out[:] = whole.view(np.uint8)[skip:skip + len(out)]
        else:
            self._read(first, out.view(self._dtype))

    def close(self):
        if self._open:
            self._open = False
            self._close()

    def _read(self, first, out):
        done = 0
        for start, extent in decompose(self._shape, first, first + len(out)):
            count = prod(extent)
            self._read_box(start, out[done:done + count].reshape(extent))
            done += count
