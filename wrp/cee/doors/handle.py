"""The store behind a door, and the reading of a byte range of a blob. No library's interface here."""

import os

from wrp.cee.opening import borrow, give_back, no_store, store_path
from wrp.errors import RangeError, StoreError, UsageError

_TRIES = 100


class NoStore(StoreError, FileNotFoundError):
    """No path leads anywhere there, until the first write has made the store: zarr goes on, and makes it."""


class Handle:
    """An opened Store that its owner closes, or the store at a folder: opened when it is first asked for, for reading until
    somebody has to write, and shared with all other doors of this process. Opening is collective under mpirun: pass a Store there.
    UsageError for anything else.
    """

    def __init__(self, store=None):
        self._given = None if store is None or isinstance(store, (str, os.PathLike)) else store
        if self._given is not None and not hasattr(store, "put_segments"):
            raise UsageError(f"store={store!r:.80} is neither an opened Store nor the path of a store's folder: give one of them, or nothing for the folder that WRP_STORE names")
        self.folder = None if self._given is not None else store_path(store)
        self._shared = None

    def present(self):
        """The Store, or None when there is none at the folder."""
        return self._given if self._given is not None else self._borrowed().reading()

    def reading(self):
        """The Store; NoStore when there is none at the folder."""
        store = self.present()
        if store is None:
            error = no_store(self.folder)
            raise error if os.path.isfile(self.folder) else NoStore(str(error))
        return store

    def writing(self):
        """The Store opened for writing; made when there is none."""
        return self._given if self._given is not None else self._borrowed().writing(make=True)

    def flush(self):
        """What was written by any door of this process is durable when it returns."""
        if self._given is not None or self._shared is not None:
            self.reading().flush()

    def close(self):
        """Give the store back; the last one of the process that does closes it. A given Store stays open, flushed. Idempotent."""
        shared, self._shared = self._shared, None
        if shared is not None:
            give_back(shared)
        elif self._given is not None:
            self._given.flush()

    def _borrowed(self):
        if self._shared is None:
            self._shared = borrow(self.folder)
        return self._shared

    @property
    def argument(self):
        """What makes an equal handle."""
        return self._given if self._given is not None else self.folder

    def __eq__(self, other):
        return isinstance(other, Handle) and (self._given, self.folder) == (other._given, other.folder)

    def __hash__(self):
        return hash((id(self._given), self.folder))


def clipped(nbytes, start=None, stop=None):
    """(start, stop) within 0 and `nbytes`; negative ones count from the end, as in a slice of bytes."""
    start, stop, _ = slice(start, stop).indices(nbytes)
    return start, max(start, stop)


def get_range(store, tag, blob, start=None, stop=None):
    """The bytes of a blob between `start` and `stop`, clipped to what there is. NoSuchTag, NoSuchBlob."""
    if start is None and stop is None:
        return store.get(tag, blob)
    for _ in range(_TRIES):
        first, last = clipped(store.size(tag, blob), start, stop)
        try:
            return store.get(tag, blob, first, last - first)
        except RangeError:          # it was replaced by a shorter one in between
            continue
    return store.get(tag, blob)[start:stop]
