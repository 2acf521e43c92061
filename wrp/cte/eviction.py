"""Eviction: blobs that files hold too give up their copy in ram when a put needs the room, oldest change first."""

from wrp.cte.moving import in_ram, is_spare
from wrp.cte.records import BLOB, RAM

_LEAST = 16                     # evict at least this fraction of the ram at a time, so that a scan is worth its price


class Eviction:
    """Makes room in the ram of one node. Blobs that somebody views, and blobs that no file holds, stay."""

    def __init__(self, catalog, tiers, moves):
        self._catalog, self._tiers, self._moves = catalog, tiers, moves

    def run(self, nbytes):
        """Give back at least `nbytes` of ram where that is possible; True when some came back."""
        wanted = max(nbytes, self._tiers.ram.capacity // _LEAST)
        candidates = [record for record in self._catalog.scan(kind=BLOB, dirty=False) if is_spare(record) and in_ram(record)]
        freed = 0
        for record in sorted(candidates, key=lambda record: record.stamp):
            if freed >= wanted:
                break
            if self._moves.down(record):
                freed += sum(extent[2] for extent in record.extents if extent[0] == RAM)
        return freed > 0
