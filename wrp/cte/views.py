"""Views: which bytes of the node's ram somebody looks at, in shared memory, and space that is free when nobody does any more. No names of blobs.

A process claims slots for good. One that names bytes holds them: who gives space back after a record has changed looks for such slots, and lets what one
names wait in a list that anybody clears later. A view names its bytes and looks then whether the record is still what it was, so one of both sees the other.
To end a view is one store, which a finalizer may make in the middle of anything. What a dead process held, nobody does.
"""

import os
from collections import deque

import numpy as np

from wrp.comm import forking
from wrp.comm.atomics import add, exchange, load, store, swap
from wrp.comm.jit import kernel
from wrp.comm.lock import is_alive
from wrp.cte.targetnumbers import RAM

MOST = 4096                     # slots of a node; spaces that wait
_TOP, _WAITING = 0, 8           # slots that are claimed, rounded up; spaces that wait
_SLOTS = 64
_OWNER, _OFFSET, _HELD = 0, 8, 16       # pid; bytes that are held, none: 0
_SLOT = 32
_WAITS = _SLOTS + _SLOT * MOST
_STATE, _START, _NBYTES = 0, 8, 16
_WAIT = 24
NBYTES = _WAITS + _WAIT * MOST
_FREE, _BUSY, _READY = 0, 1, 2
_AT_ONCE = 16                   # slots that a process claims


@kernel
def view_begin(slot, offset, nbytes):
    """The slot at this address names bytes; what is loaded after that is not older."""
    store(slot + _OFFSET, offset)
    exchange(slot + _HELD, nbytes)


@kernel
def view_end(slot):
    store(slot + _HELD, 0)


@kernel
def views_hold(at, offset, nbytes, start):
    """Number of the first slot from `start` on that names some of these bytes; -1: none."""
    for number in range(start, min(load(at + _TOP), MOST)):
        slot = at + _SLOTS + _SLOT * number
        held = load(slot + _HELD)
        if held != 0:
            first = load(slot + _OFFSET)
            if first < offset + nbytes and offset < first + held:
                return number
    return -1


@kernel
def views_wait(at, offset, nbytes):
    """Put space into the list of what waits: False when it is full."""
    for number in range(MOST):
        wait = at + _WAITS + _WAIT * number
        if load(wait + _STATE) == _FREE and swap(wait + _STATE, _FREE, _BUSY) == _FREE:
            store(wait + _START, offset)
            store(wait + _NBYTES, nbytes)
            store(wait + _STATE, _READY)
            add(at + _WAITING, 1)
            return True
    return False


@kernel
def views_next(at, start):
    """(where to go on, offset, nbytes) of space that waited and that nobody looks at any more: the caller has it now; -1: there is none from number `start` on."""
    for number in range(start, MOST):
        wait = at + _WAITS + _WAIT * number
        if load(wait + _STATE) == _READY and swap(wait + _STATE, _READY, _BUSY) == _READY:
            offset, nbytes = load(wait + _START), load(wait + _NBYTES)
            if views_hold(at, offset, nbytes, 0) < 0:
                store(wait + _STATE, _FREE)
                add(at + _WAITING, -1)
                return number + 1, offset, nbytes
            store(wait + _STATE, _READY)
    return -1, 0, 0


class Views:
    """Of one process; in zeroed shared memory at `place` of a segment (NBYTES). Any thread may use it, and any finalizer `end`."""

    def __init__(self, segment, place):
        self._at = segment.address + place
        self._words = segment.buffer[place:place + NBYTES].cast("q")
        self._pid, self._own = os.getpid(), deque()         # Slots that name nothing
        self._rest = []                                     # space for which the list had no room
        forking.listen(self.close)                          # what a child sees is its parent's to hold

    def close(self):
        """Ends of views say nothing any more. Idempotent."""
        self._words = None

    def taken(self):
        """A Slot of this process's own that names nothing yet, or None: there is no more."""
        try:
            return self._own.pop()
        except IndexError:
            return self._claimed()

    def _claimed(self):
        first = add(self._at + _TOP, _AT_ONCE) if load(self._at + _TOP) < MOST else MOST
        if first >= MOST:
            return None
        found = [Slot(self, self._at, number) for number in range(first, first + _AT_ONCE)]
        for slot in found:
            store(slot.address + _OWNER, self._pid)
        self._own.extend(found[1:])
        return found[0]

    def end(self, slot):
        """Nobody looks at what a Slot names; it can be another view's."""
        words = self._words
        if words is not None:
            words[slot.word] = 0
            self._own.append(slot)

    @property
    def is_used(self):
        """True when there ever was a view on this node."""
        return self._words[_TOP] > 0

    @property
    def waits(self):
        """True when there is space that nobody has as long as somebody looks at it."""
        return self._words[_WAITING >> 3] > 0 or bool(self._rest)

    def hold(self, extents):
        """True when somebody who lives looks at some of these extents."""
        return self.is_used and any(target == RAM and self._is_held(offset, nbytes) for target, offset, nbytes, _ in extents)

    def _is_held(self, offset, nbytes):
        number = views_hold(self._at, offset, nbytes, 0)
        while number >= 0:
            slot = self._at + _SLOTS + _SLOT * number
            if self._lives(slot):
                return True
            number = views_hold(self._at, offset, nbytes, number + 1)
        return False

    def _lives(self, slot):
        """Whether the owner of a slot that names something does; what a dead one held is let go."""
        owner = load(slot + _OWNER)
        if owner == self._pid or is_alive(owner):
            return True
        view_end(slot)
        return False

    def free_of(self, extents):
        """Those of the extents that nobody looks at; the others wait until that is so."""
        found = []
        for extent in extents:
            target, offset, nbytes, _ = extent
            if target != RAM or not self._is_held(offset, nbytes):
                found.append(extent)
            elif not views_wait(self._at, offset, nbytes):
                self._rest.append(extent)
        return found

    def due(self):
        """Extents that have waited and that nobody looks at any more: the caller gives them back."""
        found = []
        if self._words[_WAITING >> 3]:
            number = 0
            while True:
                number, offset, nbytes = views_next(self._at, number)
                if number < 0:
                    break
                found.append((RAM, offset, nbytes, 0))
        if self._rest:
            rest, self._rest = self._rest, []
            found += self.free_of(rest)
        return found

    def bury(self):
        """Let go of all that dead processes held."""
        for number in range(min(self._words[_TOP], MOST)):
            slot = self._at + _SLOTS + _SLOT * number
            if load(slot + _HELD):
                self._lives(slot)


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
