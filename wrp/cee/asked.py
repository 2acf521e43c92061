"""The forms in which the reference exports tags: N-D datasets of self-describing ones, a dataset of bytes for each blob, records. Rank 0 makes the file, all fill it."""

import os
import re
import struct
from math import prod

import h5py
import numpy as np
from h5py import h5d, h5s, h5t

from wrp.cae import described
from wrp.cee.filling import fill
from wrp.cee.writing import reserve, told
from wrp.comm.lasting import write_all
from wrp.errors import Corrupt, UsageError

_TOO_LARGE = 1 << 32                    # bytes of a chunk that HDF5 doesn't take


def write_dataset(store, tag, path, ranks):
    """An HDF5 file with the dataset that `__meta` describes, called as the tag. Collective. Corrupt where a chunk isn't there, or not whole."""
    _write(store, path, ranks, lambda: _dataset(store, tag, path))


def write_blobs(store, tag, path, ranks):
    """An HDF5 file with a dataset of bytes for each blob. Collective. UsageError where two names can't both be one's."""
    _write(store, path, ranks, lambda: _blobs(store, tag, path))


def write_records(store, tag, path, ranks):
    """For each blob the length of its name (uint32), the name, its size (uint64), its bytes. Collective."""
    _write(store, path, ranks, lambda: _records(store, tag, path))


def _write(store, path, ranks, made):
    def by_rank_0():
        with told(path):
            return made()
    fill(store, ranks.share_of(by_rank_0, f"make {path}"), path, ranks)


def _dataset(store, tag, path):
    meta = described.unpack(store.get(tag, described.BLOB), tag)
    sizes, count = dict(_sizes(store, tag)), prod(meta.grid)
    if meta.chunk_nbytes >= _TOO_LARGE and count > 1:
        raise UsageError(f"tag {tag!r} has chunks of {meta.chunk_nbytes} bytes, and those of an HDF5 file have less than {_TOO_LARGE}")
    found = sum(described.is_chunk(name) for name in sizes)
    if found < count:
        raise Corrupt(f"tag {tag!r} has {found} of the {count} chunks that its {described.BLOB} describes: a dataset with holes isn't exported")
    names = [meta.name(number) for number in range(count)]
    wrong = next((name for name in names if sizes.get(name) != meta.chunk_nbytes), None)
    if wrong is not None:
        raise Corrupt(f"tag {tag!r} has {sizes.get(wrong, 0)} of the {meta.chunk_nbytes} bytes of its chunk {wrong!r}: a dataset with holes isn't exported")
    with _made(path) as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if meta.chunk_nbytes < _TOO_LARGE:
            creation.set_chunk(meta.chunk)
        dataset = _create(file, tag.strip("/"), meta.dtype, meta.shape, creation)
        offsets = _offsets(dataset, meta, count)
    _back(path)
    return [(offset, tag, name, meta.chunk_nbytes) for offset, name in zip(offsets, names)]


def _offsets(dataset, meta, count):
    """Where each chunk lies in the file."""
    if meta.chunk_nbytes >= _TOO_LARGE:
        return [dataset.get_offset()]
    found = []
    if hasattr(dataset, "chunk_iter"):
        dataset.chunk_iter(found.append)
    else:
        found = [dataset.get_chunk_info(number) for number in range(count)]
    at = {tuple(info.chunk_offset): info.byte_offset for info in found}
    return [at[tuple(place * length for place, length in zip(meta.at(number), meta.chunk))] for number in range(count)]


def _blobs(store, tag, path):
    places = []
    with _made(path) as file:
        for name, size in _sizes(store, tag):
            if name != described.BLOB:
                dataset = _create(file, name, np.dtype("u1"), (size,), h5py.h5p.create(h5py.h5p.DATASET_CREATE))
                places.append((dataset.get_offset() or 0, tag, name, size))
    _back(path)
    return places


def _records(store, tag, path):
    heads, places, end = [], [], 0
    for name, size in _sizes(store, tag):
        if name != described.BLOB:
            encoded = name.encode("utf-8")
            head = struct.pack("<I", len(encoded)) + encoded + struct.pack("<Q", size)
            heads.append((head, end))
            places.append((end + len(head), tag, name, size))
            end += len(head) + size
    reserve(path, end)
    descriptor = os.open(path, os.O_WRONLY)
    try:
        for head, offset in heads:
            write_all(descriptor, head, offset)
    finally:
        os.close(descriptor)
    return places


def _sizes(store, tag):
    return [(blob, store.size(tag, blob)) for _, blob in store.blobs(re.escape(tag))]


def _made(path):
    return h5py.File(path, "x", locking=False)


def _create(file, name, dtype, shape, creation):
    """A dataset whose space is in the file already; what is in it is nobody's."""
    creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5d.FILL_TIME_NEVER)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    links.set_char_encoding(h5t.CSET_UTF8)
    try:
        return h5d.create(file.id, name.encode("utf-8"), h5t.py_create(dtype, logical=True), h5s.create_simple(shape), creation, links)
    except (ValueError, RuntimeError, OSError) as error:
        raise UsageError(f"{name!r} can't be the path of a dataset in an HDF5 file beside the others: {error}") from error


def _back(path):
    """Room for all that the file says it has."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, max(1, os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)
