"""Bytes of a node's targets: written to leased space, read from any target of the store, made durable. No names of blobs."""

import errno
import os
import time

from wrp.comm.digests import crc32_of
from wrp.comm.refusals import is_refusal
from wrp.comm.streaming import address_of, copy_checked
from wrp.cte.folder.ahead import begin_sync
from wrp.cte.records import RAM
from wrp.cte.targetnumbers import is_durable, kind_of, node_of
from wrp.errors import Corrupt, OutOfSpace, StoreError
from wrp.runtime.devices import places

_DAMAGED = (errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.ENODATA)       # of a read: the storage has these bytes no more
_AHEAD = 256 << 20              # bytes after a flush with which the storage begins before the next one asks for it; who doesn't flush again writes to the page cache only


class Content:
    """See tiers.Tiers."""

    def view(self, target, offset, nbytes):
        """The bytes themselves when they lie in ram (writable memoryview), else None."""
        return self.ram.view(offset, nbytes) if target == RAM else None

    def content(self, extent):
        """The bytes of an extent that isn't in a data file: those in ram of this node themselves, others copied."""
        target, offset, nbytes, _ = extent
        if kind_of(target) == "ram" and self.owns(target):
            return self.device(target).view(offset, nbytes)
        found = bytearray(nbytes)
        self.read(target, offset, found)
        return memoryview(found)

    def write(self, target, offset, data):
        """Raises OutOfSpace when the disk has no room after all, StoreError when it can't be written."""
        start = time.perf_counter_ns()
        try:
            self._devices[target].write(offset, data)
        except OSError as error:
            raise named(error, self.where) from error
        self.pace.wrote(target, memoryview(data).nbytes, time.perf_counter_ns() - start)

    def written(self, target, offset, nbytes, ns):
        """A kernel wrote them, in so long."""
        self.pace.wrote(target, nbytes, ns)
        self.begin_sync(target, offset, nbytes)

    def unwritten(self, target, code):
        """What to raise for bytes that a kernel couldn't write, with this errno."""
        return named(OSError(code, os.strerror(code), self._devices[target].path), self.where)

    def expect_flush(self):
        """Another flush comes soon: the storage may begin at once with what is written to files that last."""
        self._ahead = _AHEAD

    def begin_sync(self, target, offset, nbytes):
        """It begins with these bytes where that is so."""
        if self._ahead > 0 and is_durable(target):
            self._ahead -= nbytes
            begin_sync(self.device(target).descriptor, offset, nbytes)

    def read(self, target, offset, out):
        """Fill `out` (writable, contiguous) from the target; Corrupt when the file is shorter than its records say, or its storage has lost them.

        StoreError for a target that keeps nothing, or doesn't answer.
        """
        if node_of(target) is not None:
            self.read_elsewhere(node_of(target), offset, out)
            return
        if not is_durable(target):
            if kind_of(target) == "noop":
                raise StoreError(f"these bytes were put to the target {self._wanted[target].name!r} of kind noop, which forgets what it is given")
            self._read_scratch(target, offset, out)
            return
        view = memoryview(out).cast("B")
        nbytes, start = len(view), time.perf_counter_ns()
        carried = self._folder.astray.get((target, offset, nbytes))
        if carried is not None:
            view[:] = carried
            return
        if places.kind_of(self._folder.data_path(target - 1)) != "file":
            try:
                self._device_to_read(target).read(offset, view)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENODATA):
                    raise Corrupt(f"{self._folder.data_path(target - 1)} has no bytes {offset} to {offset + nbytes}: {error.strerror or error}") from error
                raise _unread(self._folder.data_path(target - 1), error) from error
            self.pace.read(target, nbytes, time.perf_counter_ns() - start)
            return
        descriptor = self._reader(target)
        while view:
            try:
                count = os.preadv(descriptor, [view], offset)
            except OSError as error:
                raise _unread(self._folder.data_path(target - 1), error, _DAMAGED) from error
            if count == 0:
                raise Corrupt(f"{self._folder.data_path(target - 1)} ends before byte {offset + len(view)}: the store's data file was cut")
            view, offset = view[count:], offset + count
        self.pace.read(target, nbytes, time.perf_counter_ns() - start)

    def _read_scratch(self, target, offset, out):
        start = time.perf_counter_ns()
        try:
            self.device(target).read(offset, out)
            self.pace.read(target, memoryview(out).nbytes, time.perf_counter_ns() - start)
        except OSError as error:
            if is_refusal(error) and (target in self._gone or target in self._leaving):         # who removes it gives the disk its space back first
                raise Corrupt(f"these bytes lay on the target {self._wanted[target].name!r}, which was removed, or is about to be") from error
            raise _unread(self._wanted[target].name, error, _DAMAGED) from error

    def load(self, extent, out):
        """Fill `out` with a whole extent; the crc32 of its bytes."""
        target, offset, nbytes, _ = extent
        if target == RAM:
            return copy_checked(address_of(out), self.ram_address + offset, nbytes)
        self.read(target, offset, out)
        return crc32_of(out)

    def _reader(self, target):
        found = self._readers.get(target)
        if found is None:
            path = self._folder.data_path(target - 1)
            try:
                opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise StoreError(f"the store's data file {path} can't be opened: {error.strerror}") from error
            found = self._readers.setdefault(target, opened)
            if found != opened:             # another thread was quicker
                os.close(opened)
            elif not self._folder.astray:   # what lies in journals only is found above
                self.open_files.show(target, found)
        return found

    def _device_to_read(self, target):
        """The node's own device; one to read from where another node, or nobody, has it."""
        if self.owns(target):
            return self.device(target)
        found = self._other_readers.get(target)
        if found is None:
            opened = places.open_reader(self._folder.data_path(target - 1))
            found = self._other_readers.setdefault(target, opened)
            if found is not opened:
                opened.close()
        return found

    def sync(self, targets=None):
        """What was written to this node's files, or to those of these numbers, is durable when it returns."""
        for target in self._own(targets):
            start = time.perf_counter_ns()
            try:
                self._devices[target].sync()
            except OSError as error:
                raise named(error, self.where) from error
            self.pace.wrote(target, 0, time.perf_counter_ns() - start)

    def check_not_lost(self, targets=None):
        """StoreError when one of this node's files, or of those of these numbers, is lost for now: a sync of it may never end."""
        for target in self._own(targets):
            if target in self._lost:
                raise StoreError(f"store {self._folder.path}: target {self.said(target)!r} is lost for now: {self._lost[target]}; what this call promised is not kept")

    def _own(self, targets):
        """Numbers of this node's data files, None: of all, else of those among these."""
        return [number for number in self._devices if is_durable(number) and (targets is None or number in targets)]

    def close(self):
        """Close the reading side and let go of the ram; the runtime closes the devices."""
        self.ram_bytes = self.ram_array = None
        self.open_files.hide()
        while self._readers:            # each once, whenever a handler's error of a signal has this done again
            os.close(self._readers.popitem()[1])
        while self._other_readers:
            self._other_readers.popitem()[1].close()


def named(error, where):
    """What to raise for an OSError, itself where it says what it should, or is no refusal."""
    if not is_refusal(error):
        return error
    kind = OutOfSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
    return kind(f"{where}: {error.filename} can't be written: {error.strerror}; what this call promised is not kept")


def _unread(path, error, damaged=()):
    """What to raise for an OSError of a read, itself where it is no refusal: Corrupt where its number is among `damaged`."""
    if not is_refusal(error):
        return error
    return (Corrupt if error.errno in damaged else StoreError)(f"{path} can't be read: {error.strerror or error}")
