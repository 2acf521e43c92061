"""Handfuls: dirty blobs that are one run, of ram or of the file, are flushed many at once, with one entry of the journal, small ones with one write, too. The others: flush.py.

Few bytes stand in that entry, too, and the journal's sync is the only one; see folder/carried.py.

The steps are those of flush.py, but the record of a small blob promises its copy before that is written; until it is settled the blob is dirty, and of one that
is dirty nobody reads what its record promises. A long one is written from where it lies, unless that is the file. A blob that isn't what it was when its turn comes is left to flush.py.
"""

import ctypes
import struct

import numpy as np

from wrp.comm.digests import crc32_of
from wrp.comm.fresh import HEAD_OF_BYTES
from wrp.comm.jit import Directly
from wrp.comm.lock import this_thread
from wrp.comm.refusals import let_out
from wrp.cte.journaled import journaled_write, most_nbytes
from wrp.cte.layout import DIRTY_COUNT, EXTENT, FULL, UNBACKED
from wrp.cte.records import RAM, unpack_all
from wrp.cte.small import ALIGN, BUSY, CHANGED, IMAGE_NBYTES, LEFT, LOST, NBYTES, PLACE, TAKEN, THERE, WORDS, small_list, small_promise, small_settle
from wrp.cte.targetnumbers import is_durable
from wrp.errors import OutOfSpace

_MOST = 1024                    # blobs per entry of the journal
_MOST_NBYTES = 4 << 20          # of small ones, which are copied, and of long ones, which another rank waits for
_MOST_LONG_NBYTES = 256 << 20
_HELD_NBYTES = 256 << 10        # bytes that are copied before others may have the catalog again
_OUT_NBYTES = 1 << 20
_FREED = 2 * _MOST + 64         # places in files that the blobs of an entry may have had
_EXTENT = struct.Struct("<3q")
_NBYTES, _PLACE, _LEFT = NBYTES // 8, PLACE // 8, LEFT // 8         # columns of rows

_kernels = Directly(list=(small_list, 5), promise=(small_promise, 14), write=(journaled_write, 8), settle=(small_settle, 8))


class Handfuls:
    """Of one rank. settle : Flush's, for a blob that was put again while it was written"""

    def __init__(self, parts, settle):
        self._parts, self._settle = parts, settle
        self._catalog, self._tiers = parts.catalog, parts.tiers
        self._known = None, None, None      # what `target` has found for a placing
        self._dirty = ctypes.c_int64.from_address(self._catalog.at + DIRTY_COUNT)
        self._image, self._out = np.zeros(IMAGE_NBYTES, np.uint8), np.empty(_OUT_NBYTES, np.uint8)
        self._buffer, self._freed, self._entry = np.empty(0, np.uint8), np.empty(EXTENT * _FREED, np.uint8), np.empty(0, np.uint8)

    def target(self, least):
        """The number of the file that takes all that a flush with `least` writes, None where there is a choice or nothing to write."""
        placing, of_least, target = self._known
        if placing is not self._tiers.placing or of_least != least:     # another one is made whenever targets change
            placing = self._tiers.placing
            files = [target.number for target in placing.targets if is_durable(target.number)]
            target = files[0] if len(files) == 1 and self._tiers.ram is not None and self._tiers.level(RAM) < least else None
            self._known = placing, least, target
        return target

    def find(self, target):
        """(rows of the small blobs that are dirty now, bytes that they take in a file, rows of the long ones and of those in the file `target`, the number of other dirty names)."""
        dirty = self._dirty.value
        if not dirty:
            return (), 0, (), 0
        # those that become dirty before the token is ours count as others
        rows = np.zeros((dirty, WORDS), np.int64)
        count, nbytes, longs, others = self._alone("looking for what is to be flushed", _kernels.list, id(rows), dirty, target)
        return rows[:count], nbytes, rows[dirty - longs:], others

    def _alone(self, what, kernel, *args):
        """What one of the kernels gives: it takes the catalog's token where nobody has it, else it is waited for here, which takes longer."""
        catalog = self._catalog
        found = kernel(catalog.at, this_thread(), *args)
        if found[0] == BUSY:
            with catalog.changing(what):
                found = kernel(catalog.at, 0, *args)
        return found

    def write(self, rows, nbytes, target):
        """Flush the small blobs of rows that `find` gave; True when some were left. Raises what a write raises: those of the parts before are durable."""
        left = False
        for part, part_nbytes in _parts_of(rows, nbytes, _MOST_NBYTES) if len(rows) else ():
            with self._catalog.flushing():
                left |= self._write(part, part_nbytes, target)
        return left

    def write_long(self, rows, target):
        """The same of the long ones."""
        left = False
        for part, _ in _parts_of(rows, int(rows[:, _NBYTES].sum()), _MOST_LONG_NBYTES) if len(rows) else ():
            with self._catalog.flushing():
                left |= self._write_long(part, target)
        return left

    def _write(self, rows, nbytes, target):
        failed, loose = self._parts.failed_syncs, []

        def brought(images, written):
            used, filled, order = self._promise(rows, nbytes, target, offset, images, loose)
            if used:
                self._tiers.write(target, offset, self._buffer[:used])
                self._tiers.counters.note(target, True, used)
                if self._parts.carries(target, filled):
                    self._write_down(rows, images, order, target, written, filled, id(self._buffer), offset)
                else:
                    self._write_down_synced(rows, images, order, target, written, failed)
        try:
            try:
                offset = self._tiers.lease_on(target, nbytes)
            except OutOfSpace as error:
                let_out(error)
                return True
            loose += (target, offset, nbytes, 0),
            return self._concluded(rows, target, brought)
        except BaseException:
            self._tiers.settle(loose)
            raise

    def _write_long(self, rows, target):
        failed, begun = self._parts.failed_syncs, []
        is_there = rows[:, _LEFT] == THERE
        placed = self._written(rows[~is_there], target)
        try:
            # once a sync has failed, what lies in the file may never come to storage
            chosen = np.concatenate([placed, rows[is_there & (not failed)]])
            return self._long_brought(chosen, placed, target, failed, begun) or len(chosen) < len(rows)
        except BaseException:
            if not begun:
                self._give_back(placed, target)
            raise

    def _long_brought(self, rows, placed, target, failed, begun):
        def brought(images, written):
            try:
                begun.append(True)
                _, filled, order = self._promise(rows, 0, target, 0, images)
            finally:
                own = rows[:len(placed)]
                self._give_back(own[own[:, _LEFT] != TAKEN], target)
            if filled:
                self._write_down_synced(rows, images, order, target, written, failed)
        return self._concluded(rows, target, brought)

    def _written(self, rows, target):
        """Write long blobs to places in the file: the rows, with these, of those whose bytes are what was put, as far as there is room."""
        tiers, taken = self._tiers, []
        try:
            for number, (_, _, _, nbytes, crc, source, _) in enumerate(rows.tolist()):
                try:
                    rows[number, _PLACE] = place = tiers.lease_on(target, nbytes)
                except OutOfSpace as error:
                    let_out(error)
                    break
                taken.append(number)
                data = tiers.ram_bytes[source:source + nbytes]
                tiers.write(target, place, data)
                self._parts.begin_sync([(target, place, nbytes, crc)])
                if crc32_of(data) != crc:
                    self._give_back(rows[taken.pop():number + 1], target)
            tiers.counters.note(target, True, int(rows[taken, 3].sum()), len(taken))
            return rows[taken]
        except BaseException:
            self._give_back(rows[taken], target)
            raise

    def _give_back(self, rows, target):
        for _, _, _, nbytes, _, place, _ in rows.tolist():
            self._tiers.device(target).give_back(place, nbytes)

    def _concluded(self, rows, target, brought):
        """`brought(images, written)` promises places to the rows and has them in the journal, after which they are settled; True when blobs are left to be flushed otherwise."""
        images, written = [], []
        try:
            brought(images, written)
            return self._settled(rows, target, images)
        except BaseException as error:
            if self._parts.journal.is_known(error):
                for _, record, durable in self._taken(rows, target, images):
                    if written:
                        self._settle_written(record, durable)
                    else:
                        self._settle(record, record, {durable})
            raise                       # else the journal may name the places: they stay taken

    def _settle_written(self, record, durable):
        self._settle(record, record.but(durable=(durable,), dirty=False), set(record.durable) - {durable})

    def _write_down_synced(self, rows, images, order, target, written, failed):
        """The journal has the rows that were taken, after their bytes, which are written already, have come to storage. failed : see Parts.sync"""
        self._parts.sync(failed, {target})
        self._parts.is_begun = True
        self._write_down(rows, images, order, target, written)

    def _write_down(self, rows, images, order, target, written, carried=0, buffer=0, offset=0):
        """The journal has them, with so many bytes of the buffer (its id), which is written to that offset of the file."""
        whole = b"".join(images)
        if len(self._entry) < (most := most_nbytes(len(whole), len(rows), carried)):
            self._entry = np.empty(most, np.uint8)
        nbytes = _kernels.write(id(self._entry), id(rows), len(rows), id(whole) + HEAD_OF_BYTES, order, target, buffer, offset)
        self._parts.journal.add(self._entry[:nbytes], written)

    def _promise(self, rows, nbytes, target, offset, images, loose=()):
        """Copy the blobs into the buffer, and let their records name the places: (bytes of the buffer, bytes of the blobs, the order of what the journal will say).

        nbytes : that are leased at `offset`, 0: the rows have places; images : gets the records as they were; loose : has what is leased until it is promised, or given back
        """
        if len(self._buffer) < nbytes:
            self._buffer = np.empty(nbytes, np.uint8)
        row = used = filled = order = 0
        try:
            if loose:
                del loose[:]
            while row < len(rows):
                before = row
                row, more, put, done, code, order = self._alone(
                    "flushing blobs", _kernels.promise, self._tiers.ram_address, id(rows), len(rows), row, id(self._buffer), used, min(nbytes - used, _HELD_NBYTES) if nbytes else -1,
                    target, offset + used, id(self._out), _OUT_NBYTES, id(self._image))
                used, filled = used + more, filled + put
                images.append(self._out[:done].tobytes())
                if code == UNBACKED:
                    with self._catalog.changing("making room in the catalog"):
                        self._catalog.back(2 * IMAGE_NBYTES)
                elif code == FULL or row == before:
                    row += 1                            # there is no room for what it has become
        except BaseException:
            used = int((-(-rows[rows[:, _LEFT] == TAKEN, _NBYTES] // ALIGN) * ALIGN).sum())     # whichever step of it is the last
            raise
        finally:
            if used < nbytes:
                self._tiers.device(target).give_back(offset + used, nbytes - used)
        return used, filled, order

    def _settled(self, rows, target, images):
        """The journal has them; True when blobs are left to be flushed otherwise."""
        freed, left, others = self._alone("settling blobs", _kernels.settle, id(rows), len(rows), target, id(self._freed), _FREED, id(self._image))
        was = [(word >> 32, offset, nbytes, 0) for word, offset, nbytes in _EXTENT.iter_unpack(self._freed[:EXTENT * freed])]
        if freed == 1 and was[0][0] == target:
            self._tiers.device(target).swap_back(*was[0][1:3])      # a blob that is put and flushed again and again goes to and fro between two places
        elif freed:
            self._tiers.give_back(was)
        if left:
            for state, record, durable in self._taken(rows, target, images):
                if state == CHANGED:
                    self._settle_written(record, durable)
        return others > 0

    def _taken(self, rows, target, images):
        """[(what became of it, Record as it was, the extent that it promised)] of the rows that were taken."""
        taken = [row for row in rows.tolist() if row[_LEFT] in (TAKEN, CHANGED, LOST)]
        records = unpack_all(b"".join(images))
        if len(records) < len(taken):       # a handler's error came when the kernel had just ended
            records += unpack_all(self._out.tobytes(), len(taken) - len(records))
        return [(state, record, (target, offset, nbytes, crc)) for record, (_, _, _, nbytes, crc, offset, state) in zip(records, taken)]


def _parts_of(rows, nbytes, most):
    """[(rows, bytes that they take)], each part small enough for one turn: of `most` bytes, or one row."""
    if len(rows) <= _MOST and nbytes <= most:
        return ((rows, nbytes),)
    parts, ends = [], np.cumsum(-(-rows[:, _NBYTES] // ALIGN) * ALIGN)
    start = before = 0
    while start < len(rows):
        end = min(start + _MOST, max(start + 1, int(np.searchsorted(ends, before + most, "right"))))
        parts.append((rows[start:end], int(ends[end - 1]) - before))
        start, before = end, int(ends[end - 1])
    return parts
