"""A device in one file, written and read at offsets. The file grows as space is leased."""

import errno
import os

from wrp.comm import inside
from wrp.comm.lasting import sync_names
from wrp.comm.refusals import is_refusal
from wrp.comm.streaming import address_of
from wrp.errors import OutOfSpace, StoreError, UsageError
from wrp.runtime.devices.device import Device
from wrp.runtime.devices.held import HeldDevice

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_FALLOCATE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_PIECE = 1 << 30                # one call moves less than 2 GiB


class FileDevice(HeldDevice):
    """Every process of the node opens the file itself. Raises StoreError when it can't be opened, OSError naming it later."""

    kind = "file"
    align = 4096
    first, unit = 4 << 20, 64 << 20

    def __init__(self, node, pool, name, path, read_only=False):
        super().__init__(node, pool, name)
        self.path = os.fspath(path)
        self._read_only = read_only
        flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
        try:
            self.descriptor = self._opened(flags)
        except OSError as error:
            if not is_refusal(error):
                raise
            raise StoreError(f"file {self.path} of device {name!r} can't be opened: {error.strerror}; check the path and its permissions") from error
        self.direct = self._opened_direct(flags) if self.facts["direct_alignment"] else -1
        self._hold(_close, self.descriptor, self.direct)

    def _opened(self, flags):
        """The descriptor; what lasts has its name on storage when the file is made."""
        try:
            return os.open(self.path, flags & ~os.O_CREAT | os.O_CLOEXEC)
        except FileNotFoundError:
            if self._read_only:
                raise
        descriptor = os.open(self.path, flags | os.O_CLOEXEC, 0o666)
        try:
            if self._lasts:
                sync_names(os.path.dirname(os.path.abspath(self.path)))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @property
    def _lasts(self):
        return self.facts["persistence_level"] == "long_term"

    def _opened_direct(self, flags):
        """Descriptor past the page cache, -1 where the file system has no such thing."""
        try:
            return os.open(self.path, flags & ~os.O_CREAT | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as error:
            if not is_refusal(error):
                raise
            return -1

    def _is_unused(self):
        # a descriptor that is closed is the next file's, which would get the bytes
        return inside.wait_out(self._node.segment)

    def _lease_more(self, size):
        if self._read_only:
            raise UsageError(f"file device {self.path} was opened for reading only: nothing can be leased in it")
        return super()._lease_more(size)

    def write(self, offset, data):
        """Write all of `data` (bytes-like, contiguous) at the offset."""
        self._move(os.pwrite, memoryview(data).cast("B") if len(data) else memoryview(b""), offset)

    def read(self, offset, out):
        """Fill `out` (writable bytes-like, contiguous) from the offset; OSError when the file ends before that."""
        self._move(_pread, memoryview(out).cast("B") if len(out) else memoryview(bytearray()), offset)

    def _move(self, call, view, offset):
        """All bytes of the view, by calls (descriptor, piece, offset) -> bytes moved."""
        self._check_range(offset, len(view))
        while view:
            count = self._tried(call, view[:_PIECE], offset, descriptor=self._past_the_cache(view, offset))
            if count == 0:
                raise OSError(errno.EIO, f"the file ends before byte {offset + len(view)}", self.path)
            view, offset = view[count:], offset + count

    def sync(self):
        """What this node wrote is on storage when it returns, where the device's persistence is long_term."""
        self._check_open()
        if not self._read_only and self._lasts:
            self._tried(os.fdatasync)

    def _past_the_cache(self, view, offset):
        """The descriptor past the page cache where buffer, place and size are aligned for it, else None."""
        if self.direct < 0:
            return None
        return None if (offset | len(view) | address_of(view)) & (self.facts["direct_alignment"] - 1) else self.direct

    def _tried(self, call, *args, descriptor=None):
        try:
            return call(self.descriptor if descriptor is None else descriptor, *args)
        except OSError as error:
            if error.errno == errno.EINVAL and descriptor is not None:      # the storage wants another alignment
                return self._tried(call, *args)
            if not is_refusal(error):
                raise
            raise OSError(error.errno, os.strerror(error.errno), self.path) from error

    def _back(self, offset, nbytes):
        try:
            os.posix_fallocate(self.descriptor, offset, nbytes)
        except OSError as error:
            if not is_refusal(error):
                raise
            if error.errno in _NO_ROOM:
                raise OutOfSpace(f"the file system of {self.path} has no room for it ({error.strerror})") from error
            if error.errno not in _NO_FALLOCATE:
                raise OSError(error.errno, os.strerror(error.errno), self.path) from error
            # the leased bytes are ours, so the last of them may be set; cutting the file to a length could lose another rank's
            self._tried(os.pwrite, b"\0", offset + nbytes - 1)


def _pread(descriptor, piece, offset):
    return os.preadv(descriptor, [piece], offset)


def _close(*descriptors):
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)
