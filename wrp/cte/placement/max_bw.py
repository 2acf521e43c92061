"""`max_bw`: large requests by write bandwidth, small ones by latency."""

from wrp.cte.placement.contract import numbers, usable

LARGE_NBYTES = 32 << 10


class MaxBw:
    """Fallback targets come slowest first: the fast ones are kept for the blobs that they are meant for."""

    name = "max_bw"

    def order(self, request, targets):
        """See `contract`."""
        preferred, fallback = usable(request, targets)
        key = _by_bandwidth if request.nbytes >= LARGE_NBYTES else _by_latency
        return numbers(sorted(preferred, key=key), sorted(fallback, key=key, reverse=True))


def _by_bandwidth(target):
    return -target.write_mbps


def _by_latency(target):
    return target.latency_us
