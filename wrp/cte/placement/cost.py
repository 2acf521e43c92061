"""`cost`: where writing the bytes once and reading them back costs least time, dearer the fuller a target gets and the colder the blob is.

    cost = (2 * latency + nbytes / write bandwidth + nbytes / read bandwidth) / free ** (2 - score)

`free` is the part of the target that is left once the bytes are there. A hot blob (score 1) gives a target up that is ten times as fast
as the next one when a tenth of it is left, a cold one (score 0) when a third is left: so fast targets keep room for hot blobs.
"""

from wrp.cte.placement.contract import numbers, usable

_LEAST_FREE = 1e-3
_LEAST_MBPS = 1e-3          # of a target of which nothing is known
_US_PER_BYTE = 1.0          # at 1 MB/s


class Cost:
    """Fallback targets come by their score, the lowest first: the least needed by blobs that they are meant for."""

    name = "cost"

    def order(self, request, targets):
        """See `contract`."""
        preferred, fallback = usable(request, targets)
        return numbers(sorted(preferred, key=lambda target: cost_us(request, target)),
                       sorted(fallback, key=lambda target: (target.score, cost_us(request, target))))


def cost_us(request, target):
    """The weighed time of a request on a target, in microseconds."""
    per_byte = _US_PER_BYTE / max(target.write_mbps, _LEAST_MBPS) + _US_PER_BYTE / max(target.read_mbps, _LEAST_MBPS)
    free = max((target.remaining - request.nbytes) / max(target.capacity, 1), _LEAST_FREE)
    return (2 * target.latency_us + request.nbytes * per_byte) / free ** (2 - request.score)
