"""Slips: memory in a daemon's segment that an attached process has leased, in which its calls and their answers lie. What lies there is link.py's."""

import time
from collections import deque
from contextlib import contextmanager

from wrp.comm import atomics
from wrp.comm.sizes import format_size
from wrp.comm.streaming import address_of
from wrp.cte.served import place
from wrp.errors import OutOfSpace, WrpError
from wrp.runtime import bdev

SMALL, LARGE = 128 << 10, 2 << 20
_KEPT = {SMALL: 32, LARGE: 2}       # of a process
_WITHOUT_GIL = 32 << 10        # from this size on a copy lets other threads run
_NAP_S = 0.01


class Slips:
    """Those of one process, with one daemon. Any thread. What is leased is free again when the process leaves or dies, and no task of its has it in hand."""

    def __init__(self, attached):
        self._segment, self._timeout_s = attached.segment, attached.timeout_s
        self._pool = attached.pool(place.CALLS)
        self._base = atomics.load(self._pool._slot.params + bdev.BASE)
        self._free = {size: deque() for size in _KEPT}

    @contextmanager
    def taken(self, size):
        """A Slip of SMALL or LARGE bytes. It isn't used again where the block raises: the daemon may still have it in hand."""
        try:
            slip = self._free[size].pop()
        except IndexError:
            slip = self._leased(size)
        yield slip
        if len(self._free[size]) < _KEPT[size]:
            self._free[size].append(slip)
        else:
            self._pool.call(bdev.FREE_BLOCKS, slip.place, size)

    def close(self):
        """Give back what no call has in hand."""
        for size, slips in self._free.items():
            while slips:
                self._pool.call(bdev.FREE_BLOCKS, slips.pop().place, size)

    def _leased(self, size):
        deadline = time.monotonic() + self._timeout_s
        while True:
            reply = self._pool.call(bdev.ALLOCATE_BLOCKS, size, size, 0)
            if reply.code == 0:
                return self._backed(reply.values[0], size)
            if reply.code not in (bdev.NO_SPACE, bdev.TABLE_FULL):
                raise WrpError(f"memory for a call of the daemon's store can't be leased: pool {place.CALLS!r} answers {reply.code}")
            if time.monotonic() >= deadline:
                raise OutOfSpace(f"the {format_size(place.CALLS_NBYTES)} for calls of the daemon's store have no {format_size(size)} for this process within "
                                 f"{self._timeout_s:g} s: fewer attached programs, or fewer threads of theirs, at once")
            time.sleep(_NAP_S)

    def _backed(self, start, size):
        try:
            self._segment.reserve(self._base + start, size)
        except OutOfSpace:
            self._pool.call(bdev.FREE_BLOCKS, start, size)
            raise
        begin = self._base + start
        return Slip(start, self._segment.buffer[begin:begin + size], self._segment.address + begin)


class Slip:
    """`place`: its offset in the device; `view`: its bytes, writable."""

    __slots__ = ("place", "view", "_address")

    def __init__(self, place, view, address):
        self.place, self.view, self._address = place, view, address

    def write(self, at, data):
        """Copy bytes to this place in the slip."""
        if len(data) < _WITHOUT_GIL:
            self.view[at:at + len(data)] = data
        else:
            atomics.copy(self._address + at, address_of(data), len(data))

    def read(self, out):
        """Fill `out`, bytes that nobody looks at yet, from the beginning of the slip."""
        if len(out) < _WITHOUT_GIL and not out.readonly:
            out[:] = self.view[:len(out)]
        else:
            atomics.copy(address_of(out), self._address, len(out))
