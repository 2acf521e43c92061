"""A zarr v3 store whose keys are the blobs of one tag. What was taken in from HDF5 files is in hdf5store.py."""

import re
from contextlib import suppress

from wrp.cee.doors.extras import wanting
from wrp.cee.doors.handle import Handle, get_range
from wrp.errors import Changed, NoSuchBlob, NoSuchTag

with wanting("arrays"):
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
    from zarr.core.buffer import Buffer, default_buffer_prototype


class TagStore(Store):
    """Arrays and groups in the blobs of `tag`, each key one blob.

    store : an opened wrp Store, or its folder (default: WRP_STORE, else ./wrp-store)
    What is set is seen by the ranks of the node at once, and durable after `flush` or `close`. Every call is local; each key is
    atomic, a change of several keys isn't. Calls wait for the store instead of letting other coroutines run: they copy memory.
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __init__(self, store=None, tag="zarr", *, read_only=False):
        super().__init__(read_only=read_only)
        self._handle = store if isinstance(store, Handle) else Handle(store)
        self.tag = tag

    def with_read_only(self, read_only=False):
        return type(self)(self._handle, self.tag, read_only=read_only)

    def __eq__(self, other):
        return (isinstance(other, type(self)) and self._handle == other._handle and self.tag == other.tag
                and self.read_only == other.read_only)

    def __hash__(self):
        return hash((self._handle, self.tag))

    def __str__(self):
        return f"wrp://{self.tag}"

    def __repr__(self):
        return f"TagStore({self._handle.folder or 'an open store'}, {self.tag!r})"

    def __getstate__(self):
        if self._handle.folder is None:
            raise TypeError("a TagStore over an opened Store isn't pickled: make it over the store's folder")
        return {"folder": self._handle.folder, "tag": self.tag, "read_only": self.read_only, "is_open": self._is_open}

    def __setstate__(self, state):
        self._handle, self.tag = Handle(state["folder"]), state["tag"]
        self._read_only, self._is_open = state["read_only"], state["is_open"]

    def flush(self):
        """What was set is durable when it returns."""
        self._handle.flush()

    def close(self):
        """Flush, and give the store back; it is opened again when it is used again."""
        self._handle.close()
        super().close()

    # synchronous, as zarr's own stores have them

    def get_sync(self, key, *, prototype=None, byte_range=None):
        prototype = prototype or default_buffer_prototype()
        start, stop = _slice_of(byte_range)
        store = self._handle.present()
        try:
            return prototype.buffer.from_bytes(get_range(store, self.tag, key, start, stop)) if store else None
        except (NoSuchTag, NoSuchBlob):
            return None

    def set_sync(self, key, value, if_generation=None):
        self._check_writable()
        if not isinstance(value, Buffer):
            raise TypeError(f"the value of key {key!r} must be a Buffer of zarr, not a {type(value).__name__}")
        self._handle.writing().put(self.tag, key, value.to_bytes(), if_generation=if_generation)

    def delete_sync(self, key):
        self._check_writable()
        try:
            self._handle.writing().delete(self.tag, key)
        except (NoSuchTag, NoSuchBlob):
            pass

    # as zarr's core calls them

    async def get(self, key, prototype=None, byte_range=None):
        await self._ensure_open()
        return self.get_sync(key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(self, prototype, key_ranges):
        await self._ensure_open()
        return [self.get_sync(key, prototype=prototype, byte_range=byte_range) for key, byte_range in key_ranges]

    async def exists(self, key):
        await self._ensure_open()
        store = self._handle.present()
        return store is not None and store.exists(self.tag, key)

    async def set(self, key, value):
        self._check_writable()
        await self._ensure_open()
        self.set_sync(key, value)

    async def set_if_not_exists(self, key, value):
        """Of several who set a key that isn't there one does."""
        await self._ensure_open()
        with suppress(Changed):
            self.set_sync(key, value, if_generation=0)

    async def delete(self, key):
        self._check_writable()
        await self._ensure_open()
        self.delete_sync(key)

    async def list(self):
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix):
        await self._ensure_open()
        for key in self._keys(prefix):
            yield key

    async def list_dir(self, prefix):
        await self._ensure_open()
        folder = prefix.rstrip("/") + "/" if prefix.rstrip("/") else ""
        for name in dict.fromkeys(key[len(folder):].partition("/")[0] for key in self._keys(folder)):
            yield name

    async def getsize(self, key):
        await self._ensure_open()
        store = self._handle.present()
        if store is None or not store.exists(self.tag, key):
            raise FileNotFoundError(key)
        return store.size(self.tag, key)

    def _keys(self, prefix):
        """Names of the tag's blobs that begin with `prefix`; [] where there is no store or tag yet."""
        store = self._handle.present()
        return [blob for _, blob in store.blobs(re.escape(self.tag), re.escape(prefix) + "(?s:.*)")] if store else []


def _slice_of(byte_range):
    """(start, stop) of a request of zarr."""
    if byte_range is None:
        return None, None
    if isinstance(byte_range, RangeByteRequest):
        return byte_range.start, byte_range.end
    if isinstance(byte_range, OffsetByteRequest):
        return byte_range.offset, None
    if isinstance(byte_range, SuffixByteRequest):
        return (-byte_range.suffix, None) if byte_range.suffix else (0, 0)
    raise ValueError(f"Unexpected byte_range, got {byte_range!r}: zarr has RangeByteRequest, OffsetByteRequest, SuffixByteRequest")
