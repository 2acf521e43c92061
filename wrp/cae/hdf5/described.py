"""`kvhdf5::file[:/path]` sources: one dataset of an HDF5 file in the reference's self-describing form, `__meta` and a blob for each chunk."""

from dataclasses import dataclass

import h5py
import numpy as np

from wrp.cae import described, source, url
from wrp.cae.assimilator import Item, Survey
from wrp.cae.hdf5 import library
from wrp.errors import NothingMatched, SourceError, WrpError


class Described:
    """The dataset at the path behind `:`, else at the tag's name."""

    def survey(self, transfer):
        path, selector = url.split_selector(url.parse(transfer.src)[1])
        stamp, tag = source.Stamp.of(path), url.tag_of(transfer.dst)
        path = selector or "/" + tag.strip("/")
        with stamp.reading(), library.opened(stamp) as file:
            meta = _meta(file, path, stamp)
        nbytes = meta.chunk_nbytes * int(np.prod(meta.grid))
        item = Item(tag, "", nbytes, meta.chunk_nbytes, nbytes, ChunkStream(stamp, path, meta), ((described.BLOB, meta.pack()),), names=meta.name)
        return Survey(tag, (item,), sources=(stamp,))


def _meta(file, path, stamp):
    where = f"{stamp.path}:{path}"
    try:
        found = file.get(path)
        if not isinstance(found, h5py.Dataset):
            raise NothingMatched(f"{where}: there is no dataset; name it, kvhdf5::{stamp.path}:/its/path, where it isn't called as the tag is")
        return described.of(found.shape, found.chunks, found.dtype, where)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, WrpError):
            raise
        raise SourceError(f"{where} can't be read: {error}") from error


@dataclass(frozen=True)
class ChunkStream:
    """The dataset's chunks one after the other, each in C order."""

    stamp: source.Stamp
    path: str
    meta: described.Meta

    def open(self):
        return ChunkReader(self)


class ChunkReader:
    """Keeps the chunk that it read in part."""

    def __init__(self, stream):
        self._meta, self._name = stream.meta, f"{stream.stamp.path}:{stream.path}"
        self._reading = stream.stamp.reading
        with self._reading():
            self._file = library.opened(stream.stamp)
            self._dataset = self._file[stream.path]
        self._kept, self._number = None, None

    def read_into(self, buffer, start):
        if self._file is None:
            raise SourceError(f"the reader of {self._name} is closed")
        out, done, meta = np.frombuffer(buffer, np.uint8), 0, self._meta
        while done < len(out):
            number, skip = divmod(start + done, meta.chunk_nbytes)
            count = min(meta.chunk_nbytes - skip, len(out) - done)
            if count == meta.chunk_nbytes and out[done:].ctypes.data % meta.dtype.alignment == 0:
                self._read(number, out[done:done + count].view(meta.dtype).reshape(meta.chunk))
            else:
                out[done:done + count] = self._chunk(number)[skip:skip + count]
            done += count

    def close(self):
        file, self._file, self._dataset = self._file, None, None
        if file is not None:
            file.close()

    def _chunk(self, number):
        if number != self._number:
            self._kept = np.empty(self._meta.chunk, self._meta.dtype) if self._kept is None else self._kept
            self._number = None
            self._read(number, self._kept)
            self._number = number
        return self._kept.reshape(-1).view(np.uint8)

    def _read(self, number, out):
        start = [at * length for at, length in zip(self._meta.at(number), self._meta.chunk)]
        try:
            with self._reading():
                self._dataset.read_direct(out, tuple(slice(low, low + length) for low, length in zip(start, self._meta.chunk)))
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise SourceError(f"{self._name} can't be read: {error}") from error
