"""Files that last: written whole, and on storage together with their names. No MPI, no shared memory, and nothing that has to be compiled."""

import errno
import os

_REFUSED = (errno.EINVAL, errno.EACCES)         # by a file system that has no such thing, or to a user who may make files there and not list them


def sync_path(path):
    """The bytes of a file, or the names in a folder, are on storage when it returns."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_names(folder):
    """The names in a folder are on storage when it returns, where that can be had."""
    try:
        sync_path(folder)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise


def make_folders(path):
    """Make a folder, and those above it that aren't there, whose names are on storage when it returns; OSError."""
    above, made = os.path.abspath(path), []
    while not os.path.lexists(above):
        above = os.path.dirname(above)
        made.append(above)
    os.makedirs(path, exist_ok=True)
    for each in made:
        sync_names(each)


def write_all(descriptor, data, offset=0):
    """Write all of `data` (contiguous) at the offset."""
    view = memoryview(data)
    view = view.cast("B") if view.nbytes else view[:0]
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count
