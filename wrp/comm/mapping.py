"""Mapped memory: an anonymous mapping, shared or not, or one of a file with a name; no header, no layout (see segment.py)."""
import atexit
import contextlib
import ctypes
import fcntl
import mmap
import os
import time
import weakref

import numpy as np

from wrp.comm import names
from wrp.comm.lock import is_alive
from wrp.errors import OutOfSpace, StoreBusy, StoreError

_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)     # has a name in Python since 3.11
_LARGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)
_LOOK_S, _NAP_S = 0.1, 0.005


_kept = []                      # memory that a thread still looks at: it goes with the process
_made = weakref.WeakSet()       # Mappings


class Mapping:
    """`nbytes` of shared memory: the mmap `memory` at `address`; `fd` is the mapped file's descriptor or None.

    alone : not shared, but this process's own, with large pages where the kernel has some to give: it rarely has for shared memory
    `close` unmaps, closes `fd` and, where this process made the file `path`, removes it.
    """

    def __init__(self, nbytes, fd=None, path=None, alone=False):
        self.fd, self._path, self._pid = fd, path, os.getpid()
        try:
            self.memory = mmap.mmap(-1 if fd is None else fd, nbytes, flags=(mmap.MAP_PRIVATE if alone else mmap.MAP_SHARED) | _NO_RESERVE)
        except (OSError, ValueError, OverflowError) as error:
            raise OutOfSpace(f"Cannot map {nbytes} bytes of shared memory ({error}); ask for less, or look at the limits of "
                             "this process (ulimit -v).") from error
        _made.add(self)
        self.address = np.frombuffer(self.memory, dtype=np.uint8).__array_interface__["data"][0]
        if alone and _LARGE_PAGES is not None:
            with contextlib.suppress(OSError):      # a kernel without them
                self.memory.madvise(_LARGE_PAGES)

    def hide(self):
        """Remove the name, if this process made it: nobody finds the memory any more, it stays for those that have it."""
        path, self._path = self._path, None
        if path is not None and self._pid == os.getpid():       # a forked child leaves the name to its parent
            _unlink(path)

    def close(self, is_used=False):
        """Let go of memory, file and name; may be called again. The memory stays mapped while views of it are left, and where it `is_used` for good."""
        memory, self.memory = self.memory, None
        if is_used:
            _kept.append(memory)
            memory = None
        fd, self.fd = self.fd, None
        self.hide()
        if memory is not None:
            close_quietly(memory.close)
        if fd is not None:
            os.close(fd)


@atexit.register
def _stay():
    """Python is about to end, and takes no account of threads that are in a kernel: what they look at stays until the process has ended."""
    for memory in [*_kept, *(mapping.memory for mapping in _made)]:
        if memory is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))


def close_quietly(close):
    """Close a mapping or memoryview; where views of it are left, the last of them does it when it goes."""
    try:
        close()
    except BufferError:
        return False
    return True


def _unlink(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False                    # somebody tidied up before
    return True


def attach(path, nbytes=None):
    """The Mapping of all of an existing file; StoreError if it isn't there or has fewer than `nbytes` bytes."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise StoreError(f"Cannot attach to the segment {path}: {error.strerror}; is the program that makes it running on "
                         "this node, as this user?") from error
    found = os.fstat(fd).st_size
    if found == 0 or found < (nbytes or 0):
        os.close(fd)
        raise StoreError(f"The segment {path} has {found} bytes, fewer than the {nbytes} asked for; end the program that made "
                         "it, or ask for less.")
    try:
        return Mapping(found, fd)
    except OutOfSpace:
        os.close(fd)
        raise


def create(path, nbytes, prepare):
    """The Mapping of a new file `path` of `nbytes` zero bytes, shown under its name after `prepare(mapping)`.

    StoreBusy if a living process has made it; one whose maker died is replaced.
    """
    _remove_unfinished(path)
    hidden = f"{path}.{os.getpid()}.new"        # nobody can attach before the header is complete
    _unlink(hidden)
    fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    mapping = None
    try:
        # the maker's lock goes with the maker: it tells a name in use from one that was left behind
        fcntl.flock(fd, fcntl.LOCK_EX)
        _set_length(fd, nbytes)
        mapping = Mapping(nbytes, fd, hidden)
        prepare(mapping)
        _show(hidden, path)
        mapping._path = path
        return mapping
    except BaseException:
        mapping.close() if mapping else os.close(fd)
        raise
    finally:
        _unlink(hidden)


def _remove_unfinished(path):
    """Remove what processes that were killed while they made this segment have left."""
    folder, name = os.path.split(path)
    for found in os.listdir(folder):
        pid = names.maker_of_unfinished(found)
        # between making its file and locking it a process that lives has no lock yet
        if pid and found == f"{name}.{pid}.new" and not is_alive(pid):
            with contextlib.suppress(StoreBusy):        # a process of another pid namespace
                remove_left_behind(os.path.join(folder, found))


def _show(hidden, path):
    """Give the file its name, in one step that fails where the name is in use."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        remove_left_behind(path, _LOOK_S)
        _link_again(hidden, path)


def _link_again(hidden, path):
    try:
        os.link(hidden, path)
    except FileExistsError as error:
        raise StoreBusy(f"Another process has made the segment {path} this moment; attach to it.") from error


def remove_left_behind(path, wait_s=0.0):
    """Remove a segment's file whose maker has ended. StoreBusy where it hasn't. `wait_s`: others that are about to remove it, too, have the lock for a moment."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        _lock(fd, wait_s)
        # only who has the lock may remove the name, and only while it still names the locked file
        if _names(path, fd):
            _unlink(path)
    except BlockingIOError as error:
        raise StoreBusy(f"The segment {path} is in use by a running process; attach to it, or end that process.") from error
    finally:
        os.close(fd)


def _lock(fd, wait_s):
    until = time.monotonic() + wait_s
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
        time.sleep(_NAP_S)


def _names(path, fd):
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _set_length(fd, nbytes):
    # the file is sparse: no page of it is backed yet
    try:
        os.ftruncate(fd, nbytes)
    except (OSError, OverflowError) as error:
        raise OutOfSpace(f"Cannot make a segment of {nbytes} bytes ({error}); ask for less.") from error
