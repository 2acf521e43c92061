"""Files written by several processes: under a temporary name, room first, whole writes, synced, and errors that say which file."""

import errno
import os
import re
import socket
import uuid
from contextlib import contextmanager

from wrp.comm.checksum import crc32
from wrp.comm.lasting import sync_path
from wrp.errors import OutOfSpace, UsageError, WrpError

_SHOWN = 48                 # characters of the file's name in the temporary one, which may not be longer than any name
_NAMESPACE = "/proc/self/ns/pid"


def check_target(path, force):
    """UsageError when no file can be written there, or there is one and `force` is false."""
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder: name the file to write")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path} is no regular file: name another one to write")
    if os.path.exists(path) and not force:
        raise UsageError(f"{path} exists: choose another name, or replace it with --force")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder} to write {os.path.basename(path)} into")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the folder {folder} can't be written: choose another place for {os.path.basename(path)}")


@contextmanager
def aside(path, ranks):
    """A temporary name beside `path`, the same on every rank; renamed to `path` when no rank raised, else removed. Collective."""
    folder, name = os.path.split(os.path.abspath(path))
    name = name[:_SHOWN]
    with ranks.agreed(f"prepare {path}"), told(path):
        if ranks.rank == 0:
            _remove_dead(folder, name)
    own = f"{_here()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary = os.path.join(folder, f".{name}.{ranks.share(own, 'name of the export')}.part")
    try:
        yield temporary
        with ranks.agreed(f"finish {path}"), told(path):
            if ranks.rank == 0:
                os.replace(temporary, path)
                sync_path(folder)           # the rename lasts
    except BaseException:
        # any rank may be the one that is interrupted, and the job ends with it
        _remove(temporary)
        raise


def _remove_dead(folder, name):
    """Remove what earlier writers of this file, killed on this host, have left."""
    ours = re.compile(rf"\.{re.escape(name)}\.{_here()}-(\d+)-[0-9a-f]{{8}}\.part")
    for entry in os.listdir(folder):
        found = ours.fullmatch(entry)
        if found and not _is_alive(int(found[1])):
            _remove(os.path.join(folder, entry))


def _here():
    """Names the host and the pid namespace: a pid means nothing elsewhere."""
    return f"{crc32(f'{socket.gethostname()} {os.readlink(_NAMESPACE)}'.encode()):08x}"


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass                # another user's
    return True


def _remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


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
