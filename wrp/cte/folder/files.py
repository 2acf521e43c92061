"""Writing files so that they are whole or not there."""

import os

from wrp.comm.lasting import sync_path, write_all


def replace(path, data):
    """Write a file under a temporary name, make it durable, and give it its name."""
    temporary = path + ".new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    except OSError:
        os.unlink(temporary)            # on a full disk what it takes is needed
        raise
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    sync_path(os.path.dirname(path))
