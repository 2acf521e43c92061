"""The contract of placement policies, and the rules that all of them keep. The orders themselves are in their own modules.

A policy is an object with a `name` and one method ``order(request, targets) -> [number]``: the targets that may take the bytes,
best first. The caller walks the list; an empty one means that nothing has room. A policy is a pure state machine: what it
remembers (a counter, a seeded generator) comes from the requests it has seen, so the same requests give the same orders.

A target's score says how hot a blob must be to be wanted there: targets whose score is at most the blob's are preferred, the
others are fallback. Among the targets that a request can use, the preferred ones come first, whatever the policy.
"""

import math
from typing import NamedTuple

VOLATILE, TEMPORARY, LONG_TERM = range(3)       # persistence: lost with the process, the job, never by itself

_FULL_SCORE_MBPS = 1000                         # the bandwidth at which the automatic score reaches 1


class Target(NamedTuple):
    """A target as a policy sees it: capacity and remaining in bytes, bandwidths in MB/s, the mean latency in us."""

    number: int
    name: str = ""
    kind: str = "ram"
    score: float = 0.0
    capacity: int = 0
    remaining: int = 0
    write_mbps: float = 0.0
    read_mbps: float = 0.0
    latency_us: float = 0.0
    persistence: int = VOLATILE


class Request(NamedTuple):
    """Bytes that want a place: of a blob with this score (0 to 1).

    min_persistence : targets below it can't be used
    target_persistence : 0 or more: only targets of just this persistence can
    """

    nbytes: int
    score: float = 1.0
    min_persistence: int = VOLATILE
    target_persistence: int = -1


def automatic_score(bandwidth_mbps):
    """The score of a target for which none is given: log(b + 1) / log(1001), within 0 to 1; b: its bandwidth in MB/s."""
    return min(1.0, max(0.0, math.log(max(0.0, bandwidth_mbps) + 1) / math.log(_FULL_SCORE_MBPS + 1)))


def usable(request, targets):
    """(preferred, fallback): the targets that the request can use, in the order they came."""
    fitting = [target for target in targets if target.remaining >= request.nbytes and _is_persistent(request, target)]
    return ([target for target in fitting if target.score <= request.score],
            [target for target in fitting if target.score > request.score])


def _is_persistent(request, target):
    if request.target_persistence >= 0 and target.persistence != request.target_persistence:
        return False
    return target.persistence >= request.min_persistence


def numbers(*groups):
    """The numbers of the targets of all groups, one group after the other."""
    return [target.number for group in groups for target in group]
