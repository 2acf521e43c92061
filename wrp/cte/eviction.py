"""Eviction: blobs that files hold too give up their copy in ram when a put needs the room, oldest change first."""

from wrp.cte.records import BLOB, RAM

_LEAST = 16                     # evict at least this fraction of the ram at a time, so that a scan is worth its price


class Eviction:
    """Makes room in the ram of one node. Blobs that somebody views, and blobs that no file holds, stay."""

    def __init__(self, catalog, tiers):
        self._catalog, self._tiers = catalog, tiers

    def run(self, nbytes):
        """Give back at least `nbytes` of ram where that is possible; True when some came back."""
        wanted = max(nbytes, self._tiers.ram.capacity // _LEAST)
        candidates = [record for record in self._catalog.scan(kind=BLOB, dirty=False) if _evictable(record)]
        freed = 0
        for record in sorted(candidates, key=lambda record: record.stamp):
            if freed >= wanted:
                break
            freed += self._evict(record)
        return freed > 0

    def _evict(self, record):
        with self._catalog.changing(f"evicting blob {record.blob!r}"):
            now = self._catalog.find(record.name)
            if now is None or now.stamp != record.stamp or now.dirty or not _evictable(now):
                return 0
            self._catalog.put(now.but(extents=now.durable))
        gone = [extent for extent in now.extents if extent not in now.durable]
        self._tiers.give_back(gone)
        return sum(extent[2] for extent in gone)


def _evictable(record):
    return bool(record.durable) and not record.pinned and any(extent[0] == RAM for extent in record.extents)
