"""Slips: memory in a daemon's segment that an attached process has leased, in which its calls and their answers lie. What lies there is link.py's."""

import time
from collections import deque
from contextlib import contextmanager, suppress

from wrp.comm import atomics
from wrp.comm.sizes import format_size
from wrp.comm.streaming import address_of
from wrp.cte.served import place
from wrp.cte.served.lost import Lost
from wrp.errors import OutOfSpace, WrpError
from wrp.runtime import bdev

SMALL, LARGE = 128 << 10, 2 << 20
_KEPT = {SMALL: 32, LARGE: 2}       # of a process
_WITHOUT_GIL = 32 << 10        # from this size on a copy lets other threads run
_NAP_S = 0.01


class Slips:
    """Those of one process, with one daemon. Any thread. What is leased is free again when the process leaves or dies, and no task of its has it in hand.

    pool, forsake : see Lost
    """

    def __init__(self, attached, pool, forsake):
        self._attached, self._segment, self._timeout_s = attached, attached.segment, attached.timeout_s
        self._pool = attached.pool(place.CALLS)
        self._base = atomics.load(self._pool._slot.params + bdev.BASE)
        self._free, self._lost = {size: deque() for size in _KEPT}, Lost(attached, pool, forsake)

    @contextmanager
    def taken(self, size, call=""):
        """A Slip of SMALL or LARGE bytes, for the call of this name. Where the block raises it isn't used again before the daemon has it in hand no more."""
        self._find()
        began, free = atomics.now_ns(), self._free[size]
        slip = self._leased(size)
        # a signal's handler may raise its error where something is called: the slip is always in somebody's hand there
        try:
            yield slip
            is_kept = len(free) < _KEPT[size]
        except BaseException:
            self._lost.add(slip, call, began)
            raise
        if is_kept:
            free.append(slip)
        else:
            self._give_back(slip.place, slip.nbytes)

    def close(self):
        """Give back what no call has in hand."""
        self._find()
        for slips in self._free.values():
            while slips:
                slip = slips.pop()
                self._give_back(slip.place, slip.nbytes)

    def _find(self):
        """Take what was lost and is free again."""
        with suppress(WrpError):            # of a daemon that doesn't answer: it goes when the process leaves
            self._lost.find(self._give, self._give_back)

    def _give(self, slip):
        if len(self._free[slip.nbytes]) < _KEPT[slip.nbytes]:
            self._free[slip.nbytes].append(slip)
        else:
            self._give_back(slip.place, slip.nbytes)

    def _give_back(self, start, nbytes):
        self._pool.call(bdev.FREE_BLOCKS, start, nbytes)

    def _leased(self, size):
        """One that is free, or was leased just now."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._free[size].pop()
            except IndexError:
                pass                        # none is free: lease one
            reply, slip = self._lease(size)
            if slip is not None:
                return slip
            if reply.code not in (bdev.NO_SPACE, bdev.TABLE_FULL):
                raise WrpError(f"memory for a call of the daemon's store can't be leased: pool {place.CALLS!r} answers {reply.code}")
            if time.monotonic() >= deadline:
                raise OutOfSpace(f"the {format_size(place.CALLS_NBYTES)} for calls of the daemon's store have no {format_size(size)} for this process within "
                                 f"{self._timeout_s:g} s: fewer attached programs, or fewer threads of theirs, at once")
            time.sleep(_NAP_S)
            self._find()

    def _lease(self, size):
        """(the answer, the Slip or None)."""
        with self._attached._leasing:       # one at a time, so that it is known whose it is that nobody has taken
            began = atomics.now_ns()
            try:
                reply = self._pool.call(bdev.ALLOCATE_BLOCKS, size, size, 0)
                slip = self._slip(reply.values[0], size) if reply.code == 0 else None
            except BaseException:
                self._lost.owe(self._pool, began, size)
                raise
        if slip is not None:
            try:
                self._segment.reserve(self._base + slip.place, size)
            except BaseException:
                self._lost.add_unused(slip)
                raise
        return reply, slip

    def _slip(self, start, size):
        begin = self._base + start
        return Slip(start, self._segment.buffer[begin:begin + size], self._segment.address + begin)


class Slip:
    """`place`: its offset in the device; `view`: its bytes, writable, `nbytes` of them."""

    __slots__ = ("place", "view", "_address")

    def __init__(self, place, view, address):
        self.place, self.view, self._address = place, view, address

    @property
    def nbytes(self):
        return len(self.view)

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
