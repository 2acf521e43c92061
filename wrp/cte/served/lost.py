"""Lost: memory of calls whose caller gave up, by a deadline or an error of a signal's handler: it is free again once the daemon has none of these calls in hand.

And leases whose caller gave up: the memory is this process's all the same. Leases nothing, and gives nothing back.
"""

import time
from collections import deque
from contextlib import suppress

from wrp.comm import atomics
from wrp.cte.served import wire
from wrp.cte.served.serving import VALUE
from wrp.runtime import clients, tasks

_EVERY_S = 0.1                  # looks at the records of all tasks of the process, some hundred
_MAKES = ("buffer", "reserve", "batch")      # calls whose value is a stash


class Lost:
    """Of one process, with one daemon. Any thread. forsake(number) : nobody wants the stash that a late answer names."""

    def __init__(self, attached, forsake):
        self._base, self._forsake = attached.segment.address, forsake
        self._records = [self._base + attached._clients.record(attached._slot, number) for number in range(clients.RECORDS)]
        self._slips, self._leases, self._looked_at = deque(), deque(), 0.0

    def __len__(self):
        return len(self._slips) + len(self._leases)

    def add(self, slip, call, began):
        """The call of this name, which began at `began` (ns), has had a Slip, and the daemon may have it still."""
        self._slips.append((slip, call, began))

    def owe(self, task, nbytes):
        """Nobody has taken the answer of a lease: `task` is what `task_of` has given."""
        self._leases.append((task, nbytes))

    def task_of(self, future):
        """(address, moment) of the record of a task, which is another one's at another moment."""
        record = self._base + future.offset
        return record, atomics.load(record + tasks.BORN)

    def is_due(self):
        """True when something is lost, and it is time to look for it again."""
        if not len(self) or time.monotonic() < self._looked_at + _EVERY_S:
            return False
        self._looked_at = time.monotonic()
        return True

    def found(self):
        """List of the Slips that are free again, which aren't kept here any more."""
        return [lost[0] for lost in _taken(self._slips, lambda lost: self._is_done(*lost))]

    def leased(self):
        """List of (place, bytes) that were leased after all."""
        ended = _taken(self._leases, lambda lease: atomics.load(lease[0][0] + tasks.STATE) == tasks.DONE or atomics.load(lease[0][0] + tasks.BORN) != lease[0][1])
        return [(atomics.load(record + tasks.VALUES), nbytes) for (record, born), nbytes in ended
                if atomics.load(record + tasks.BORN) == born and not atomics.load(record + tasks.CODE)]

    def _is_done(self, slip, call, began):
        """True when no task of this process has the slip in hand."""
        had = [record for record in self._records if atomics.load(record + tasks.ARGS) == slip.place and atomics.load(record + tasks.STATE)]
        if any(atomics.load(record + tasks.STATE) != tasks.DONE for record in had):
            return False
        for record in had:
            if call and atomics.load(record + tasks.BORN) >= began and not atomics.load(record + tasks.CODE):
                self._drop(slip, call, *(atomics.load(record + tasks.VALUES + 8 * number) for number in range(3)))
        return True

    def _drop(self, slip, call, kind, nbytes, stash):
        """Let go of what a late answer names."""
        if not stash and kind == VALUE and call in _MAKES:
            value = wire.value_of(bytes(slip.view[:nbytes]))
            stash = value[1] if call == "batch" else value
        if stash:
            self._forsake(stash)


def _taken(kept, wanted):
    """List of what is wanted of a deque, which isn't there any more. Any thread."""
    found = []
    for _ in range(len(kept)):
        with suppress(IndexError):          # another thread looks, too
            one = kept.popleft()
            (found if wanted(one) else kept).append(one)
    return found
