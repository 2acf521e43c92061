"""Files that lie elsewhere than CAPIO_DIR does, for held programs: who may not follow their link, or makes one, is given the file itself."""

import errno
import os
import struct
from contextlib import suppress

from wrp.capio.seccomp import kernel

GIVEN = -1                      # instead of an errno: the call has its answer
_MODE_AT = {"open": 2, "creat": 1, "openat": 3}


def make(listener, waits, wait, request, there):
    """End an open that makes a file with the file, made as `there`, and then its name, a link. The errno that it ends with, GIVEN, or 0: it goes on, as somebody
    was quicker with the name, or descriptors can't be given here."""
    try:
        mode = _mode(wait.notice) & ~_umask(wait.notice.thread)
        file = os.open(there, request.flags | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return error.errno
    except struct.error:            # its argument is no address, or the thread is gone
        return errno.EFAULT
    try:
        os.fchmod(file, mode)
        os.symlink(there, request.path)
    except OSError as error:
        os.close(file)
        os.unlink(there)
        return 0 if isinstance(error, FileExistsError) else error.errno
    if _gave(listener, waits, wait, request, file):
        return GIVEN
    for name in (request.path, there):
        with suppress(OSError):
            os.unlink(name)
    return 0


def follow(listener, waits, wait, request, there):
    """End an open that follows no links with the file that the path's leads to; as `make`."""
    try:
        file = os.open(there, request.flags & ~(os.O_CREAT | os.O_EXCL) | os.O_CLOEXEC)
    except OSError as error:
        return error.errno
    return GIVEN if _gave(listener, waits, wait, request, file) else 0


def _gave(listener, waits, wait, request, file):
    try:
        with waits.answering(wait) as notice:
            kernel.give(listener, notice, file, None, request.flags & os.O_CLOEXEC)
        return True
    except OSError:
        return False
    finally:
        os.close(file)


def _mode(notice):
    place = _MODE_AT.get(notice.what)
    return (notice.arguments[place] if place is not None else kernel.word(notice.thread, notice.arguments[2] + 8)) & 0o7777


def _umask(thread):
    with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1], 8) for line in file if line.startswith("Umask"))
