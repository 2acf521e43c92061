"""Python's collection of cycles, held off while one thread waits for another with a lock that finalizers take.

h5py's objects take its lock, which is one for all, when they go. Whoever reads a file of Python's by h5py has that lock in `readinto`; where that waits for another
thread (fsspec's, a worker of this process) and a collection begins there, the two wait for each other. A collection begins in whatever thread makes an object.
"""

import gc
import threading
import time
from contextlib import contextmanager

from wrp.errors import WrpError

_LOOK_S, _PATIENCE_S = 0.001, 30

_lock = threading.RLock()           # a signal's handler may come here, too
_holders, _was_on = 0, False
_collecting = None              # the thread that does, as far as it has said


def _look(phase, about, this_thread=threading.get_ident):       # modules may be gone at the end
    global _collecting
    _collecting = this_thread() if phase == "start" else None


gc.callbacks.append(_look)


@contextmanager
def held_off():
    """No collection begins by itself inside, and none of another thread is under way. Not to be entered with the lock that finalizers take; nests, in any threads."""
    global _holders, _was_on
    counted = 0
    try:
        with _lock:
            if not _holders:
                _was_on = gc.isenabled()
            _holders, counted = _holders + 1, 1
            gc.disable()
        _let_end()
        yield
    finally:
        with _lock:
            _holders -= counted
            if counted and not _holders and _was_on:
                gc.enable()


def check_held_off(what):
    """WrpError where a file of Python's is read while collections may begin. `what`: the file."""
    if not _holders:
        raise WrpError(f"{what} is read by h5py outside of wrp.comm.collecting.held_off(): a collection of cycles there could wait for ever; read it inside")


def _let_end():
    """Wait until a collection that another thread has begun is over."""
    time.sleep(0)               # it may be about to say so
    stop = time.monotonic() + _PATIENCE_S
    while _collecting not in (None, threading.get_ident()) and time.monotonic() < stop:
        time.sleep(_LOOK_S)
