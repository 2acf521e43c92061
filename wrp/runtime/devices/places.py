"""What can be said of a device by the text that names its place: a file's path, or the address of a set of members. Makes none."""

import os
from contextlib import suppress

from wrp.runtime.devices.safe import layout
from wrp.runtime.devices.safe.device import reader


def kind_of(path):
    """"file" or "safe"."""
    return "safe" if layout.is_address(path) else "file"


def is_there(path):
    """True when somebody has made it, and all, or some member, of it is there."""
    return any(map(os.path.exists, _files(path)))


def nbytes_of(path):
    """Bytes that it has room for or, of a file, that were leased; 0 where it isn't there. StoreError, OSError."""
    if not is_there(path):
        return 0
    if kind_of(path) == "file":
        return os.path.getsize(path)
    array = reader(path)
    array.close()
    return array.label.capacity


def open_reader(path):
    """Something with `read(offset, view)` and `close()`, for a place that isn't a file's. Raises StoreError."""
    return reader(path)


def folder_of(path):
    """A folder of the file system that it lies in, "" where there is none."""
    files = [file for file in _files(path) if not file.startswith("ram::")]
    return os.path.dirname(files[0]) if files else ""


def remove(path):
    """Take it away, as far as that can be."""
    for file in _files(path):
        with suppress(OSError):
            os.unlink(file)


def _files(path):
    return layout.parsed(path)[0] if kind_of(path) == "safe" else [path]
