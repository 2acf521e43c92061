"""Eviction: blobs that files hold too give up their copy in ram when a put needs the room; by a caller's wish from any target. In which order says a policy."""

from wrp.cte.eviction.contract import leave
from wrp.cte.eviction.policies import Score
from wrp.cte.moving import is_spare
from wrp.cte.organizing import tiers_of
from wrp.cte.records import BLOB, RAM
from wrp.cte.targetnumbers import is_durable


class Eviction:
    """Makes room in the ram of one node. Blobs that somebody views, and blobs that no file holds, stay."""

    def __init__(self, catalog, tiers, moves, policy):
        self._catalog, self._tiers, self._moves, self._policy = catalog, tiers, moves, policy

    def run(self, nbytes):
        """Give back at least `nbytes` of ram where that is possible; True when some came back."""
        candidates = [record for record in self._catalog.scan(kind=BLOB, dirty=False, target=RAM) if is_spare(record) and not self._tiers.is_viewed(record)]
        return leave(self._policy, candidates, nbytes, self._tiers.ram.capacity, lambda record: self._moves.down(record) and _nbytes_on(record, RAM)) > 0

    def take_out(self, target, nbytes):
        """Take blobs from a target to slower ones, those of the lowest score first and of those the ones not used for longest, until `nbytes` are free of them.

        The bytes that are free of them. A blob that is viewed, or that no slower target has room for, stays. Raises StoreError when one can't be flushed.
        """
        numbers = [tier.number for tier in tiers_of(self._tiers)]
        # what leaves a file that lasts has to lie in another one that does
        slower = [number for number in numbers[numbers.index(target) + 1:] if is_durable(number) or not is_durable(target)] if target in numbers else ()
        found = self._catalog.scan(kind=BLOB, target=target) if slower else ()
        return leave(Score(), found, nbytes, 0, lambda record: any(self._moves.to(record.name, number) for number in slower) and _nbytes_on(record, target))


def _nbytes_on(record, target):
    return sum(extent[2] for extent in record.extents if extent[0] == target)
