"""Moves of single blobs between the ram and the files of a node, each under the blob's generation. Which ones: not decided here.

A blob that leaves the ram is in a file before: one that is dirty is flushed first. A blob that comes into ram keeps its place in the
file. The record changes in one step, and only if the blob is still the one that was copied; its stamp stays, because its bytes do. So a
reader sees the old place or the new one, and one that copied from the old place while it was given back looks again.
"""

from wrp.cte import pieces
from wrp.cte.records import BLOB, RAM
from wrp.errors import Corrupt, OutOfSpace


class Moves:
    """Moves for one rank. All calls are local and say whether they did something; a blob that changes meanwhile is left alone."""

    def __init__(self, catalog, tiers, flush):
        self._catalog, self._tiers, self._flush = catalog, tiers, flush

    def move(self, name, to_ram, score=None):
        """Take the blob of a full name to ram or out of it, and give it a score, unless that is None; True when it moved.

        Raises OutOfSpace when no file has room for one that must be flushed, StoreError when it can't be flushed.
        """
        record = self._catalog.find(name)
        if record is None or record.kind != BLOB or not record.size or in_ram(record) == to_ram:
            return False
        if record.dirty:
            self._flush.some([name])
            record = self._catalog.find(name)
            if record is None or record.dirty or in_ram(record) == to_ram:
                return False
        return self._up(record, score) if to_ram else self.down(record, score)

    def down(self, record, score=None):
        """Give up the copy in ram of a clean blob that nobody views; True when it was."""
        with self._catalog.changing(f"moving blob {record.blob!r} out of ram"):
            now = self._catalog.find(record.name)
            if now is None or now.stamp != record.stamp or not leaves_ram(now):
                return False
            self._catalog.put(_scored(now.but(extents=now.durable), score))
        self._tiers.give_back([extent for extent in now.extents if extent not in now.durable])
        return True

    def _up(self, record, score):
        if record.size > self._tiers.free(RAM):
            return False
        extents = self._copied(record)
        if extents is None:
            return False
        done = False
        try:
            with self._catalog.changing(f"moving blob {record.blob!r} into ram"):
                now = self._catalog.find(record.name)
                if now is not None and (now.stamp, now.extents, now.dirty) == (record.stamp, record.extents, False):
                    self._catalog.put(_scored(now.but(extents=extents), score))
                    done = True
        finally:
            if not done:
                self._tiers.give_back(extents)
        return done

    def _copied(self, record):
        """Extents in ram that hold the bytes of the record; None when there is no room, or it was replaced meanwhile."""
        data = bytearray(record.size)
        try:
            pieces.read(self._tiers, record, 0, data)
        except Corrupt:
            if self._catalog.still(record):
                raise
            return None
        try:
            extents = pieces.write(self._tiers, data)
        except OutOfSpace:
            return None
        if all(extent[0] == RAM for extent in extents):
            return extents
        self._tiers.give_back(extents)          # others took the room first
        return None


def in_ram(record):
    """True when some of the blob's bytes are read from ram."""
    return any(extent[0] == RAM for extent in record.extents)


def leaves_ram(record):
    """True when a file holds the blob too and nobody views it."""
    return bool(record.durable) and not record.dirty and not record.pinned and in_ram(record)


def _scored(record, score):
    return record if score is None else record.but(score=score)
