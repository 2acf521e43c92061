"""Streams that only the HDF5 library can read: other filters, virtual and external storage, lists of varying length."""

import struct
from dataclasses import dataclass

import h5py
import numpy as np
from h5py import h5s

from wrp.cae.hdf5.boxes import ElementReader, decompose
from wrp.errors import SourceError

_CHUNK_CACHE_NBYTES = 256 << 20
_PIECE = 4096                           # elements of varying length that are read at once


def opened(stamp):
    """The file that the stamp was taken of, without locks; SourceError says why it can't be. It is opened and read inside `stamp.reading()` only."""
    try:
        return h5py.File(stamp.for_library(), "r", locking=False, rdcc_nbytes=_CHUNK_CACHE_NBYTES)
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        if "signature not found" in str(error):
            raise SourceError(f"{stamp.path} is not an HDF5 file, or its first bytes are damaged") from None
        reason = "it was cut short" if "truncated" in str(error) else str(error)
        raise SourceError(f"{stamp.path} can't be opened as an HDF5 file: {reason}") from None


@dataclass(frozen=True)
class LibraryStream:
    """The C-order bytes of a dataset with elements of one size, in the file's datatype."""

    stamp: object
    path: bytes
    shape: tuple
    itemsize: int

    def open(self):
        return LibraryReader(self)


class LibraryReader(ElementReader):
    """Reads hyperslabs into the caller's buffer."""

    def __init__(self, stream):
        super().__init__(f"{stream.stamp.path}:{stream.path.decode(errors='replace')}", stream.shape, stream.itemsize)
        self._scalar, self._reading = not stream.shape, stream.stamp.reading
        with self._reading():
            self._file = opened(stream.stamp)
            self._dataset = self._file[stream.path].id
            self._type = self._dataset.get_type()

    def _close(self):
        self._dataset = self._type = None
        self._file.close()

    def _read_box(self, start, out):
        space = self._dataset.get_space()
        if not self._scalar:
            space.select_hyperslab(start, out.shape)
        elements = out.reshape(-1).view(f"V{out.itemsize}")
        try:
            with self._reading():
                self._dataset.read(h5s.create_simple((out.size,)), space, elements, mtype=self._type)
        except (OSError, RuntimeError, ValueError) as error:
            raise SourceError(f"{self._name} can't be read: {error}") from error


@dataclass(frozen=True, eq=False)
class ListStream:
    """Elements of varying length one after the other, each as its byte count (u32, little-endian) and its bytes.

    `starts`: where in the stream each piece of 4096 elements begins, then the stream's size.
    """

    stamp: object
    path: bytes
    starts: np.ndarray

    @property
    def nbytes(self):
        return int(self.starts[-1])

    @classmethod
    def measured(cls, stamp, dataset, path):
        """Reads all values once, in pieces: their sizes are nowhere else."""
        count = dataset.size
        sizes = [len(_piece(dataset, number, count)) for number in range(-(-count // _PIECE))]
        return cls(stamp, path, np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]))

    def open(self):
        return ListReader(self)


class ListReader:
    """Keeps the piece it read last."""

    def __init__(self, stream):
        self._stream = stream
        with stream.stamp.reading():
            self._file = opened(stream.stamp)
            self._dataset = self._file[stream.path]
        self._number, self._bytes = None, b""

    def read_into(self, buffer, start):
        if self._file is None:
            raise SourceError(f"the reader of {self._stream.stamp.path} is closed")
        view, starts = memoryview(buffer).cast("B"), self._stream.starts
        done = 0
        while done < len(view):
            number = int(np.searchsorted(starts, start + done, side="right")) - 1
            skip = start + done - int(starts[number])
            part = self._piece(number)[skip:skip + len(view) - done]
            view[done:done + len(part)] = part
            done += len(part)

    def close(self):
        file, self._file, self._dataset = self._file, None, None
        if file is not None:
            file.close()

    def _piece(self, number):
        if number != self._number:
            with self._stream.stamp.reading():
                self._bytes = _piece(self._dataset, number, self._dataset.size)
            self._number = number
            if len(self._bytes) != self._stream.starts[number + 1] - self._stream.starts[number]:
                raise SourceError(f"{self._stream.stamp.path} was changed while it was being read")
        return self._bytes


def _piece(dataset, number, count):
    """The stream's bytes of one piece of a dataset of `count` elements."""
    parts = []
    first, stop = number * _PIECE, min(count, (number + 1) * _PIECE)
    try:
        if dataset.shape == ():
            parts.append(dataset[()])
        for start, extent in decompose(dataset.shape, first, stop) if dataset.shape else ():
            box = tuple(slice(begin, begin + length) for begin, length in zip(start, extent))
            parts.extend(dataset[box].reshape(-1))
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"{dataset.file.filename}:{dataset.name} can't be read: {error}") from error
    return b"".join(_counted(part) for part in parts)


def _counted(value):
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    data = bytes(value) if isinstance(value, bytes) else np.ascontiguousarray(value).tobytes() if value is not None else b""
    return struct.pack("<I", len(data)) + data
