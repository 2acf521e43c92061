"""The tiers of a store on one node: its ram over its data files, and where new bytes go. No names and no records here.

Target 0 is the node's ram. Target k >= 1 is data file k-1 of the folder; node n of a job allocates in the files k with
(k-1) % nodes == n, and reads all of them.
"""

import errno
import os
from collections import deque
from contextlib import contextmanager

from wrp.comm.checksum import crc32
from wrp.comm.sizes import format_size
from wrp.comm.streaming import address_of, copy_checked
from wrp.cte.blocks import LARGEST, Blocks
from wrp.cte.records import RAM
from wrp.cte.telemetry.counters import Counters
from wrp.errors import Corrupt, OutOfSpace, StoreError, WrpError

PIECE = 4 << 20                 # an extent is at most this long
_LEAST_FILE = 4096              # a store on a full disk opens too: what it holds can be read and destroyed


class Tiers:
    """Devices by target number. Making and closing it is collective over the ranks of the node."""

    def __init__(self, runtime, folder, sizes):
        self._runtime = runtime
        self._folder = folder
        self._readers = {}
        self._owned = {}
        self.away = deque()                         # extents of other nodes' files that are free now
        self.make_room = lambda nbytes: False       # set by the store: frees ram, True when some came back
        self.ram = runtime.device("ram", "ram", sizes.ram) if sizes.ram else None
        self.ram_bytes, self.ram_address, self.blocks = None, 0, None
        self.counters = Counters(0, 0)              # set at opening: counts what pieces.py reads and writes
        if folder is not None and folder.write:
            self._own_files(runtime.ranks, sizes.file)

    def _own_files(self, ranks, capacity):
        mine = [number for number in range(self._folder.header["files"]) if number % ranks.nodes == ranks.node]
        for number in mine:
            path = self._folder.data_path(number)
            self._owned[number + 1] = self._runtime.device(f"file{number}", "file", max(capacity // len(mine), _LEAST_FILE), path)

    def cut(self, at, timeout_s):
        """Let the ram be cut into blocks; their tables lie at the address `at`. Before any lease."""
        if self.ram is not None:
            self.ram_bytes = self.ram.view(0, self.ram.capacity)
            self.ram_address = address_of(self.ram_bytes)
            self.blocks = Blocks(at, self.ram, timeout_s)

    @property
    def has_files(self):
        return bool(self._owned)

    def owns(self, target):
        """True when this node gives out the space of the target."""
        return target == RAM or target in self._owned

    def owner(self, target):
        """Number of the node that gives out the space of a file."""
        return (target - 1) % self._runtime.ranks.nodes

    def device(self, target):
        return self.ram if target == RAM else self._owned[target]

    def claim(self, target, runs):
        """Take runs, int64 array (n, 2) of (offset, nbytes), out of the target's free space. Once, before any lease."""
        self.device(target).claim(runs)

    def lease(self, nbytes, durable):
        """(target, offset) of new space: ram first, or a file when it must be durable or ram is full.

        Raises OutOfSpace naming every tier that has no room.
        """
        refusals = []
        for target, device in self._candidates(durable):
            try:
                with self._named_errors():
                    return target, self._lease(target, device, nbytes)
            except OutOfSpace as error:
                refusals.append(str(error))
        where = "the store in memory" if self._folder is None else f"store {self._folder.path}"
        advice = "" if self._folder is None else "make room on its disk, choose another folder, or "
        raise OutOfSpace(f"{where}: no tier has room for {format_size(nbytes)}: " + "; ".join(refusals or ["it has no tier that fits"])
                         + f" ({advice}raise capacity_limit of its tiers where the configuration sets one)")

    def lease_run(self, nbytes):
        """Offset of one run of ram, however long. Raises OutOfSpace."""
        return self._lease(RAM, self.ram, nbytes)

    def _lease(self, target, device, nbytes):
        if target != RAM:
            return device.lease(nbytes)
        try:
            return self._lease_ram(nbytes)
        except OutOfSpace:
            if not self.blocks.shrink() and not self.make_room(nbytes):
                raise
        try:
            return self._lease_ram(nbytes)
        except OutOfSpace:
            if not self.make_room(nbytes):
                raise
            self.blocks.shrink()
            return self._lease_ram(nbytes)

    def _lease_ram(self, nbytes):
        """A block when it is small; where there is no page for its size, a piece of just that size may be left."""
        if nbytes <= LARGEST:
            try:
                return self.blocks.take(nbytes)
            except OutOfSpace:
                pass
        return self.ram.lease(nbytes)

    def describe(self):
        """(number, name, kind, capacity, free bytes) of every target that this node gives out space of."""
        found = [(RAM, "ram")] if self.ram is not None else []
        found += [(target, f"file{target - 1}") for target in self._owned]
        return [(target, name, "file" if target else "ram", self.device(target).capacity, self.free(target)) for target, name in found]

    def free(self, target):
        """Bytes of the target that this process could still have."""
        return self.device(target).free + (self.blocks.unused if target == RAM else 0)

    def _candidates(self, durable):
        if self.ram is not None and not durable:
            yield RAM, self.ram
        yield from self._owned.items()

    def give_back(self, extents):
        """Give the space of extents back; that of other nodes' files waits in `away` for whoever tells them."""
        for extent in extents:
            target, offset, nbytes, _ = extent
            if target == RAM and self.blocks.give(offset):
                continue
            if self.owns(target):
                self.device(target).give_back(offset, nbytes)
            else:
                self.away.append(extent)

    def view(self, target, offset, nbytes):
        """The bytes themselves when they lie in ram (writable memoryview), else None."""
        return self.ram.view(offset, nbytes) if target == RAM else None

    def write(self, target, offset, data):
        """Raises OutOfSpace when the disk has no room after all, StoreError when it can't be written."""
        with self._named_errors():
            self.device(target).write(offset, data)

    def read(self, target, offset, out):
        """Fill `out` (writable, contiguous) from the target; Corrupt when the file is shorter than its records say."""
        if target == RAM:
            self.ram.read(offset, out)
            return
        view = memoryview(out).cast("B")
        descriptor = self._reader(target)
        while view:
            count = os.preadv(descriptor, [view], offset)
            if count == 0:
                raise Corrupt(f"{self._folder.data_path(target - 1)} ends before byte {offset + len(view)}: the store's data file was cut")
            view, offset = view[count:], offset + count

    def load(self, extent, out):
        """Fill `out` with a whole extent; the crc32 of its bytes."""
        target, offset, nbytes, _ = extent
        if target == RAM:
            return copy_checked(address_of(out), self.ram_address + offset, nbytes)
        self.read(target, offset, out)
        return crc32(out)

    def _reader(self, target):
        if target not in self._readers:
            path = self._folder.data_path(target - 1)
            try:
                opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise StoreError(f"the store's data file {path} can't be opened: {error.strerror}") from error
            if self._readers.setdefault(target, opened) != opened:
                os.close(opened)            # another thread was quicker
        return self._readers[target]

    def sync(self):
        """What was written to this node's files is durable when it returns."""
        with self._named_errors():
            for device in self._owned.values():
                device.sync()

    @contextmanager
    def _named_errors(self):
        """An error of the operating system becomes a sentence about the store."""
        try:
            yield
        except OSError as error:
            if isinstance(error, WrpError):
                raise
            kind = OutOfSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
            raise kind(f"store {self._folder.path}: {error.filename} can't be written: {error.strerror}; what this call promised is not kept") from error

    def close(self):
        """Close the reading side and let go of the ram; the runtime closes the devices."""
        self.ram_bytes = None
        for descriptor in self._readers.values():
            os.close(descriptor)
        self._readers.clear()
