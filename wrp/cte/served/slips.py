"""Slips: memory in a daemon's segment that an attached process has leased, in which its calls and their answers lie. What lies there is link.py's."""

import time
from collections import deque
from contextlib import contextmanager, nullcontext, suppress

from wrp.comm import atomics
from wrp.comm.extents import extents_free
from wrp.comm.sizes import format_size
from wrp.comm.streaming import address_of
from wrp.cte.served import place
from wrp.cte.served.ends import Gone
from wrp.cte.served.looking import Looking
from wrp.cte.served.lost import Lost
from wrp.errors import OutOfSpace, RuntimeGone, WrpError
from wrp.runtime import bdev

SMALL, LARGE = 128 << 10, 2 << 20
_KEPT = {SMALL: 32, LARGE: 2}       # of a process, while there is plenty for others
_PLENTY = place.CALLS_NBYTES // 2
_BEGIN = {SMALL: place.CALLS_NBYTES // 4 * 3, LARGE: 0}     # where they are looked for first: between small ones there may be no room for a large one
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
        self._extents = self._segment.address + atomics.load(self._pool._slot.params + bdev.EXTENTS)
        self._free, self._lost = {size: deque() for size in _KEPT}, Lost(attached, pool, forsake)
        self._looking = Looking(self._look)

    @contextmanager
    def taken(self, size, call="", waits=True):
        """A Slip of SMALL or LARGE bytes, for the call of this name. Where the block raises it isn't used again before the daemon has it in hand no more.

        waits : False: None where there is none at once. Who has one doesn't wait for another: all might wait for each other
        """
        self._find()
        began = atomics.now_ns()
        slip = self._leased(size, waits)
        if slip is None:
            yield None
            return
        # a signal's handler may raise its error where something is called: the slip is always in somebody's hand there
        try:
            yield slip
            is_kept = self._is_kept(size)
        except BaseException:
            self._lost.add(slip, call, began)
            self._looking.begin()
            raise
        if is_kept:
            self._free[size].append(slip)
        else:
            self._give_back(slip)

    def spare(self, is_wanted=True):
        """The same of LARGE bytes for somebody who has one already; None where it isn't wanted, or others may need the memory."""
        return self.taken(LARGE, "", False) if is_wanted and (self._free[LARGE] or self._is_plenty) else nullcontext()

    @property
    def _is_plenty(self):
        return extents_free(self._extents) >= _PLENTY

    def _is_kept(self, size):
        """Whether one that is free is worth its memory for the next call."""
        return len(self._free[size]) < _KEPT[size] and self._is_plenty

    def close(self):
        """Give back what no call has in hand."""
        self.rest()
        self._find()
        for slips in self._free.values():
            while slips:
                self._give_back(slips.pop())

    def rest(self):
        """Nothing is looked for any more but in calls."""
        self._looking.stop()

    def _look(self):
        """Of a thread of its own: True while something is lost."""
        try:
            held = self._segment.buffer[:1]         # the memory stays mapped as long as somebody has this
        except (TypeError, ValueError):
            return False
        with held:
            if not self._attached.is_open:
                return False
            self._find()
            return len(self._lost) > 0

    def _find(self):
        """Take what was lost and is free again."""
        with suppress(WrpError):            # of a daemon that doesn't answer: it goes when the process leaves
            self._lost.find(self._give, self._free_at)

    def _give(self, slip):
        if self._is_kept(slip.nbytes):
            self._free[slip.nbytes].append(slip)
        else:
            self._give_back(slip)

    def _give_back(self, slip):
        """A call is done: nothing that comes now is its error."""
        began = atomics.now_ns()
        try:
            self._free_at(slip.place, slip.nbytes)
        except BaseException as error:
            if not self._lost.is_given_back(self._pool, slip, began):       # else it may be another call's by now
                self._lost.add_unused(slip)
                self._looking.begin()
            if not isinstance(error, WrpError):
                raise

    def _free_at(self, start, nbytes):
        self._pool.post(bdev.FREE_BLOCKS, start, nbytes)

    def _leased(self, size, waits):
        """One that is free, or was leased just now. See `taken`."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._free[size].pop()
            except IndexError:
                pass                        # none is free: lease one
            try:
                reply, slip = self._lease(size)
            except RuntimeGone as error:
                raise Gone(str(error)) from error
            if slip is not None:
                return slip
            if reply.code not in (bdev.NO_SPACE, bdev.TABLE_FULL):
                raise WrpError(f"memory for a call of the daemon's store can't be leased: pool {place.CALLS!r} answers {reply.code}")
            if not waits:
                return None
            if time.monotonic() >= deadline:
                raise OutOfSpace(f"the {format_size(place.CALLS_NBYTES)} for calls of the daemon's store have no {format_size(size)} for this process within "
                                 f"{self._timeout_s:g} s: fewer attached programs, or fewer threads of theirs, at once")
            time.sleep(_NAP_S)
            self._find()

    def _lease(self, size):
        """(the answer, the Slip or None)."""
        with self._attached._leasing.of("the memory for calls of the daemon's store"):      # one at a time, so that it is known whose it is that nobody has taken
            began = atomics.now_ns()
            try:
                reply = self._pool.call(bdev.ALLOCATE_BLOCKS, size, size, _BEGIN[size])
                slip = self._slip(reply.values[0], size) if reply.code == 0 else None
            except BaseException:
                self._lost.owe(self._pool, began, size)
                self._looking.begin()
                raise
        if slip is not None:
            try:
                self._segment.reserve(self._base + slip.place, size)
            except BaseException:
                self._lost.add_unused(slip)
                self._looking.begin()
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
