"""SafeDevice: an Array with the leasing of devices, and the calls that change its members. Rows and members are array.py's and roster.py's."""

import ctypes
import errno
import os
import threading
from contextlib import contextmanager

from wrp.comm import atomics
from wrp.comm.refusals import is_refusal
from wrp.comm.reserve import release
from wrp.errors import StoreError, WaitTimeout
from wrp.runtime import bdev
from wrp.runtime.devices.held import HeldDevice
from wrp.runtime.devices.safe import board as boards
from wrp.runtime.devices.safe import opening, recovery, seen, widening
from wrp.runtime.devices.safe.layout import BLOCK_ROWS, PAGE, ZONE, Groups, entry_place, member_nbytes, parsed, rows_in
from wrp.runtime.devices.safe.member import RAM, FileMember, RamMember

_REGION_ALIGN = 4096


class SafeDevice(HeldDevice):
    """path : the set's address (layout.py); array : the one of who has made it, on that process

    What any `failures` of the members held can be read and written without them. Every process of the node opens the members itself.
    """

    kind = "safe"
    align = 4096
    first, unit = 4 << 20, 64 << 20

    def __init__(self, node, pool, name, path, array=None):
        self._params = pool._slot.params
        super().__init__(node, pool, name)
        self.path = path
        if array is None:
            at, _ = node.segment.find(_region(name, "board"))
            board = boards.Board(node.address + at, self._counters, node.timeout_s)
            array = opening.joined(parsed(path)[0], opener(node.segment, name, self.capacity, path), board, self.facts["persistence_level"] == "long_term")
        self._array = array
        self._idle, self._users = threading.Condition(), 0
        array.board.join()
        self._hold(array.close)

    @property
    def capacity(self):
        """Bytes; other members change it. That at the last look where the runtime is closed."""
        if self._node.is_open:
            self._capacity = atomics.load(self._params + bdev.CAPACITY)
        return self._capacity

    @capacity.setter
    def capacity(self, value):
        self._capacity = value

    @property
    def _counters(self):
        return self._extents - bdev.FACTS_NBYTES + bdev.UNDER_WAY

    def write(self, offset, data):
        """Write all of `data` (bytes-like, contiguous) at the offset: the parity, too, when it returns. StoreError when too many members fail."""
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        self._check_range(offset, len(view))
        self._array.write(offset, view)

    def read(self, offset, out):
        """Fill `out` (writable bytes-like, contiguous) from the offset; Corrupt where more chunks of a row are damaged or gone than may be."""
        view = memoryview(out).cast("B") if len(out) else memoryview(bytearray())
        self._check_range(offset, len(view))
        self._array.read(offset, view)

    def sync(self):
        """What this node wrote is on storage when it returns, where the device's persistence is long_term."""
        self._check_open()
        if self._array.syncs:
            self._array.sync()

    # members

    @property
    def stats(self):
        """seen.state: "members", those that "failed" (are out) and, of these, are "recovering"; how many more may be lost ("parity_level"); "dirty_rows": being written;
        chunks "recovered" and "lost"; rows of recoveries ("recovery_ops_..."); and of the labels "generation", "groups"."""
        self._check_open()
        self._array.refresh()
        label = self._array.label
        return {**seen.state(self._array.board), "generation": label.generation, "groups": [(first, len(members)) for first, members in label.groups]}

    def recover(self, member, path=None, timeout_s=None, tick=lambda: None):
        """Rebuild a member (its number, or path) that is out onto the file at its path, or at another: how many chunks. Any process; others go on.

        timeout_s : without any row done; None: the runtime's. After that, or Ctrl-C, it goes on all the same: see `stats`
        tick : called when some more rows are done
        """
        return self._change(bdev.RECOVER_BDEV, path or "", self._number(member), timeout_s, tick)[0]

    def add(self, path):
        """One more data member: rows behind those in use have a column more. Nothing moves."""
        self._change(bdev.ADD_BDEV, path)

    def remove(self, member):
        """A data member on which no row lies is one no more; its file is cut to nothing, its memory given back."""
        self._change(bdev.REMOVE_BDEV, "", self._number(member))

    def build_parity(self, timeout_s=None):
        """Read all rows, mend what is damaged, make parity anew where it doesn't fit: a recovery.Mended."""
        return recovery.Mended(*self._change(bdev.BUILD_PARITY, "", 0, timeout_s))

    def _number(self, member):
        self._check_open()
        self._array.refresh()
        if not isinstance(member, int) and (not member or member not in self._array.label.paths):
            raise StoreError(f"safe device {self.name!r} has no member {member!r}: it has {', '.join(filter(None, self._array.label.paths))}")
        return member if isinstance(member, int) else self._array.label.paths.index(member)

    def _change(self, method, text, number=0, timeout_s=None, tick=lambda: None):
        """The results of a task that changes the set; its refusal as StoreError."""
        self._check_open()
        board = self._array.board
        with board.asking.asked(text) as place:
            with board.asking.handing_over(place):
                future = self._pool.submit(method, place - self._node.segment.address, len(text.encode()), number, timeout_s=timeout_s)
            reply = future.wait(timeout_s, _coming_on(board, tick))
            if reply.code == bdev.REFUSED:
                raise StoreError(board.asking.sentence(place))
            self._check(reply.code, f"do what method {method} asks")
        return reply.values

    # what tasks ask of the process that serves them

    def move(self, writes, offset, address, nbytes):
        """Copy from or to memory at an address; any thread."""
        view = memoryview((ctypes.c_char * nbytes).from_address(address)).cast("B")
        with self._in_use():
            self.write(offset, view) if writes else self.read(offset, view)

    def act(self, method, address, nbytes, number):
        """Do what a method other than read, write and sync asks: up to four results. The sentence of a refusal is written to the board."""
        with self._array.board.asking.answering(address), self._in_use():
            return self._acted(method, address, nbytes, number)

    def _acted(self, method, address, nbytes, number):
        array, open_member = self._array, opener(self._node.segment, self.name, self.capacity, self.path)
        if method == bdev.REMOVE_BDEV:
            # where what is free begins comes in the place of a number
            return (widening.removed(array, nbytes, number),)
        text = ctypes.string_at(address, nbytes).decode()
        if method == bdev.ADD_BDEV:
            return (widening.added(array, text, number, open_member),)
        if method == bdev.RECOVER_BDEV:
            return (recovery.recover(array, number, open_member, text or None),)
        return recovery.look(array)

    @contextmanager
    def _in_use(self):
        """What a task asks for, which isn't waited for by who closes the runtime, has the members open as long as it takes."""
        with self._idle:
            self._check_open()
            self._users += 1
        try:
            yield
        finally:
            with self._idle:
                self._users -= 1
                self._idle.notify_all()

    def close(self):
        if self.is_open:
            self._lock.of(self._space)          # else its users would be counted down before that is refused
            self._array.is_ending = True
            with self._idle:
                if not self._idle.wait_for(lambda: not self._users, self._node.timeout_s):
                    raise WaitTimeout(f"safe device {self.name!r}: what was asked of it hasn't ended for {self._node.timeout_s:g} s")
                if self._array.board.leave():
                    opening.closed(self._array)
                super().close()

    close.__doc__ = HeldDevice.close.__doc__

    def _back(self, offset, nbytes):
        try:
            self._array.back(offset, nbytes)
        except OSError as error:
            if not is_refusal(error):
                raise
            raise OSError(error.errno, os.strerror(error.errno), error.filename or self.path) from error


def make_array(node, name, asked, counters):
    """The Array of a Spec on the process that makes the device. Raises StoreError, OutOfSpace."""
    paths, failures = parsed(asked.path)
    at, _ = node.segment.place(_region(name, "board"), boards.NBYTES)
    node.segment.reserve(at, boards.NBYTES)
    node.segment.buffer[at:at + boards.NBYTES] = bytes(boards.NBYTES)       # an earlier device may have had the name
    board = boards.Board(node.address + at, counters, node.timeout_s)
    board.begin_counting(failures)
    atomics.store(counters - bdev.UNDER_WAY + bdev.BOARD, at)
    return opening.opened(paths, failures, asked.capacity // SafeDevice.align * SafeDevice.align, opener(node.segment, name, asked.capacity, asked.path), board,
                          asked.persistence == "long_term")


def reader(path):
    """An Array of a set at an address, for a process that doesn't take part in the device: read-only. Raises StoreError."""
    def open_member(position, member, create):
        if member.startswith(RAM):
            raise OSError(errno.ENOENT, "memory of another process", member)
        return FileMember(member, read_only=True)
    return opening.alone(parsed(path)[0], open_member)


def opener(segment, name, capacity, path):
    """(position, path, create) -> a member of a node's device; OSError."""
    def open_member(position, member, create):
        if not member.startswith(RAM):
            return FileMember(member, create=create)
        region = _region(name, member)
        found = segment.find(region)
        if found is None and not create:
            raise OSError(errno.ENOENT, "no memory of this name", member)
        if found is None:
            paths, failures = parsed(path)
            rows = Groups([(0, range(len(paths) - failures))]).rows(capacity)
            nbytes = member_nbytes(-(-rows // ZONE) * ZONE)
            found = segment.place(region, nbytes, _REGION_ALIGN)
            found = found[0], nbytes
        at, nbytes = found
        if create:
            # entries are read before anybody has written them: one page of each block
            segment.reserve(at, member_nbytes(0))
            for row in range(0, rows_in(nbytes), BLOCK_ROWS):
                segment.reserve(at + entry_place(row), PAGE)
        return RamMember(member, segment.buffer[at:at + nbytes], lambda place, count: segment.reserve(at + place, count),
                         lambda: release(segment.address + at, nbytes))
    return open_member


def memories(segment, name, facts):
    """[(offset, bytes)] in the segment of the members in memory of the device of this name, whose facts lie at an address."""
    found = [segment.find(_region(name, member)) for member in seen.of_facts(segment.address, facts).get("members", ()) if member.startswith(RAM)]
    return [place for place in found if place is not None]


def _coming_on(board, tick):
    """Whether a recovery has done something since it was asked last; ticks then."""
    seen = board.recovery_ops

    def comes_on():
        nonlocal seen
        before, seen = seen, board.recovery_ops
        if seen == before:
            return False
        tick()
        return True
    return comes_on


def _region(name, what):
    return f"bdev.{name}.{what}"
