"""Room that a store keeps on its disk for itself: a file that goes when the disk is full. So the store can be opened then, and what it holds be destroyed."""

import errno
import os

from wrp.comm.refusals import tolerant

_NBYTES = 64 << 10
FULL = (errno.ENOSPC, errno.EDQUOT)


def keep(folder):
    """Let there be room; where the disk has none, there is none."""
    path = os.path.join(folder, "spare")
    with tolerant():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.posix_fallocate(descriptor, 0, _NBYTES)
        finally:
            os.close(descriptor)


def spend(folder):
    """Give the room to who asks first."""
    with tolerant():
        os.unlink(os.path.join(folder, "spare"))
