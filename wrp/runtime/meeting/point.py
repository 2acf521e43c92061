"""MeetingPoint: the module `meeting`, whose containers let participants wait for each other who are too many for a room, see `rooms`."""

import os
from collections import OrderedDict

from wrp.comm import atomics
from wrp.errors import UsageError
from wrp.runtime import pools
from wrp.runtime.meeting import rooms
from wrp.runtime.meeting.rooms import GATHER, MAX, MIN, SUM
from wrp.runtime.waiting.coroutines import Wait

MEET, PART = 10, 11
_MOST_KEPT = 256                # gathered rounds that wait to be fetched: those of participants that died go some time
_RESULTS = 4


def table_of(pool):
    """Address of the rooms of a pool in its node's memory, or None."""
    return _table(pool._node.segment, pool._slot.number)


def forget(node, pid):
    """A process of the node has died: it doesn't take part in the rounds any more that it waited in. True when that is done."""
    tables = [_table(node.segment, number) for number in range(pools.MOST)]
    return all([rooms.forget(table, os.getpid() << 32, pid, node.count) for table in tables if table is not None])


def _table(segment, number):
    found = segment.find(f"runtime.rooms.{number}")
    return segment.address + found[0] if found else None


class MeetingPoint:
    """The rounds of this container. A participant counts once in a round, however often its task comes."""

    methods = {MEET: "meet", PART: "part"}

    def __init__(self, pool_name):
        self._rounds, self._gathered = {}, OrderedDict()

    def started(self, pool):
        """Make the node's rooms, and note where they lie for its postman."""
        segment, name = pool._node.segment, f"runtime.rooms.{pool._slot.number}"
        with segment.placing(name, rooms.NBYTES) as (offset, created):
            if created:
                segment.reserve(offset, rooms.NBYTES)
        atomics.store(pool._slot.params, offset)

    async def meet(self, kind, key, number, participant, participants, value):
        """Wait until all have come to round `number` of `key`: the result of the round (kind GATHER: fetch it by `part`)."""
        name = key, number
        meet = self._rounds.get(name)
        if meet is None:
            meet = self._rounds[name] = _Round(kind, participants)
        meet.come(kind, participant, participants, value)
        if len(meet.values) == participants:
            del self._rounds[name]
            if kind == GATHER:
                self._keep(name, [meet.values[each] for each in range(participants)])
            meet.end()
        else:
            try:
                await _Arrival(meet)
            finally:
                meet.waits -= 1
                if meet.waits == 0 and self._rounds.get(name) is meet:      # all gave up
                    del self._rounds[name]
        return meet.result

    def part(self, key, number, start):
        """Up to four values of a gathered round from place `start` on."""
        values = self._gathered[key, number][start:start + _RESULTS]
        return tuple(values)

    def _keep(self, name, values):
        self._gathered[name] = values
        while len(self._gathered) > _MOST_KEPT:
            self._gathered.popitem(last=False)


class _Round:
    """One round while participants are missing. `values` by participant; `waits`: how many of those who have come still wait."""

    def __init__(self, kind, participants):
        self.kind, self.participants = kind, participants
        self.values, self.waiting, self.waits, self.result = {}, [], 0, 0

    def come(self, kind, participant, participants, value):
        if (kind, participants) != (self.kind, self.participants) or not 0 <= participant < participants:
            raise UsageError(f"participant {participant} of {participants} comes to a round of {self.participants} participants, "
                             "or to another kind of round")
        self.values.setdefault(participant, value)

    def end(self):
        """All have come: everybody goes on."""
        values = self.values.values()
        self.result = {SUM: sum, MIN: min, MAX: max}.get(self.kind, len)(values)
        for loop, arrival in self.waiting:
            if arrival.job is not None:
                loop.resume(arrival.job)


class _Arrival(Wait):
    """``await _Arrival(round)``: until its end."""

    def __init__(self, meet):
        self._round = meet

    def begin(self, loop, job):
        self._round.waiting.append((loop, self))
        self._round.waits += 1

    def forget(self, loop):
        self.job = None
