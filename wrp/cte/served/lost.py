"""Lost: memory of calls whose caller gave up, by a deadline or an error of a signal's handler: it is free again once the daemon has none of these calls in hand.

And leases whose caller gave up: the memory is this process's all the same. Leases nothing, and gives nothing back.
"""

import threading
import time
from collections import deque

from wrp.comm import atomics
from wrp.cte.served import wire
from wrp.cte.served.serving import ASK, ASK_ALL, VALUE, WAIT
from wrp.runtime import bdev, clients, tasks

_EVERY_S = 0.1                  # looks at the records of all tasks of the process, some hundred
MAKES = ("buffer", "reserve", "batch")      # calls whose value is a stash


class Lost:
    """Of one process, with one daemon. Any thread.

    pool : whose tasks have Slips in hand; forsake(number) : nobody wants the stash that a late answer names
    """

    def __init__(self, attached, pool, forsake):
        self._base, self._pool, self._forsake = attached.segment.address, pool.number, forsake
        self._records = [self._base + attached._clients.record(attached._slot, number) for number in range(clients.RECORDS)]
        self._slips, self._leases, self._unused = deque(), deque(), deque()
        self._looked_at, self._turn = 0.0, threading.Lock()

    def __len__(self):
        return len(self._slips) + len(self._leases) + len(self._unused)

    def add(self, slip, call, began):
        """The call of this name, which began at `began` (ns), has had a Slip, and the daemon may have it still."""
        self._slips.append((slip, call, began))

    def add_unused(self, slip):
        """It was leased, and is of no use."""
        self._unused.append(slip)

    def owe(self, device, began, nbytes):
        """Nobody has taken the answer to the one lease of so many bytes that this process has asked a device's pool for since `began`, if it has."""
        self._leases.extend((record, born, nbytes) for record, born in self._asked(device, bdev.ALLOCATE_BLOCKS, began))

    def is_given_back(self, device, slip, began):
        """True where this process has handed over, since `began` (ns), that a device's pool is to free the memory of a Slip."""
        return any(atomics.load(record + tasks.ARGS) == slip.place for record, _ in self._asked(device, bdev.FREE_BLOCKS, began))

    def _asked(self, device, method, began):
        """[(record, when it was handed over)] of the tasks of a device's pool since `began`."""
        found = [(record, atomics.load(record + tasks.BORN)) for record in self._records]
        return [(record, born) for record, born in found
                if born >= began and (atomics.load(record + tasks.POOL), atomics.load(record + tasks.METHOD)) == (device.number, method)]

    def find(self, give, give_back):
        """Call give(slip) for each one that is free again, and give_back(place, bytes) for memory that is of no use. It doesn't look all the time."""
        if not len(self) or time.monotonic() < self._looked_at + _EVERY_S or self._turn.locked():
            return
        with self._turn:
            self._looked_at = time.monotonic()
            _each(self._slips, lambda lost: self._is_done(*lost), lambda lost: give(lost[0]))
            _each(self._unused, lambda slip: True, lambda slip: give_back(slip.place, slip.nbytes))
            _each(self._leases, _is_answered, lambda lease: _gives(*lease) and give_back(atomics.load(lease[0] + tasks.VALUES), lease[2]))

    def _is_done(self, slip, call, began):
        """True when no task of this process has the slip in hand."""
        had = [record for record in self._records if atomics.load(record + tasks.ARGS) == slip.place and atomics.load(record + tasks.POOL) == self._pool
               and atomics.load(record + tasks.STATE)]
        if any(atomics.load(record + tasks.STATE) != tasks.DONE for record in had):
            return False
        for record in had:
            if call and atomics.load(record + tasks.METHOD) in (ASK, ASK_ALL, WAIT) and atomics.load(record + tasks.BORN) >= began and not atomics.load(record + tasks.CODE):
                self._drop(slip, call, *(atomics.load(record + tasks.VALUES + 8 * number) for number in range(3)))
        return True

    def _drop(self, slip, call, kind, nbytes, stash):
        """Let go of what a late answer names."""
        if not stash and kind == VALUE and call in MAKES:
            stash = made_by(call, wire.value_of(bytes(slip.view[:nbytes])))
        if stash:
            self._forsake(stash)


def made_by(call, value):
    """Number of the stash that a call of MAKES has made."""
    return value[1] if call == "batch" else value


def _each(kept, is_wanted, take):
    """Take those of a deque that are wanted out of it. Others may add to it. One that an error comes in between stays."""
    for _ in range(len(kept)):
        if is_wanted(kept[0]):
            take(kept.popleft())
        else:
            kept.rotate(-1)


def _is_answered(lease):
    record, born, _ = lease
    return atomics.load(record + tasks.STATE) == tasks.DONE or atomics.load(record + tasks.BORN) != born


def _gives(record, born, _):
    """True when the answer to a lease can be read: no other task has had its record, and it was granted."""
    return atomics.load(record + tasks.BORN) == born and not atomics.load(record + tasks.CODE)
