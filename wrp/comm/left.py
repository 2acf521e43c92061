"""Left: segments in the user's folder whose maker was killed, and their removal, so that they take no memory for good."""
import os
import stat
from contextlib import suppress

from wrp.comm import mapping, names
from wrp.comm.lock import is_alive
from wrp.comm.segment import MAGIC
from wrp.errors import StoreBusy, StoreError


def sweep():
    """Remove the names of segments that no living process has made: whoever still looks at one keeps its memory. Files that are no segments stay. Local, cheap."""
    with suppress(StoreError, OSError):
        folder = names.found_folder()
        for name in os.listdir(folder) if folder else ():
            maker = names.maker_of_unfinished(name)
            # between making its file and locking it a process that lives has no lock yet
            if not (maker and is_alive(maker)) and _is_segment(path := os.path.join(folder, name), maker):
                with suppress(StoreBusy, OSError):
                    mapping.remove_left_behind(path)


def _is_segment(path, maker):
    """True for a file of ours that begins as a segment does, or with nothing where its maker had no time for that."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        about, head = os.fstat(fd), b""
        if stat.S_ISREG(about.st_mode) and about.st_uid == os.getuid():
            head = os.pread(fd, 8, 0)
            return int.from_bytes(head, "little") in ((MAGIC, 0) if maker else (MAGIC,))
        return False
    except OSError:
        return False
    finally:
        os.close(fd)
