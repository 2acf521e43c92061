"""An HDF5 file rebuilt from its context: the image back in its place, the raw data after the recorded layout.

All ranks write their shares with pwrite at the recorded offsets. A compressed chunk that got no larger than it was
is written there too, zeros behind it (a deflate stream knows its end); the few that did grow go through HDF5 at the end.
"""

import zlib
from dataclasses import dataclass
from itertools import product
from math import prod

import h5py
import numpy as np

from wrp.cae.hdf5 import filters, layout
from wrp.cae.hdf5.boxes import element
from wrp.cee.stream import TagStream
from wrp.cee.writing import opened_to_write, reserve, told
from wrp.comm.lasting import write_all

_BAND_NBYTES = 4 << 20              # small rows of chunks are done together up to this size
_HELD_NBYTES = 256 << 20            # most that a rank holds of a dataset at once
_ENCODING_COST = 8                  # writing a byte of a compressed dataset against writing a plain one


@dataclass(frozen=True)
class _Unit:
    """A piece of work for one rank. `which`: number of the stream's chunk, or numbers of chunks in the dataset's tables."""

    work: object
    dataset: object
    which: object
    cost: int


def run(store, tag, path, ranks):
    """Write the file of the HDF5 context `tag` to `path`, which doesn't exist yet. Collective."""
    with ranks.agreed(f"read the layout of {tag}"), told(path):
        record = layout.unpack(store.get(tag, layout.BLOB))
        image = TagStream(store, tag, int(record.image_nbytes.sum()))
        if ranks.rank == 0:
            reserve(path, record.nbytes)
    ranks.barrier("rebuilding begins")
    grown = []
    with ranks.agreed(f"write {path}"), told(path), opened_to_write(path) as descriptor:
        for unit in _share(_units(store, record, image), ranks):
            grown += unit.work(store, record, unit, descriptor) or ()
            ranks.tick()
    grown = [entry for part in ranks.gather(grown, "compressed chunks that grew") for entry in part]
    with ranks.agreed(f"finish {path}"), told(path):
        if ranks.rank == 0:
            _through_hdf5(path, record, grown)


def _units(store, record, image):
    for number in range(image.chunks):
        yield _Unit(_write_image, image, number, image.extent(number)[1])
    for dataset in record.datasets:
        if dataset.storage == "contiguous" and dataset.offset is not None:
            stream = TagStream(store, dataset.tag, dataset.nbytes)
            for number in range(stream.chunks):
                yield _Unit(_write_contiguous, (dataset, stream), number, stream.extent(number)[1])
        elif dataset.storage in ("chunked", "gzip") and len(dataset.chunks.coords):
            weight = prod(dataset.chunk) * dataset.itemsize * (_ENCODING_COST if dataset.storage == "gzip" else 1)
            for band in _bands(dataset):
                yield _Unit(_write_band, dataset, band, weight * len(band))


def _share(units, ranks):
    """The rank's units: neighbours, of about the same cost as the other ranks'."""
    units = list(units)
    total, before = sum(unit.cost for unit in units), 0
    for unit in units:
        if before * ranks.size // max(total, 1) == ranks.rank:
            yield unit
        before += unit.cost


def _bands(dataset):
    """Numbers of the chunks, grouped by bands of whole rows of chunks along the first axis."""
    band = dataset.chunks.coords[:, 0] // _band_rows(dataset)
    order = np.argsort(band, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(band[order])) + 1)


def _band_rows(dataset):
    """How far a band reaches along the first axis: a multiple of the chunk's length."""
    row_nbytes = max(1, dataset.chunk[0] * prod(dataset.shape[1:]) * dataset.itemsize)
    return dataset.chunk[0] * max(1, _BAND_NBYTES // row_nbytes)


def _write_image(store, record, unit, descriptor):
    """One chunk of the image stream back to the runs it came from."""
    image, (start, nbytes) = unit.dataset, unit.dataset.extent(unit.which)
    ends = np.cumsum(record.image_nbytes)
    data, done = memoryview(image.chunk(unit.which)), 0
    run = int(np.searchsorted(ends, start, side="right"))
    while done < nbytes:
        inside = start + done - int(ends[run] - record.image_nbytes[run])
        count = min(int(record.image_nbytes[run]) - inside, nbytes - done)
        write_all(descriptor, data[done:done + count], int(record.image_offsets[run]) + inside)
        done, run = done + count, run + 1


def _write_contiguous(store, record, unit, descriptor):
    dataset, stream = unit.dataset
    write_all(descriptor, stream.chunk(unit.which), dataset.offset + stream.extent(unit.which)[0])


def _write_band(store, record, unit, descriptor):
    """The chunks of one band; returns those that must go through HDF5."""
    dataset, grown = unit.dataset, []
    chunks, rows = dataset.chunks, _band_rows(dataset)
    elements = _Elements(store, dataset, int(chunks.coords[unit.which[0], 0]) // rows * rows, rows)
    for number in unit.which:
        coords, mask, room = chunks.coords[number], int(chunks.masks[number]), int(chunks.sizes[number])
        data = elements.chunk(coords).reshape(-1).view(np.uint8)
        if dataset.storage == "gzip":
            data = _encoded(data, dataset, mask, room)
            if len(data) > room:
                grown.append((dataset.paths[0], tuple(map(int, coords)), mask, data))
                continue
            data = data.ljust(room, b"\0")
        write_all(descriptor, data, int(chunks.offsets[number]))
    return grown


def _encoded(data, dataset, mask, room):
    """One stored chunk: by the faster library, or by zlib where that one's bytes don't fit into `room`."""
    encoded = filters.encode(data, dataset.filters, mask, dataset.itemsize)
    if len(encoded) > room:
        deflate = [number for number, (code, *_) in enumerate(dataset.filters) if code == filters.DEFLATE][0]
        if not mask >> deflate & 1:
            shuffled = filters.encode(data, dataset.filters, mask | 1 << deflate, dataset.itemsize)
            encoded = zlib.compress(shuffled, *dataset.filters[deflate][1:2])
    return encoded


class _Elements:
    """The elements of the chunks of a band of `rows` from `first` on, as whole chunks: `fill` beyond the dataset's edge."""

    def __init__(self, store, dataset, first, rows):
        self._dataset, self._first = dataset, first
        self._dtype, self._shape = element(dataset.itemsize), tuple(dataset.shape)
        self._fill = np.frombuffer(dataset.fill or bytes(dataset.itemsize), self._dtype)[0]
        self._stream = TagStream(store, dataset.tag, dataset.nbytes)
        rows = max(0, min(rows, self._shape[0] - first))
        inner = prod(self._shape[1:]) * dataset.itemsize
        self._band = None
        if rows * inner <= _HELD_NBYTES:
            self._band = np.empty((rows, *self._shape[1:]), self._dtype)
            if self._band.size:
                self._stream.read(first * inner, self._band.reshape(-1).view(np.uint8))

    def chunk(self, coords):
        """The chunk that begins at `coords`: an array of the chunk's shape."""
        chunk, coords = self._dataset.chunk, [int(start) for start in coords]
        extent = [max(0, min(length, size - start)) for length, size, start in zip(chunk, self._shape, coords)]
        if self._band is not None:
            box = self._band[tuple(slice(start, start + length) for start, length in
                                   zip([coords[0] - self._first, *coords[1:]], extent))]
        else:
            box = self._read_box(coords, extent)
        if extent == list(chunk):
            return np.ascontiguousarray(box)
        whole = np.full(tuple(chunk), self._fill, self._dtype)
        whole[tuple(slice(length) for length in extent)] = box
        return whole

    def _read_box(self, coords, extent):
        """Row by row, for bands too large to hold."""
        box = np.empty(tuple(extent), self._dtype)
        steps = [prod(self._shape[axis + 1:]) * self._dataset.itemsize for axis in range(len(self._shape))]
        if box.size:
            for at in product(*map(range, extent[:-1])):
                start = sum((begin + index) * step for begin, index, step in zip(coords, (*at, 0), steps))
                self._stream.read_kept(start, box[at].view(np.uint8))
        return box


def _through_hdf5(path, record, grown):
    """What only the library can change: larger chunks go in, datasets that weren't taken in go out."""
    left_out = [name for dataset in record.datasets if dataset.storage == "left_out" for name in dataset.paths]
    if not grown and not left_out:
        return
    with h5py.File(path, "r+", locking=False) as file:
        for name, coords, mask, data in grown:
            file[_raw(name)].id.write_direct_chunk(coords, data, mask)
        for name in left_out:
            del file[_raw(name)]


def _raw(name):
    return name.encode("utf-8", "surrogateescape")
