"""The per-user folder that named segments lie in, and the paths of their names."""
import os
import re
import stat
import tempfile

from wrp.errors import StoreError, UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UNFINISHED = re.compile(r".*\.(\d+)\.new")


def folder():
    """The path of this user's folder of shared memory, made if need be; StoreError where it can't be trusted.

    WRP_SHM_DIR names another one, for instance a file system of huge pages.
    """
    path = _place()
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(f"Cannot make the folder of shared memory {path}: {error.strerror}; "
                         "set WRP_SHM_DIR to a folder that you can write.") from error
    _trusted(path)
    return path


def found_folder():
    """The same, None where it wasn't made yet."""
    path = _place()
    if not os.path.lexists(path):
        return None
    _trusted(path)
    return path


def _place():
    parent = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()
    return os.environ.get("WRP_SHM_DIR") or os.path.join(parent, f"wrp-{os.getuid()}")


def _trusted(path):
    """Refuse a folder that others could have made or can write: anybody may make names in /dev/shm."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StoreError(f"{path} is not a folder that only you can use (mode 0700); remove it or set WRP_SHM_DIR.")


def path(name):
    """The path of the segment `name`; UsageError for a name that isn't 1 to 128 letters, digits, '.', '_' and '-'."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} can't name a segment: use letters, digits, '.', '_' and '-', beginning with a "
                         "letter or digit, at most 128.")
    if maker_of_unfinished(name):
        raise UsageError(f"{name!r} can't name a segment: names that end in .NUMBER.new are those of segments that aren't complete yet.")
    return os.path.join(folder(), name)


def maker_of_unfinished(name):
    """The pid of the process that makes the segment of this file, or 0 for a file of a segment that is complete."""
    found = _UNFINISHED.fullmatch(name)
    return int(found[1]) if found else 0
