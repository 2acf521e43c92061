"""What can be said of a device by the text that names its place: a file's path, the URL of a bucket, or the address of a set of members. Makes none."""

import os
from contextlib import suppress

from wrp.comm.refusals import tolerant
from wrp.errors import WrpError
from wrp.runtime.config.kinds import is_url
from wrp.runtime.devices import objects
from wrp.runtime.devices.safe import layout
from wrp.runtime.devices.safe.device import reader
from wrp.runtime.devices.safe.seen import state


def kind_of(path):
    """"file", "object" or "safe"."""
    return "safe" if layout.is_address(path) else "object" if is_url(path) else "file"


def is_there(path):
    """True when somebody has made it, and all, or some member, of it is there."""
    return objects.Bucket(path).find() if kind_of(path) == "object" else any(map(os.path.exists, _files(path)))


def nbytes_of(path):
    """Bytes that it has room for or, of a file, that were leased; 0 where it isn't there. StoreError, OSError."""
    if not is_there(path):
        return 0
    if kind_of(path) == "file":
        return os.path.getsize(path)
    if kind_of(path) == "object":
        return objects.opened(path).header["capacity"]
    array = reader(path)
    array.close()
    return array.label.capacity


def open_reader(path):
    """Something with `read(offset, view)` and `close()`, for a place that isn't a file's. Raises StoreError."""
    return objects.opened(path) if kind_of(path) == "object" else reader(path)


def state_of(path):
    """How a safe device is, as far as its members' labels say (`safe.seen.state`): what a process that has it open counts isn't there. {} of other kinds. StoreError."""
    if kind_of(path) != "safe":
        return {}
    array = reader(path)
    array.close()
    return state(array.board)


def folder_of(path):
    """A folder of the file system that it lies in, "" where there is none."""
    files = _files(path)
    return os.path.dirname(files[0]) if files else ""


def remove(path):
    """Take it away, as far as that can be."""
    if kind_of(path) == "object":
        with suppress(OSError, WrpError):
            objects.Bucket(path).remove()
    for file in _files(path):
        with tolerant():
            os.unlink(file)


def _files(path):
    return layout.parsed(path)[0] if kind_of(path) == "safe" else [path] if kind_of(path) == "file" else []
