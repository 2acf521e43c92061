"""`random`: each group shuffled; the same seed gives the same orders."""

import random

from wrp.cte.placement.contract import numbers, usable


class Random:
    """A generator of its own, whatever else the process draws."""

    name = "random"

    def __init__(self, seed=0):
        self._chance = random.Random(seed)

    def order(self, request, targets):
        """See `contract`."""
        preferred, fallback = usable(request, targets)
        self._chance.shuffle(preferred)
        self._chance.shuffle(fallback)
        return numbers(preferred, fallback)
