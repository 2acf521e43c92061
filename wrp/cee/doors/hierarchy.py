"""The hierarchy that zarr sees in an HDF5 file that was taken in: documents made when they are asked for, chunks read from the blobs. zarr itself is not imported."""

import json
import struct
import threading
from math import prod

import h5py
import numpy as np

from wrp.cae.hdf5 import layout as layouts
from wrp.cee.doors import described, image
from wrp.cee.stream import TagStream
from wrp.comm.collecting import held_off
from wrp.errors import NoSuchTag

DOCUMENT = "zarr.json"
_CONSOLIDATED = 1000                # nodes that the root's document describes at most


class Hierarchy:
    """The hierarchy of one context. Paths have no slash at their ends; the root's is empty."""

    def __init__(self, store, tag, chunks="rows"):
        if not store.exists(tag, layouts.BLOB):
            if not store.exists(tag):
                raise NoSuchTag(f"there is no tag {tag!r}: wrp_cee ls shows the tags")
            raise NoSuchTag(f"tag {tag!r} is no context of an HDF5 file (it has no blob {layouts.BLOB!r}): what was taken in as raw bytes, or put, is read by wrp:// paths or as zarr by a TagStore")
        self._store, self._chunks, self._lock = store, chunks, threading.RLock()
        self._layout = layouts.unpack(store.get(tag, layouts.BLOB))
        self.absent, self._arrays, self._documents = {}, {}, {}
        with held_off():
            self._file = image.opened(store, tag, self._layout)
            self._groups = {"", *_group_paths(self._file)}
            for dataset in self._layout.datasets:
                for path in dataset.paths:
                    raw = path.encode("utf-8", "surrogateescape")
                    self._add(raw.decode("utf-8", "backslashreplace").strip("/"), raw, dataset)

    def _add(self, path, raw, dataset):
        found = Array.made(self._store, self._file, raw, dataset, self._chunks)
        if isinstance(found, str):
            self.absent["/" + path] = found
        else:
            self._arrays[path] = found
            parts = path.split("/")
            self._groups.update("/".join(parts[:count]) for count in range(len(parts)))

    def links(self):
        """{path: sentence} of soft and external links, each under the first path of its group; they aren't followed."""
        with self._lock, held_off():
            return dict(_links(self._file))

    def close(self):
        with self._lock, held_off():
            self._file.close()

    def value(self, key):
        """The bytes of a document or chunk; None when there is none of that key."""
        path, _, name = key.rpartition("/")
        if name == DOCUMENT:
            return self._document(path)
        path, index = self._chunk(key)
        return None if path is None else self._arrays[path].read(index)

    def nbytes(self, key):
        """The length of `value`, without reading a chunk; None when there is none of that key."""
        path, _, name = key.rpartition("/")
        if name == DOCUMENT:
            data = self._document(path)
            return None if data is None else len(data)
        path, _ = self._chunk(key)
        return None if path is None else self._arrays[path].chunk_nbytes

    def has(self, key):
        path, _, name = key.rpartition("/")
        return path in self._arrays or path in self._groups if name == DOCUMENT else self._chunk(key)[0] is not None

    def _document(self, path):
        with self._lock, held_off():
            if path not in self._documents:
                if path not in self._arrays and path not in self._groups:
                    return None
                found = self._node(path)
                nodes = sorted(self._groups | set(self._arrays) - {""})
                if not path and len(nodes) <= _CONSOLIDATED:
                    # one read tells all, and readers need not list
                    found["consolidated_metadata"] = described.consolidated({node: self._node(node) for node in nodes if node})
                self._documents[path] = json.dumps(found).encode()
            return self._documents[path]

    def _node(self, path):
        if path in self._arrays:
            return self._arrays[path].document()
        return described.group(described.attributes_of(self._file[path or "/"]))

    def _chunk(self, key):
        """(path of the array, index of the chunk) of a key like `a/b/c/0/1`; (None, None) when there is none."""
        parts = key.split("/")
        for count in range(len(parts)):
            found = self._arrays.get("/".join(parts[:count]))
            if found is None or parts[count] != "c":
                continue
            index = parts[count + 1:]
            if len(index) == len(found.grid) and all(part.isdecimal() and str(int(part)) == part for part in index):
                index = tuple(map(int, index))
                if all(at < extent for at, extent in zip(index, found.grid)):
                    return "/".join(parts[:count]), index
        return None, None

    def keys(self, prefix):
        for path in sorted(self._groups | set(self._arrays)):
            start = path + "/" if path else ""
            if not (start.startswith(prefix) or prefix.startswith(start)):
                continue
            if (start + DOCUMENT).startswith(prefix):
                yield start + DOCUMENT
            if path in self._arrays:
                keys = (start + "/".join(["c", *map(str, index)]) for index in np.ndindex(*self._arrays[path].grid))
                yield from (key for key in keys if key.startswith(prefix))

    def names(self, path):
        """What lies directly below a path."""
        start = path + "/" if path else ""
        found = [DOCUMENT] if path in self._groups or path in self._arrays else []
        if path in self._arrays:
            return found + ["c"]
        below = {other[len(start):].partition("/")[0] for other in self._groups | set(self._arrays) if other != path and other.startswith(start)}
        if found or below:
            return found + sorted(below)
        return list(dict.fromkeys(key[len(start):].partition("/")[0] for key in self.keys(start)))


def _group_paths(file):
    """The paths of the groups, each under the first of its names."""
    found = []
    file.visititems(lambda name, thing: found.append(name) if isinstance(thing, h5py.Group) else None)
    return found


def _links(file):
    """Yield (path, sentence) of every link that isn't a hard one."""
    for path in ["/", *_group_paths(file)]:
        group = file[path]
        for name in group:
            link = group.get(name, getlink=True)
            where = f"/{path.strip('/')}/{name}".replace("//", "/").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            if isinstance(link, h5py.SoftLink):
                yield where, f"it is a soft link to {link.path!r}"
            elif isinstance(link, h5py.ExternalLink):
                yield where, f"it is an external link to {link.path!r} of {link.filename!r}"


class Array:
    """One dataset: its document, and its chunks read from the blobs of its tag."""

    def __init__(self, store, source, dataset, kind, chunk):
        self._source, self._dataset, self._kind, self._chunk = source, dataset, kind, chunk
        self._shape, self._itemsize = tuple(dataset.shape), dataset.itemsize
        self._stream = TagStream(store, dataset.tag, dataset.nbytes)
        self.grid = tuple(-(-extent // length) for extent, length in zip(self._shape, chunk))

    @classmethod
    def made(cls, store, file, raw, dataset, chunks):
        """The array, or a sentence that says why there is none."""
        if dataset.storage == "left_out":
            return "it wasn't taken in"
        if dataset.shape is None:
            return "it has no shape"
        source = file[raw]
        shape = tuple(dataset.shape)
        if source.dtype.kind == "O":
            if h5py.check_string_dtype(source.dtype) is None:
                return "its elements are of varying length, or references"
            return cls(store, source, dataset, described.STRINGS, tuple(max(1, extent) for extent in shape))
        if dataset.nbytes != prod(shape) * dataset.itemsize:
            return "parts of its elements are of varying length"
        kind = described.kind_of(dataset.dtype, dataset.itemsize)
        rows = described.rows(shape, dataset.itemsize)
        return cls(store, source, dataset, kind, tuple(dataset.chunk) if chunks == "source" and dataset.chunk else rows)

    @property
    def chunk_nbytes(self):
        return 4 + self._dataset.nbytes if self._kind is described.STRINGS else prod(self._chunk) * self._itemsize

    def document(self):
        attributes = described.attributes_of(self._source, self._source.dtype)
        return described.array(self._shape, self._chunk, self._kind, described.names_of(self._source), attributes)

    def read(self, index):
        """The bytes of one chunk; beyond the dataset's edge they are zeros."""
        if self._kind is described.STRINGS:
            return self._strings()
        start = tuple(at * length for at, length in zip(index, self._chunk))
        extent = tuple(min(length, size - begin) for length, size, begin in zip(self._chunk, self._shape, start))
        box = bytearray(prod(extent) * self._itemsize)
        view, read = memoryview(box), self._stream.read if self._is_run(extent) else self._stream.read_kept
        for first, at, count in described.runs(self._shape, start, extent):
            read(first * self._itemsize, view[at * self._itemsize:(at + count) * self._itemsize])
        if extent == tuple(self._chunk):
            return bytes(box)
        whole = np.zeros(self._chunk, f"V{self._itemsize}")
        whole[tuple(slice(length) for length in extent)] = np.frombuffer(box, whole.dtype).reshape(extent)
        return whole.tobytes()

    def _is_run(self, extent):
        """True where the box is one run of the stream."""
        axis = next((axis for axis, length in enumerate(extent) if length > 1), len(extent))
        return extent[axis + 1:] == self._shape[axis + 1:]

    def _strings(self):
        """All strings, as the codec vlen-utf8 has them: their number, then each with its length, which is what the stream holds."""
        data = bytearray(self._dataset.nbytes)
        self._stream.read(0, data)
        return struct.pack("<I", prod(self._shape)) + bytes(data)
