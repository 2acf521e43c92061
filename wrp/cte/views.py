"""Views: which bytes of the node's ram somebody looks at, in shared memory, and space that is free when nobody does any more. No names of blobs.

A process owns slots until it has closed or is dead. One that names bytes holds them: who gives space back after a record has changed looks for such slots, and lets what
one names wait in a list that anybody clears later. A view names its bytes and looks then whether the record is still what it was, so one of both sees the other.
To end a view is one store, which a finalizer may make in the middle of anything. What a dead process held, nobody does: who finds that out owns the slot from then on.
"""

import os
import time
from collections import deque

import numpy as np

from wrp.comm import forking
from wrp.comm.atomics import add, exchange, load, store, swap
from wrp.comm.jit import Directly, kernel
from wrp.comm.lock import is_alive
from wrp.cte.targetnumbers import RAM

MOST = 4096                     # slots of a node; spaces that wait
_TOP, _WAITED = 0, 8            # slots that ever had an owner, rounded up; spaces that ever waited at once
_SLOTS = 64
_OWNER, _OFFSET, _HELD = 0, 8, 16       # pid, 0: nobody's; bytes that are held, none: 0
_SLOT = 32
_WAITS = _SLOTS + _SLOT * MOST
_STATE, _START, _NBYTES, _HOLDER = 0, 8, 16, 24     # the pid of who has it in hand, or one of the two below; bytes, once it says which; a slot that held them
_WAIT = 32
NBYTES = _WAITS + _WAIT * MOST
_FREE, _READY = 0, -1
_AT_ONCE = 16                   # slots that a process claims
_PAUSE_S = 1.0                  # between two looks for slots of the dead


@kernel
def view_begin(slot, offset, nbytes):
    """The slot at this address names bytes; what is loaded after that is not older."""
    store(slot + _OFFSET, offset)
    exchange(slot + _HELD, nbytes)


@kernel
def view_end(slot):
    store(slot + _HELD, 0)


@kernel
def _names(slot, offset, nbytes):
    """True when a slot names some of these bytes."""
    held = load(slot + _HELD)
    if held == 0:
        return False
    first = load(slot + _OFFSET)
    return first < offset + nbytes and offset < first + held


@kernel
def views_hold(at, offset, nbytes, start):
    """Number of the first slot from `start` on that names some of these bytes, whether its owner lives or not; -1: none."""
    for number in range(start, min(load(at + _TOP), MOST)):
        if _names(at + _SLOTS + _SLOT * number, offset, nbytes):
            return number
    return -1


@kernel
def views_wait(at, offset, nbytes, holder, pid):
    """Put space that slot number `holder` names into the list of what waits: False when it is full."""
    for number in range(MOST):
        wait = at + _WAITS + _WAIT * number
        if load(wait + _STATE) == _FREE and swap(wait + _STATE, _FREE, pid) == _FREE:
            store(wait + _START, offset)
            store(wait + _HOLDER, holder)
            store(wait + _NBYTES, nbytes)
            top = load(at + _WAITED)
            while top <= number:
                swap(at + _WAITED, top, number + 1)
                top = load(at + _WAITED)
            store(wait + _STATE, _READY)
            return True
    return False


@kernel
def views_next(at, start, pid, note):
    """Where to go on, with the offset and the bytes in a note, behind space that waited and that nobody looks at any more: the caller has it now.

    -1: there is none from number `start` on
    """
    for number in range(start, load(at + _WAITED)):
        wait = at + _WAITS + _WAIT * number
        # mostly the slot that held it still does, and no other need be looked at
        if load(wait + _STATE) != _READY or _names(at + _SLOTS + _SLOT * load(wait + _HOLDER), load(wait + _START), load(wait + _NBYTES)):
            continue
        if swap(wait + _STATE, _READY, pid) == _READY:
            offset, nbytes = load(wait + _START), load(wait + _NBYTES)
            holder = views_hold(at, offset, nbytes, 0)
            if holder < 0:
                store(wait + _NBYTES, 0)
                store(wait + _STATE, _FREE)
                store(note, offset)
                store(note + 8, nbytes)
                return number + 1
            store(wait + _HOLDER, holder)
            store(wait + _STATE, _READY)
    return -1


_kernels = Directly(next=(views_next, 4), wait=(views_wait, 5))


class Views:
    """Of one process; in zeroed shared memory at `place` of a segment (NBYTES). Any thread may use it, and any finalizer `end`."""

    def __init__(self, segment, place):
        self.at = segment.address + place
        self._words = segment.buffer[place:place + NBYTES].cast("q")
        self._pid, self._own = os.getpid(), deque()         # Slots that name nothing
        self._rest = []                                     # space for which the list had no room
        self._look_s = 0.0                                  # when to look for slots of the dead again
        forking.listen(self._leave)                         # what a child sees is its parent's to hold

    def _leave(self):
        self._words = None

    def close(self):
        """Ends of views say nothing any more; slots that name nothing are anybody's. Idempotent."""
        is_open, self._words = self._words is not None, None
        while is_open and self._own:
            store(self._own.pop().address + _OWNER, 0)

    def taken(self):
        """A Slot of this process's own that names nothing yet, or None: there is no more."""
        if not self._own:
            self._claim()
        try:
            return self._own.pop()
        except IndexError:
            return None

    def _claim(self):
        first = add(self.at + _TOP, _AT_ONCE) if load(self.at + _TOP) < MOST else MOST
        for number, owner in ((number, 0) for number in range(first, first + _AT_ONCE)) if first < MOST else self._left():
            self._take_over(number, owner)

    def _left(self):
        """[(number, owner)] of some slots whose owner is dead or has closed. Looks seldom where there were none."""
        if time.monotonic() < self._look_s:
            return []
        owners = self._words[(_SLOTS + _OWNER) >> 3:_WAITS >> 3:_SLOT >> 3].tolist()
        gone = {owner for owner in set(owners) if not owner or owner != self._pid and not is_alive(owner)}
        found = [(number, owner) for number, owner in enumerate(owners) if owner in gone][:_AT_ONCE]
        if not found:
            self._look_s = time.monotonic() + _PAUSE_S
        return found

    def _take_over(self, number, owner):
        """True when the slot is this process's own now, and names nothing; False when another has been quicker."""
        slot = Slot(self, self.at, number)
        if swap(slot.address + _OWNER, owner, self._pid) != owner:
            return False
        view_end(slot.address)
        self._own.append(slot)
        return True

    def end(self, slot):
        """Nobody looks at what a Slot names; it can be another view's."""
        words = self._words
        if words is not None:
            words[slot.word] = 0
            self._own.append(slot)

    @property
    def is_open(self):
        """False once the store was closed: no space is anybody's then."""
        return self._words is not None

    @property
    def is_used(self):
        """True when there ever was a view on this node."""
        return self._words[_TOP] > 0

    @property
    def waits(self):
        """True when there is space that nobody has as long as somebody looks at it."""
        return bool(self._rest) or self._words[_WAITED >> 3] > 0 and any(self._states())

    def _states(self):
        """The list of what waits: a word for each place that was ever used."""
        return self._words[(_WAITS + _STATE) >> 3:(_WAITS + _WAIT * self._words[_WAITED >> 3]) >> 3:_WAIT >> 3]

    def hold(self, extents):
        """True when somebody who lives looks at some of these extents."""
        return self.is_used and any(target == RAM and self._holder(offset, nbytes) >= 0 for target, offset, nbytes, _ in extents)

    def _holder(self, offset, nbytes):
        """Number of a slot that names some of these bytes, and whose owner lives; -1: none."""
        number = views_hold(self.at, offset, nbytes, 0)
        while number >= 0 and not self._lives(number):
            number = views_hold(self.at, offset, nbytes, number + 1)
        return number

    def _lives(self, number):
        """False when the owner of a slot was dead: then it is this process's own now."""
        owner = load(self.at + _SLOTS + _SLOT * number + _OWNER)
        return owner == self._pid or is_alive(owner) or not self._take_over(number, owner)

    def free_of(self, extents):
        """Those of the extents that nobody looks at; the others wait until that is so."""
        return [extent for extent in extents if not self.hold_back(extent, [extent])]

    def hold_back(self, extent, held):
        """True when somebody looks at an extent, the last of a list: it waits until that isn't so any more, and has gone from the list."""
        target, offset, nbytes, _ = extent
        holder = self._holder(offset, nbytes) if target == RAM else -1
        if holder < 0:
            return False
        rest, wait, at, pid = (extent,), _kernels.wait, self.at, self._pid
        # no calls in between
        del held[-1]
        if not wait(at, offset, nbytes, holder, pid):
            self._rest += rest
        return True

    def due(self, found=None):
        """Extents that have waited and that nobody looks at any more: the caller gives them back. `found`: a list that has them, too, as soon as they are the caller's."""
        found = [] if found is None else found
        if self._words[_WAITED >> 3]:
            memory, number, next_of = np.zeros(2, np.int64), 0, _kernels.next
            note, place = memoryview(memory), memory.ctypes.data
            while number >= 0:
                try:
                    number = next_of(self.at, number, self._pid, place)
                finally:
                    # no calls since the kernel
                    if note[1]:
                        found += (RAM, note[0], note[1], 0),
                        note[1] = 0
        for extent in self._rest[:]:
            if self._holder(*extent[1:3]) < 0 and extent in self._rest:
                place = self._rest.index(extent)
                del self._rest[place]
                found += extent,
        return found

    def bury(self):
        """Let go of all that dead processes held, or had in hand."""
        for number in range(min(self._words[_TOP >> 3], MOST)):
            if self._words[(_SLOTS + _SLOT * number + _HELD) >> 3]:
                self._lives(number)
        for number, pid in enumerate(self._states()):
            if pid > 0 and not is_alive(pid):
                wait = _WAITS + _WAIT * number
                swap(self.at + wait + _STATE, pid, _READY if self._words[(wait + _NBYTES) >> 3] else _FREE)


class Slot:
    """One slot of a process: its `address`, and the number of the word that says how much it holds."""

    __slots__ = "views", "address", "word"

    def __init__(self, views, at, number):
        self.views, self.address = views, at + _SLOTS + _SLOT * number
        self.word = (_SLOTS + _SLOT * number + _HELD) >> 3


class Shown(np.ndarray):
    """Bytes with a `slot`, on which a view, and whatever is made of that, stands: its end is the view's."""

    slot = None

    def __del__(self):
        slot = self.slot
        if slot is not None:
            slot.views.end(slot)


def read_only(memory):
    """The bytes of `memory` as an array that nobody can write to."""
    array = np.frombuffer(memory, np.uint8)
    array.flags.writeable = False
    return array
