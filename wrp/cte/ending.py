"""Stores that a program leaves open, or leaves by an error: what isn't durable of them is made so, and what can't be is told. Closes nothing that waits for other ranks, but serves those of its node until they have done so, too.

A process that ends otherwise (os._exit, a signal, MPI's abort) keeps what was flushed, as ever. A forked child ends nothing of its parent's.
"""

import atexit
import os
import sys

import wrp.comm.mapping         # Python's end calls what it registers after `_end_all`
from wrp.comm.sizes import format_size
from wrp.cte.records import BLOB

_open = {}                      # Store with a folder, opened for writing: the process that has opened it


def remember(store):
    """The store is open."""
    if store.folder is not None and store._parts.write:
        _open[store] = os.getpid()


def forget(store):
    """It isn't any more."""
    _open.pop(store, None)


@atexit.register
def _end_all():
    mine = [store for store, pid in _open.items() if pid == os.getpid()]
    for store in mine:
        _end(store)
    for ranks in {store.ranks for store in mine}:       # their flushes may need this process's worker
        ranks.linger()


def _end(store):
    how, advice = "was left open when Python ended", "; end a program with `with Store.open(...) as store:` or store.close(), which raise that"
    try:
        if flushed(store, how, advice) and store.ranks.size == 1:
            store.close()
    except Exception as error:  # Python would add where it came from, and leave out what it means
        _tell(store, how, "it could not be closed", error, advice)
    finally:
        forget(store)
        if store._parts is not None:
            store._parts.rely(False)


def flushed(store, how, advice="", but=None):
    """Flush what this node has. False after an error, which is told with what isn't durable by it, unless it says what the error `but` does."""
    try:
        store._flush_here()
    except Exception as error:
        if str(error) != str(but):
            _tell(store, how, f"{_unflushed(store)} could not be made durable", error, advice)
        return False
    return True


def _tell(store, how, what, error, advice):
    print(f"wrp: store {store.folder} {how}, and {what}: {error}{advice}", file=sys.stderr, flush=True)


def _unflushed(store):
    try:
        found = store._parts.catalog.scan(kind=BLOB, dirty=True)
    except Exception:
        found = ()
    if not found:
        return "what wasn't flushed"
    return f"{len(found)} blob{'s' * (len(found) != 1)} with {format_size(sum(record.raw or record.size for record in found))}"
