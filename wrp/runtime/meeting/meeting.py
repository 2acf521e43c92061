"""Meeting: what one participant of meetings calls. Few enough meet in the memory of their nodes, see `inside`; others by tasks, see `across`."""

from operator import index

from wrp.errors import UsageError
from wrp.runtime.meeting import rooms
from wrp.runtime.meeting.across import Across
from wrp.runtime.meeting.inside import Inside
from wrp.runtime.meeting.point import table_of
from wrp.runtime.meeting.rooms import BARRIER, GATHER, MAX, MIN, SUM
from wrp.runtime.meeting.who import Who

_KINDS = {"sum": SUM, "min": MIN, "max": MAX}
_LIMIT = 1 << 63


class Meeting:
    """Participant number `participant` of `participants`, over a pool of the module `meeting`.

    All participants call the same methods in the same order; each counts once in a round. Participants of the same `key` meet:
    give each group that meets over the pool a key of its own. Values are integers of 64 bits.
    Every method takes `timeout_s`; WaitTimeout when not all have come by then, UsageError when the others do something else.
    """

    def __init__(self, pool, participant, participants, key=0):
        if not 0 <= participant < participants:
            raise UsageError(f"there is no participant {participant} among {participants}")
        who = Who(pool, _word(key), participant, participants)
        # every participant decides alike
        table = table_of(pool) if participants <= rooms.MOST and pool.containers.nodes == pool._node.count else None
        self._way = Across(who) if table is None else Inside(who, table)
        self._node, self._come = pool._node, self._way.come

    def barrier(self, timeout_s=None):
        """Return when all participants have come."""
        if timeout_s is not None or not self._node.is_open:
            self._way.meet(BARRIER, 0, timeout_s)
            return
        code = self._come()         # every line here is paid for by each barrier
        if code:
            self._way.go_on(code)

    def reduce(self, value, how="sum", timeout_s=None):
        """The sum, min or max of all participants' values, for all of them."""
        if how not in _KINDS:
            raise UsageError(f"a reduction by {how!r}: give one of {', '.join(_KINDS)}")
        return self._way.meet(_KINDS[how], _word(value), timeout_s)

    def gather(self, value, timeout_s=None):
        """List of all participants' values, for all of them."""
        return self._way.meet(GATHER, _word(value), timeout_s)


def _word(value):
    """A plain integer: a kernel is compiled again for every other type."""
    try:
        word = index(value)
    except TypeError as error:
        raise UsageError(f"{value!r} for a meeting is no integer: {error}") from error
    if not -_LIMIT <= word < _LIMIT:
        raise UsageError(f"{value!r} for a meeting doesn't fit into 64 bits")
    return word
