"""Leftovers: named segments in the user's folder, and whether the process that made one still lives."""

import fcntl
import os
from typing import NamedTuple

from wrp.comm import names
from wrp.comm.lock import is_alive
from wrp.comm.segment import Segment
from wrp.errors import WrpError
from wrp.runtime.daemon.about import About

_UNKNOWN = -1                   # somebody holds it; who isn't said


class Left(NamedTuple):
    """`pid` of the process that holds it, -1 when unknown, 0 when it has ended; `nbytes` of memory that it takes."""

    name: str
    pid: int
    nbytes: int


def find():
    """List of all named segments of this user on this node."""
    folder = names.folder()
    return [left for name in sorted(os.listdir(folder)) if (left := _look(os.path.join(folder, name), name))]


def remove(left):
    """Remove one whose process has ended; False when somebody has it by now."""
    path = os.path.join(names.folder(), left.name)
    fd = _opened(path)
    if fd is None:
        return False
    try:
        # who has the lock may remove the name
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(fd), os.lstat(path)):
            return False
        os.unlink(path)
        return True
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(fd)


def _look(path, name):
    fd = _opened(path)
    if fd is None:
        return None
    try:
        nbytes = os.fstat(fd).st_blocks * 512
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return Left(name, _holder(name), nbytes)
        maker = names.maker_of_unfinished(name)
        # between making its file and locking it a process that lives has no lock yet
        return Left(name, maker if maker and is_alive(maker) else 0, nbytes)
    finally:
        os.close(fd)


def _holder(name):
    maker = names.maker_of_unfinished(name)
    if maker:
        return maker
    try:
        with Segment.named(name) as segment:
            about = About.find(segment)
            return about.pid if about else _UNKNOWN
    except WrpError:
        return _UNKNOWN


def _opened(path):
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:             # gone, or no file of ours
        return None
