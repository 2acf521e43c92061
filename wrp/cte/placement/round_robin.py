"""`round_robin`: every request begins one target later than the one before."""

from wrp.cte.placement.contract import numbers, usable


class RoundRobin:
    """One counter for all requests; each group is turned by it."""

    name = "round_robin"

    def __init__(self):
        self._count = 0

    def order(self, request, targets):
        """See `contract`."""
        preferred, fallback = usable(request, targets)
        turn, self._count = self._count, self._count + 1
        return numbers(_turned(preferred, turn), _turned(fallback, turn))


def _turned(group, turn):
    shift = turn % len(group) if group else 0
    return group[shift:] + group[:shift]
