"""Meeting: what one participant of meetings calls. The waiting is done in a container, see `point`."""

from wrp.errors import UsageError, WaitTimeout, WrpError
from wrp.runtime.meeting.point import BARRIER, GATHER, MAX, MEET, MIN, PART, SUM
from wrp.runtime.routing.query import PoolQuery
from wrp.runtime.tasks import DEADLINE

_KINDS = {"sum": SUM, "min": MIN, "max": MAX}
_RESULTS = 4


class Meeting:
    """Participant number `participant` of `participants`, over a pool of the module `meeting`.

    All participants call the same methods in the same order; each counts once in a round. Participants of the same `key` meet:
    give each group that meets over the pool a key of its own. Values are integers of 64 bits.
    Every method takes `timeout_s`; WaitTimeout when not all have come by then, UsageError when the others do something else.
    """

    def __init__(self, pool, participant, participants, key=0):
        if not 0 <= participant < participants:
            raise UsageError(f"there is no participant {participant} among {participants}")
        self._pool, self._participant, self._participants, self._key = pool, participant, participants, key
        self._number, self._query = 0, PoolQuery.direct_hash(key)
        self._way = pool.towards(self._query)

    def barrier(self, timeout_s=None):
        """Return when all participants have come."""
        self._meet(BARRIER, 0, timeout_s)

    def reduce(self, value, how="sum", timeout_s=None):
        """The sum, min or max of all participants' values, for all of them."""
        if how not in _KINDS:
            raise UsageError(f"a reduction by {how!r}: give one of {', '.join(_KINDS)}")
        return self._meet(_KINDS[how], value, timeout_s)

    def gather(self, value, timeout_s=None):
        """List of all participants' values, for all of them."""
        self._meet(GATHER, value, timeout_s)
        rows = [(self._key, self._number - 1, start) for start in range(0, self._participants, _RESULTS)]
        replies = [future.wait(timeout_s) for future in self._way.submit_many(PART, rows)]
        self._check(next((reply for reply in replies if reply.code), replies[0]))
        return [value for reply in replies for value in reply.values][:self._participants]

    def _meet(self, kind, value, timeout_s):
        number, self._number = self._number, self._number + 1
        timeout_s = self._pool._node.timeout_s if timeout_s is None else timeout_s
        late = WaitTimeout(f"participant {self._participant} of {self._participants} waited {timeout_s:g} s in round {number} of meeting "
                           f"{self._key} over pool {self._pool.name!r}: not all have come")
        # the deadline, for the container: a round for which nobody waits any more is forgotten
        future = self._way.submit(MEET, kind, self._key, number, self._participant, self._participants, value, deadline_s=timeout_s)
        try:
            reply = future.wait(timeout_s)
        except WaitTimeout as error:
            raise late from error
        if reply.code == DEADLINE:
            raise late
        self._check(reply)
        return reply.values[0]

    def _check(self, reply):
        if reply.code == 99:
            raise UsageError(f"round {self._number - 1} of meeting {self._key} over pool {self._pool.name!r}: other participants do something "
                             "else, or are of another number")
        if reply.code:
            raise WrpError(f"a meeting over pool {self._pool.name!r} ended with code {reply.code}: {reply.meaning}")
