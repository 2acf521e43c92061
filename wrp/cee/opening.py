"""Which store a call or command of this floor means, its opening, and one opened store per folder and process."""

import atexit
import os
import sys

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import StoreError, WrpError

DEFAULT_FOLDER = "wrp-store"

_shared = {}                 # folder -> Shared


def store_folder(folder=None, environ=os.environ):
    """The folder named by the caller, else by WRP_STORE, else ``wrp-store`` in the current folder."""
    return os.fspath(folder) if folder is not None else environ.get("WRP_STORE") or DEFAULT_FOLDER


def opened(folder=None, write=True, make=True, config=None):
    """(Store, Ranks) on all ranks of the job. Collective. StoreError when it isn't there and may not be made."""
    path, ranks = store_folder(folder), world()
    with ranks.agreed("look for the store"):
        if ranks.rank == 0 and not (write and make) and not os.path.isdir(path):
            raise no_store(path)
    return Store.open(path, ranks, config, write), ranks


def no_store(path):
    """The StoreError for a path that has no folder."""
    if os.path.exists(path):
        return StoreError(f"{os.path.abspath(path)} is a file, not the folder of a store: name the folder with --store")
    return StoreError(f"there is no store at {os.path.abspath(path)}: ingest something first, or name its folder with --store")


class Shared:
    """The one store that this process has at a folder: for reading until somebody has to write. Opened when first asked for."""

    def __init__(self, path):
        self.path, self.ranks, self.users = path, world(), 0
        self._store, self._write = None, False

    def reading(self):
        """The opened Store; None when there is none at the folder. Collective at the first call."""
        if self._store is None and self.ranks.share(os.path.isdir(self.path), "whether there is a store"):
            self._store, _ = opened(self.path, write=False)
        return self._store

    def writing(self, make=False, config=None):
        """The Store opened for writing, made if it isn't there and `make` is true. Collective.

        config : of the store, where this call opens it
        """
        if not self._write:
            self.close()
            self._store, _ = opened(self.path, make=make, config=config)
            self._write = True
        return self._store

    def close(self):
        """Idempotent. Collective."""
        store, self._store, self._write = self._store, None, False
        if store is not None:
            store.close()


def borrow(folder=None):
    """The process's Shared store at the folder. Local."""
    path = os.path.abspath(store_folder(folder))
    if path not in _shared:
        _shared[path] = Shared(path)
    shared = _shared[path]
    shared.users += 1
    return shared


def give_back(shared):
    """The other half of `borrow`: the last user closes the store. Collective."""
    shared.users -= 1
    if not shared.users:
        del _shared[shared.path]
        shared.close()


@atexit.register
def _close_all():
    while _shared:
        try:
            _shared.popitem()[1].close()
        except WrpError as error:       # Python would add where it came from
            print(f"wrp: {error}", file=sys.stderr, flush=True)
