"""Which store a call or command of this floor means, a folder or a daemon's, its opening, and one opened store of each per process."""

import atexit
import importlib
import os
import sys
from functools import cache

from wrp.comm import names
from wrp.comm.ranks import world
from wrp.comm.ranks.launcher import launcher
from wrp.cte.names import DAEMON
from wrp.errors import StoreError, WrpError

DEFAULT_FOLDER = "wrp-store"

_shared = {}                 # folder -> Shared


def store_folder(folder=None, environ=os.environ):
    """The folder named by the caller, else by WRP_STORE, else ``wrp-store`` in the current folder."""
    return os.fspath(folder) if folder is not None else environ.get("WRP_STORE") or DEFAULT_FOLDER


def store_path(folder=None, environ=os.environ):
    """The same as an absolute path; a daemon's as it is."""
    found = store_folder(folder, environ)
    return found if found.startswith(DAEMON) else os.path.abspath(found)


def found_path(environ=os.environ):
    """The same where nobody names a folder: before the one of the current folder comes the store of the daemon that runs under the name that programs attach to."""
    if environ.get("WRP_STORE") or environ.get("CHI_WITH_RUNTIME", "").lower() in ("1", "true") or not _is_alone(environ) or not os.listdir(names.folder()):
        return store_path(None, environ)
    from wrp.cte.served import serves           # slow to import

    return DAEMON if serves() else store_path(None, environ)


def _is_alone(environ):
    started = launcher(environ)
    return started is None or started.size == 1


def opened(folder=None, write=True, make=True, config=None):
    """(Store, Ranks) on all ranks of the job. Collective. StoreError when it isn't there and may not be made."""
    path, ranks = store_folder(folder), world()
    with ranks.agreed("look for the store"):
        if ranks.rank == 0 and not (write and make) and not path.startswith(DAEMON) and not os.path.isdir(path):
            raise no_store(path)
    from wrp.cte import Store                   # slow, too

    return Store.open(path, ranks, config, write), ranks


def no_store(path):
    """The StoreError for a path that has no folder."""
    if os.path.exists(path) and not os.path.isdir(path):
        return StoreError(f"{os.path.abspath(path)} is a file, not the folder of a store: name the folder of one (--store of a command)")
    return StoreError(f"there is no store at {os.path.abspath(path)}: ingest something first, or name its folder (--store of a command)")


def _holds_something(path):
    """Whether there is a folder with anything in it; of one that can't be looked into the opening says why."""
    try:
        return bool(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


class Shared:
    """The one store that this process has at a folder: for reading until somebody has to write; or of a daemon. Opened when first asked for."""

    def __init__(self, path):
        self.path, self.ranks, self.users = path, world(), 0
        self._store, self._write = None, False

    @property
    def is_daemons(self):
        return self.path.startswith(DAEMON)

    def reading(self):
        """The opened Store; None when there is none at the folder, or the folder is empty. Collective at the first call."""
        if self._store is None and self.ranks.share(self.is_daemons or _holds_something(self.path), "whether there is a store"):
            self._store, _ = opened(self.path, write=False)
        return self._store

    def writing(self, make=False, config=None):
        """The Store opened for writing, made if it isn't there and `make` is true. Collective.

        config : of the store, where this call opens it
        """
        if not self._write and not (self.is_daemons and self._store is not None):
            self.close()
            self._store, _ = opened(self.path, make=make, config=config)
        self._write = True
        return self._store

    def close(self):
        """Idempotent. Collective."""
        store, self._store, has_written, self._write = self._store, None, self._write, False
        if store is not None:
            with store:
                if has_written and self.is_daemons:
                    store.flush()           # as an own one does when it is closed


def borrow(folder=None):
    """The process's Shared store at the folder, or of a daemon. Local."""
    path = found_path() if folder is None else store_path(folder)
    if path not in _shared:
        _close_at_the_end()
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


@cache
def _close_at_the_end():
    """Once. Python's end calls first what was registered last: what a store is made of is imported, and has registered what lets go of it, before;
    what is still to be put into one, and is registered once one is there, behind."""
    importlib.import_module("wrp.cte.store")
    atexit.register(_close_all)


def _close_all():
    while _shared:
        try:
            _shared.popitem()[1].close()
        except WrpError as error:       # Python would add where it came from
            print(f"wrp: {error}", file=sys.stderr, flush=True)
