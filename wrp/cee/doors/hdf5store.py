"""An HDF5 file that was taken in, as a read-only zarr v3 store. What is in it is in hierarchy.py."""

import threading

from wrp.cee.doors.extras import wanting
from wrp.cee.doors.handle import Handle
from wrp.cee.doors.hierarchy import Hierarchy
from wrp.cee.doors.tagstore import _slice_of
from wrp.errors import UsageError

with wanting("arrays"):
    from zarr.abc.store import Store
    from zarr.core.buffer import default_buffer_prototype


class Hdf5Store(Store):
    """The groups, attributes and datasets of the context `tag`.

    store : an opened wrp Store, or its folder (default: WRP_STORE, else ./wrp-store)
    chunks : "rows": chunks are runs of the blobs, about 1.5 MiB each; "source": those of the HDF5 file where it has some
    Datasets of numbers, fixed strings and UTF-8 strings are there; others of one size per element as raw bytes. `absent` says why one is not there.
    Calls are local. NoSuchTag when the tag is no context of an HDF5 file.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, store=None, tag=None, chunks="rows", *, read_only=True):
        if chunks not in ("rows", "source"):
            raise UsageError(f"chunks {chunks!r} is none of rows, source")
        if not read_only:
            raise UsageError(f"the context {tag!r} was taken in from a file and can't be changed through zarr: copy it into a TagStore")
        super().__init__(read_only=True)
        self._handle = store if isinstance(store, Handle) else Handle(store)
        self.tag, self._chunks = tag, chunks
        self._lock, self._tree = threading.RLock(), None

    def with_read_only(self, read_only=False):
        return type(self)(self._handle, self.tag, self._chunks, read_only=read_only)

    def __eq__(self, other):
        return (isinstance(other, type(self)) and self._handle == other._handle
                and (self.tag, self._chunks) == (other.tag, other._chunks))

    def __hash__(self):
        return hash((self._handle, self.tag))

    def __repr__(self):
        return f"Hdf5Store({self._handle.folder or 'an open store'}, {self.tag!r})"

    __str__ = __repr__

    def __getstate__(self):
        if self._handle.folder is None:
            raise TypeError("an Hdf5Store over an opened Store isn't pickled: make it over the store's folder")
        return {"folder": self._handle.folder, "tag": self.tag, "chunks": self._chunks, "is_open": self._is_open}

    def __setstate__(self, state):
        self.__init__(state["folder"], state["tag"], state["chunks"])
        self._is_open = state["is_open"]

    @property
    def absent(self):
        """{path of a dataset, or of a soft or external link: why it isn't there}."""
        tree = self._opened()
        return {**tree.links(), **tree.absent}

    def close(self):
        """Give the store back; it is opened again when it is used again."""
        with self._lock:
            tree, self._tree = self._tree, None
        if tree is not None:
            tree.close()
        self._handle.close()
        super().close()

    async def _open(self):
        self._opened()                  # or zarr would take the NoSuchTag of its first look for a group that isn't there
        await super()._open()

    def _opened(self):
        with self._lock:
            if self._tree is None:
                self._tree = Hierarchy(self._handle.reading(), self.tag, self._chunks)
            return self._tree

    def get_sync(self, key, *, prototype=None, byte_range=None):
        prototype = prototype or default_buffer_prototype()
        data = self._opened().value(key)
        if data is None:
            return None
        if byte_range is not None:
            data = memoryview(data)[slice(*_slice_of(byte_range))].tobytes()
        return prototype.buffer.from_bytes(data)

    async def get(self, key, prototype=None, byte_range=None):
        await self._ensure_open()
        return self.get_sync(key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(self, prototype, key_ranges):
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key):
        await self._ensure_open()
        return self._opened().has(key)

    async def set(self, key, value):
        self._check_writable()

    async def delete(self, key):
        self._check_writable()

    async def list(self):
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix):
        await self._ensure_open()
        for key in self._opened().keys(prefix):
            yield key

    async def list_dir(self, prefix):
        await self._ensure_open()
        for name in self._opened().names(prefix.strip("/")):
            yield name
