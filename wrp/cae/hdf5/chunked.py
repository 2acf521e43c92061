"""The stream of a chunked dataset without filters or with [shuffle,] deflate: read and decoded without the HDF5 library."""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from wrp.cae.hdf5 import filters as codec
from wrp.cae.hdf5.boxes import ElementReader, element
from wrp.errors import SourceError

_CACHE_NBYTES = 512 << 20               # most that a reader keeps of decoded chunks


@dataclass(frozen=True, eq=False)
class ChunkedStream:
    """The C-order bytes of the dataset `record` (a `layout.Dataset`) in the file of `stamp`."""

    stamp: object
    record: object

    def open(self):
        return ChunkedReader(self)


class ChunkedReader(ElementReader):
    """Decodes straight into the caller's buffer where a chunk lies in one piece there; other chunks are kept a while.

    A row of chunks along the first axis is kept when it fits, so that a run of blobs decodes each chunk once.
    """

    def __init__(self, stream):
        self._record = record = stream.record
        super().__init__(f"{stream.stamp.path}:{record.paths[0]}", record.shape, record.itemsize)
        self._chunk = tuple(record.chunk)
        self._grid = tuple(-(-extent // chunk) for extent, chunk in zip(record.shape, record.chunk))
        self._chunk_nbytes = prod(self._chunk) * record.itemsize
        self._fill = np.frombuffer(record.fill, self._dtype)[0] if record.fill else None

        # chunks are found by their number in the grid, in C order
        numbers = np.ravel_multi_index(tuple((record.chunks.coords // self._chunk).T), self._grid)
        self._order = np.argsort(numbers)
        self._numbers = numbers[self._order]
        self._is_full = len(numbers) == prod(self._grid)

        row = prod(self._grid[1:]) + 1
        self._room = max(1, min(row, _CACHE_NBYTES // max(self._chunk_nbytes, 1)))
        self._decoded = OrderedDict()
        self._file = stream.stamp.open()

    def _close(self):
        self._file.close()
        self._decoded.clear()

    def _read_box(self, start, out):
        stop = [begin + extent for begin, extent in zip(start, out.shape)]
        along = [range(begin // chunk, -(-end // chunk)) for begin, end, chunk in zip(start, stop, self._chunk)]
        for at in product(*along):
            inside, target, whole = [], [], True
            for index, begin, end, chunk in zip(at, start, stop, self._chunk):
                low, high = max(index * chunk, begin), min((index + 1) * chunk, end)
                inside.append(slice(low - index * chunk, high - index * chunk))
                target.append(slice(low - begin, high - begin))
                whole = whole and high - low == chunk
            self._copy(at, tuple(inside), out[tuple(target)], whole)

    def _copy(self, at, inside, target, whole):
        """Copy the part `inside` of the chunk at the grid position `at`; `whole` if that is all of it."""
        which = self._find(at)
        if which is None:
            target[...] = self._fill
        elif whole and target.flags.c_contiguous and which not in self._decoded:
            self._decode(which, target.reshape(-1).view(np.uint8))
        else:
            target[...] = self._kept(which)[inside]

    def _find(self, at):
        """The chunk's place in the record's tables; None when it was never allocated."""
        number = 0
        for index, extent in zip(at, self._grid):
            number = number * extent + index
        if self._is_full:
            return int(self._order[number])
        place = np.searchsorted(self._numbers, number)
        if place < len(self._numbers) and self._numbers[place] == number:
            return int(self._order[place])
        return None

    def _kept(self, which):
        chunk = self._decoded.pop(which, None)
        if chunk is None:
            # memory touched for the first time is slow, so the oldest chunk's is used again
            chunk = (self._decoded.popitem(last=False)[1] if len(self._decoded) >= self._room
                     else np.empty(self._chunk, element(self._record.itemsize)))
            self._decode(which, chunk.reshape(-1).view(np.uint8))
        self._decoded[which] = chunk
        return chunk

    def _decode(self, which, out):
        chunks, record = self._record.chunks, self._record
        offset = int(chunks.offsets[which])
        if record.storage == "chunked":
            self._file.fill(out, offset)
            return
        raw = bytearray(int(chunks.sizes[which]))
        self._file.fill(raw, offset)
        try:
            codec.decode(raw, record.filters, int(chunks.masks[which]), out, record.itemsize)
        except SourceError as error:
            raise SourceError(f"{self._name}: {error}, at byte {offset} of the file; the file is damaged") from None
