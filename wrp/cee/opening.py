"""Which store a call or command of this floor means, its opening, and one opened store per folder and process."""

import atexit
import os

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import StoreError

DEFAULT_FOLDER = "wrp-store"

_shared = {}                 # folder -> [store, ranks, how many use it]


def store_folder(folder=None, environ=os.environ):
    """The folder named by the caller, else by WRP_STORE, else ``wrp-store`` in the current folder."""
    return os.fspath(folder) if folder is not None else environ.get("WRP_STORE") or DEFAULT_FOLDER


def opened(folder=None, write=True, make=True):
    """(Store, Ranks) on all ranks of the job. Collective. StoreError when it isn't there and may not be made."""
    path, ranks = store_folder(folder), world()
    with ranks.agreed("look for the store"):
        if ranks.rank == 0 and not (write and make) and not os.path.isdir(path):
            raise StoreError(f"there is no store at {os.path.abspath(path)}: ingest something first, or name its folder with --store")
    return Store.open(path, ranks, write=write), ranks


def borrow(folder=None):
    """(path, Store, Ranks): the store that this process has open at the folder, opened if need be. Collective."""
    path = os.path.abspath(store_folder(folder))
    if path not in _shared:
        _shared[path] = [*opened(path), 0]
    entry = _shared[path]
    entry[2] += 1
    return path, entry[0], entry[1]


def give_back(path):
    """The other half of `borrow`: the last user closes the store. Collective."""
    entry = _shared[path]
    entry[2] -= 1
    if not entry[2]:
        del _shared[path]
        entry[0].close()


@atexit.register
def _close_all():
    while _shared:
        _, (store, _, _) = _shared.popitem()
        store.close()
