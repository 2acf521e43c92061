"""Files written by several processes: room first, whole writes, synced, and errors that say which file."""

import errno
import os
from contextlib import contextmanager

from wrp.errors import OutOfSpace, WrpError


def reserve(path, nbytes):
    """Make the file with room for `nbytes`, so that a full disk is an error before the work."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        if nbytes:
            os.posix_fallocate(descriptor, 0, nbytes)
    finally:
        os.close(descriptor)


@contextmanager
def opened_to_write(path):
    """A descriptor on the existing file, synced at the end."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def pwrite_all(descriptor, data, offset):
    """Write all of `data` at `offset`."""
    data = memoryview(data).cast("B")
    while data.nbytes:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def sync_folder(folder):
    """Make a rename in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def told(path):
    """An OSError of the block, which writes `path`, becomes an error of wrp with a sentence."""
    try:
        yield
    except WrpError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfSpace(f"no room to write {path}: {error.strerror}; free some space or choose another place") from error
        raise WrpError(f"{path} can't be written: {error.strerror or error}") from error
