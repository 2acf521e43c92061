"""Across: how a participant meets others by tasks, wherever they are. See `point` for the container that makes them wait."""

from wrp.errors import WaitTimeout, WrpError
from wrp.runtime.meeting.point import MEET, PART
from wrp.runtime.meeting.rooms import BARRIER, GATHER
from wrp.runtime.routing.query import PoolQuery
from wrp.runtime.tasks import DEADLINE

_RESULTS = 4


class Across:
    """The rounds of one participant, a Who."""

    def __init__(self, who):
        self._who, self._next = who, 0
        self._way = who.pool.towards(PoolQuery.direct_hash(who.key))

    def meet(self, kind, value, timeout_s):
        """Come to the next round and wait for its end: its result, of a gathering the list of all values."""
        who, number, limit_s = self._who, self._next, self._who.limit_s(timeout_s)
        self._next += 1
        # the deadline, for the container: a round for which nobody waits any more is forgotten
        future = self._way.submit(MEET, kind, who.key, number, who.participant, who.participants, value, deadline_s=limit_s)
        try:
            reply = future.wait(limit_s)
        except WaitTimeout as error:
            raise who.late(number, limit_s) from error
        if reply.code == DEADLINE:
            raise who.late(number, limit_s)
        self._check(reply, number)
        return self._gathered(number, timeout_s) if kind == GATHER else reply.values[0]

    def come(self):
        """To a barrier: 0 when it has ended."""
        self.meet(BARRIER, 0, None)
        return 0

    def _gathered(self, number, timeout_s):
        who = self._who
        rows = [(who.key, number, start) for start in range(0, who.participants, _RESULTS)]
        replies = [future.wait(timeout_s) for future in self._way.submit_many(PART, rows)]
        self._check(next((reply for reply in replies if reply.code), replies[0]), number)
        return [value for reply in replies for value in reply.values][:who.participants]

    def _check(self, reply, number):
        if reply.code == 99:
            raise self._who.other(number)
        if reply.code:
            raise WrpError(f"a meeting over pool {self._who.pool.name!r} ended with code {reply.code}: {reply.meaning}")
