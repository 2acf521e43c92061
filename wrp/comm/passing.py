"""Folders that last as long as the processes that use them. What killed processes have left is known by a lock that went with them.

They lie in a folder for such things, /dev/shm or TMPDIR, as wrp-UID.PURPOSE.
"""

import fcntl
import os
import re
import shutil
import stat
import tempfile
from contextlib import suppress

from wrp.errors import StoreError


class PassingFolder:
    """One folder, made if need be; every process that names it uses it. The last one to close it removes it. Also a context manager.

    parent : where it lies, None: the folder for temporary files
    A flock of ours lies on the folder itself: who wants one of his own takes it on something inside.
    Attribute: path. Raises StoreError where it can't be made or belongs to somebody else.
    """

    def __init__(self, purpose, parent=None):
        self.path = os.path.join(parent or tempfile.gettempdir(), _prefix() + purpose)
        self._fd = None
        while self._fd is None:
            self._fd = _used(self.path)

    def close(self):
        """Idempotent."""
        fd, self._fd = self._fd, None
        if fd is not None:
            _remove(self.path, fd)
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def left():
    """Paths of the folders whose processes have all ended."""
    found = []
    for parent in sorted({tempfile.gettempdir(), "/dev/shm"}):
        names = os.listdir(parent) if os.path.isdir(parent) else ()
        found += [path for name in names if name.startswith(_prefix()) and _is_left(path := os.path.join(parent, name))]
    return sorted(found)


def remove(path):
    """Remove one that was left; False when somebody uses it by now."""
    fd = None if _maker_lives(path) else _opened(path)
    if fd is None:
        return False
    try:
        return _remove(path, fd)
    finally:
        os.close(fd)


def _prefix():
    return f"wrp-{os.getuid()}."


def _used(path):
    """Descriptor of the folder with a lock on it, or None: who removes what was left came in between."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreError(f"the folder {path} can't be made: {error.strerror}; set TMPDIR to a folder that you can write") from error
    fd = _opened(path)
    if fd is None:
        if os.path.lexists(path):
            raise StoreError(f"{path} is not a folder that only you can use (mode 0700): remove it, or set TMPDIR")
        return None
    with suppress(OSError):             # a file system without locks
        fcntl.flock(fd, fcntl.LOCK_SH)
    if _is_there(path, fd):
        return fd
    os.close(fd)
    return None


def _opened(path):
    """Descriptor of a folder that is ours alone, or None."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    found = os.fstat(fd)
    if found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077:
        return fd
    os.close(fd)
    return None


def _is_there(path, fd):
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _maker_lives(path):
    """True for PURPOSE-PID of a process that lives: it may have made the folder a moment ago, and be about to lock it."""
    maker = re.search(r"-(\d+)$", path)
    return maker is not None and os.path.exists(f"/proc/{maker[1]}")


def _is_left(path):
    fd = None if _maker_lives(path) else _opened(path)
    if fd is None:
        return False
    try:
        return _is_alone(fd)
    finally:
        os.close(fd)


def _remove(path, fd):
    """True when it was removed: nobody else uses it."""
    if not _is_alone(fd) or not _is_there(path, fd):
        return False
    shutil.rmtree(path, ignore_errors=True)
    return True


def _is_alone(fd):
    """True when nobody else has a lock on the folder, and none can have one from now on until the descriptor is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:             # in use, or a file system without locks, where nobody knows
        return False
