"""Glances: what the catalog of a node shows of all its blobs at once, in a few words each, and which of them have changed since the last one."""

import numpy as np

from wrp.comm.atomics import load
from wrp.comm.jit import kernel
from wrp.cte.images import extent_at, image_out
from wrp.cte.layout import (BLOB_KIND, COUNTS, FIRST, KEY0, KEY1, LOW, NEXT, READS, STAMP, UNIT, class_at, class_units, kind_of, record_at)
from wrp.cte.records import unpack_all
from wrp.cte.table import table_locate

_AT_ONCE = 1 << 16              # blobs that are looked at before others may have the catalog
_WORDS = 5                      # first word of the key, stamp, reads, target (the first ram where any of it is there), second word of the key


@kernel
def glance(at, start, rows):
    """Fill rows (int64, n x 5) from record number `start` on, 0: the first: (how many, where to go on or -1). With the token."""
    number, end = FIRST if start == 0 else start, load(at + NEXT) // UNIT
    count = 0
    while number < end:
        record = record_at(at, number)
        if kind_of(record) == BLOB_KIND:
            if count == len(rows):
                return count, number
            target = -1
            for position in range(load(record + COUNTS) & LOW):
                found = extent_at(record, position)[0]
                target = found if target < 0 or found == 0 else target
            rows[count, 0], rows[count, 1], rows[count, 2] = load(record + KEY0), load(record + STAMP), load(record + READS)
            rows[count, 3], rows[count, 4] = target, load(record + KEY1)
            count += 1
        number += class_units(class_at(record))
    return count, -1


@kernel
def glance_closer(at, rows, start, out, capacity):
    """Copy the records of rows from row `start` on that are still there: (bytes of `out`, where to go on or -1). With the token."""
    done = 0
    for row in range(start, len(rows)):
        number = table_locate(at, rows[row, 0], rows[row, 4])[1]
        if number != 0 and kind_of(record_at(at, number)) == BLOB_KIND:
            nbytes = image_out(at, record_at(at, number), out + done, capacity - done)
            if nbytes == 0:
                return done, row
            done += nbytes
    return done, -1


class Glances:
    """Of one catalog, one after the other."""

    def __init__(self, catalog):
        self._catalog = catalog
        self._last = np.empty((0, _WORDS), np.int64)        # by key

    def look(self):
        """(Records that are new or have another stamp, number of reads or place than at the last look, first words of the keys that are gone)."""
        before, now = self._last, self._seen()
        places = np.searchsorted(before[:, 0], now[:, 0])
        known = np.zeros(len(now), bool)
        inside = places < len(before)
        known[inside] = (before[places[inside], :4] == now[inside, :4]).all(axis=1)
        closer = self._closer(now[~known])
        self._last = now                        # not before: who is refused is told the next time
        return closer, np.setdiff1d(before[:, 0], now[:, 0], assume_unique=True)

    def _seen(self):
        rows, parts, where = np.empty((_AT_ONCE, _WORDS), np.int64), [], 0
        while where >= 0:
            with self._catalog.changing("looking at all blobs"):
                count, where = glance(self._catalog.at, where, rows)
            parts.append(rows[:count].copy())
        whole = np.concatenate(parts)
        # one whose record moved meanwhile may have been seen twice
        return whole[np.unique(whole[:, 0], return_index=True)[1]]

    def _closer(self, rows):
        return [record for part in self._catalog.parts(lambda *rest: self._copied(rows, *rest)) for record in unpack_all(part)]

    def _copied(self, rows, start, address, capacity):
        with self._catalog.changing("looking at blobs that have changed"):
            return glance_closer(self._catalog.at, rows, start, address, capacity)
