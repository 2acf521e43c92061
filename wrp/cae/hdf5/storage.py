"""Where the raw data of one dataset lies in its file, and whether it can be read and written back without understanding more."""

from contextlib import closing
from math import prod

import h5py
import numpy as np
from h5py import h5d, h5s, h5z

from wrp.cae.hdf5 import datatypes
from wrp.cae.hdf5 import filters as codec
from wrp.cae.hdf5.layout import Chunks, Dataset
from wrp.errors import SourceError

_KEPT = {h5d.COMPACT: "compact storage", getattr(h5d, "VIRTUAL", 3): "virtual storage"}


def described(dataset, paths, where, stamp):
    """The `layout.Dataset` of an open low-level dataset in the file of `stamp`; `where` names it in errors.

    SourceError when a filter isn't there.
    """
    tid, space, creation = dataset.get_type(), dataset.get_space(), dataset.get_create_plist()
    null = space.get_simple_extent_type() == h5s.NULL
    record = Dataset(paths=paths, tag="", shape=None if null else list(space.shape), itemsize=tid.get_size(),
                     dtype=datatypes.text(tid), storage="kept")
    elements = 0 if null else prod(space.shape)
    record.filters = [_filter(creation, number, where) for number in range(creation.get_nfilters())]
    record.why = _reason(tid, creation, record, elements)
    if datatypes.is_fixed(tid):
        record.nbytes = elements * record.itemsize
    if not record.why:
        _locate(dataset, creation, record, where, stamp)
    return record


def left_out(dataset, paths, stamp):
    """The `layout.Dataset` of one that isn't asked for, and (n, 2) offsets and sizes of its raw data, whatever it holds."""
    tid, space, creation = dataset.get_type(), dataset.get_space(), dataset.get_create_plist()
    null = space.get_simple_extent_type() == h5s.NULL
    record = Dataset(paths=paths, tag="", shape=None if null else list(space.shape), itemsize=tid.get_size(),
                     dtype=datatypes.text(tid), storage="left_out")
    if creation.get_layout() == h5d.CHUNKED and not null:
        chunks = _chunks(dataset, len(record.shape), stamp)
        return record, np.stack([chunks.offsets, chunks.sizes], axis=1)
    if creation.get_layout() == h5d.CONTIGUOUS and _offset(dataset) is not None:
        return record, np.array([[_offset(dataset), dataset.get_storage_size()]], np.int64)
    return record, np.empty((0, 2), np.int64)


def runs(record):
    """(n, 2) array: offset and size in the file of the raw data that `record` knows of."""
    if record.offset is not None:
        return np.array([[record.offset, record.nbytes]], np.int64)
    if record.chunks is not None:
        return np.stack([record.chunks.offsets, record.chunks.sizes], axis=1)
    return np.empty((0, 2), np.int64)


def _filter(creation, number, where):
    code, _, values, name = creation.get_filter(number)
    if not h5z.filter_avail(code):
        raise SourceError(f"{where} is encoded with filter {code} ({name.decode(errors='replace') or 'unnamed'}), which is not "
                          "installed; install its plug-in (hdf5plugin, or set HDF5_PLUGIN_PATH) and take the file in again")
    return [code, *(int(value) for value in values)]


def _reason(tid, creation, record, elements):
    """Why the raw data stays in the image; "" if it doesn't."""
    if not datatypes.is_fixed(tid):
        return "elements of varying length or references"
    if not elements:
        return "no elements"
    if creation.get_layout() in _KEPT:
        return _KEPT[creation.get_layout()]
    if creation.get_external_count():
        return "external storage"
    if record.filters and not codec.are_gzip(record.filters):
        return "filters " + ", ".join(str(code) for code, *_ in record.filters)
    return ""


def _locate(dataset, creation, record, where, stamp):
    if creation.get_layout() == h5d.CONTIGUOUS:
        offset = _offset(dataset)
        if offset is not None and dataset.get_storage_size() != record.nbytes:
            record.why = "storage of an unusual size"
            return
        record.storage, record.offset = "contiguous", offset
        if offset is None:
            record.fill = datatypes.fill_of(dataset, (0,) * len(record.shape), where)
        return
    record.chunk = list(creation.get_chunk())
    chunks = _chunks(dataset, len(record.shape), stamp)
    if not _is_plain(chunks, record):
        record.why = "chunks of unusual sizes"
        return
    record.storage, record.chunks = "gzip" if record.filters else "chunked", chunks
    gap = _first_gap(chunks, record)
    if gap is not None:
        record.fill = datatypes.fill_of(dataset, gap, where)
    elif any(extent % chunk for extent, chunk in zip(record.shape, record.chunk)):
        record.fill = datatypes.fill_beyond(dataset, where)


def _offset(dataset):
    """Where contiguous data begins; None while none is allocated (HDF5 gives an offset even then behind a user block)."""
    return dataset.get_offset() if dataset.get_storage_size() else None


def _chunks(dataset, rank, stamp):
    found = []
    if hasattr(dataset, "chunk_iter"):
        dataset.chunk_iter(found.append)
    else:
        found = [dataset.get_chunk_info(number) for number in range(dataset.get_num_chunks())]
    table = np.array([(*info.chunk_offset, info.byte_offset, info.size, info.filter_mask) for info in found], np.int64)
    table = table.reshape(len(found), rank + 3)
    chunks = Chunks(table[:, :rank], table[:, rank], table[:, rank + 1], table[:, rank + 2])
    if found and _user_block(dataset):
        chunks.offsets = chunks.offsets + _shift(dataset, chunks, stamp)
    return chunks


def _user_block(dataset):
    return h5py.h5i.get_file_id(dataset).get_create_plist().get_userblock()


def _shift(dataset, chunks, stamp):
    """What to add to chunk addresses behind a user block: some HDF5 versions count from the block's end. Seen by comparing."""
    _, stored = dataset.read_direct_chunk(tuple(int(at) for at in chunks.coords[0]))
    found = bytearray(len(stored))
    with closing(stamp.open()) as file:
        for shift in (0, _user_block(dataset)):
            offset = int(chunks.offsets[0]) + shift
            if offset + len(found) <= stamp.nbytes:
                file.fill(found, offset)
                if found == bytes(stored):
                    return shift
    raise SourceError(f"{stamp.path}: chunks aren't where their index says; the file is damaged")


def _is_plain(chunks, record):
    """False where chunks aren't what the property list says, for example partial edge chunks that no filter touched."""
    if len(chunks.offsets) == 0:
        return True
    full = prod(record.chunk) * record.itemsize
    shape, chunk = np.array(record.shape), np.array(record.chunk)
    if np.any(chunks.coords >= shape) or np.any(chunks.coords % chunk):
        return False
    if not record.filters:
        return bool(np.all(chunks.sizes == full))
    partial = np.any(chunks.coords + chunk > shape, axis=1)
    return not np.any(partial & (chunks.sizes == full) & (chunks.masks == 0))


def _first_gap(chunks, record):
    """The coordinates of the first chunk that was never allocated; None if all were."""
    grid = tuple(-(-extent // chunk) for extent, chunk in zip(record.shape, record.chunk))
    if len(chunks.offsets) == prod(grid):
        return None
    numbers = np.sort(np.ravel_multi_index(tuple((chunks.coords // record.chunk).T), grid))
    beyond = np.flatnonzero(numbers != np.arange(len(numbers)))
    number = beyond[0] if len(beyond) else len(numbers)
    return tuple(int(at) * chunk for at, chunk in zip(np.unravel_index(number, grid), record.chunk))
