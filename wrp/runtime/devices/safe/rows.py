"""Rows: chunks of a set with their entries, read and checked, rebuilt from the others of their row, put back. Which bytes of the device they are is array.py's."""

import time
from contextlib import contextmanager, suppress

import numpy as np

from wrp.comm.refusals import is_refusal, tolerant
from wrp.errors import Corrupt, StoreError
from wrp.runtime.devices.safe import board as boards
from wrp.runtime.devices.safe.entry import ENTRY, NO_CRC, checksum, entry_of
from wrp.runtime.devices.safe.galois import multiply, rebuilding
from wrp.runtime.devices.safe.layout import CHUNK, chunk_place, entry_place, slot_of
from wrp.runtime.devices.safe.replaying import replay, unfinished
from wrp.runtime.devices.safe.roster import Roster, positions_of

_TRIES, _TRY_S = 20, 0.01


class Rows(Roster):
    """See array.Array."""

    @contextmanager
    def zone(self, row):
        """Be the only one who changes rows of a zone; the slot's number."""
        slot = slot_of(row)
        with self.board.zone(slot, self._replay):
            self.refresh()
            yield slot

    def _replay(self, slot):
        self.refresh()          # the writer may have known of members that were added
        replay(self, slot)

    def chunks(self, position, row, views, known=None):
        """Fill views with chunks of one member, from a row on: which of them are good. known : [(checksum, number)] of their entries"""
        if not self.is_in(position) or self._now(position) is None:
            return [False] * len(views)
        try:
            known = self.entries(position, row, len(views)).tolist() if known is None else known
            self.members[position].read(chunk_place(row), views)
        except OSError as error:
            if not is_refusal(error):
                raise
            self.lose(position, error, must=False)
            return [False] * len(views)
        good = []
        for entry, view in zip(known, views):
            if entry[0] == 0 and entry[1]:
                view[:] = bytes(len(view))
            good.append(entry[1] != 0 and (entry[0] == 0 or entry[0] == checksum(view)))
        return good

    def entries(self, position, row, count):
        """Entries of rows of one zone of a member: structured array. OSError."""
        found = np.zeros(count, ENTRY)
        self.members[position].read(entry_place(row), [memoryview(found.view(np.uint8))])
        return found

    def chunk(self, position, row, entry=None):
        """uint8 array of a chunk, None where it is damaged or gone, or nobody has written it. entry : (checksum, number), where they are known"""
        found = np.empty(CHUNK, np.uint8)
        return found if self.chunks(position, row, [memoryview(found)], entry and [entry])[0] else None

    def as_it_lies(self, position, row):
        """uint8 array of a chunk, damaged or not; zeros where its member isn't written. OSError."""
        found = np.zeros(CHUNK, np.uint8)
        if self.members[position] is not None and self.is_written(position):
            self.members[position].read(chunk_place(row), [memoryview(found)])
        return found

    def known(self, group, row, count):
        """({position: entries} of the members that are in, [whether nobody has written the row]) of rows of one zone."""
        found = {}
        for position in self.columns(group):
            if self.is_in(position) and self._now(position) is not None:
                try:
                    found[position] = self.entries(position, row, count)
                except OSError as error:
                    if not is_refusal(error):
                        raise
                    self.lose(position, error, must=False)
        if len(found) < len(group.members):
            raise StoreError(f"safe device: only {len(found)} of its members answer, and it needs {len(group.members)}")
        return found, [not any(entries["seq"][number] for entries in found.values()) for number in range(count)]

    def mended(self, group, row, column):
        """A chunk that couldn't be read, uint8 array, from the others of its row; it goes back to its member where that is in."""
        with self.zone(row):
            position = self.columns(group)[column]
            found = self._again(position, row)
            if found is not None:
                return found
            entries, (is_fresh,) = self.known(group, row, 1)
            if is_fresh:
                return np.zeros(CHUNK, np.uint8)
            found = self.rebuilt(group, row, (column,))[column]
            self.board.count(boards.RECOVERED)
            if self.may_write and self.is_written(position) and self.members[position] is not None:
                with tolerant():
                    self.put(position, row, max(int(entry["seq"][0]) for entry in entries.values()), found)
            return found

    def _again(self, position, row):
        """As `chunk`: somebody was writing it. Who doesn't see the board waits for that a moment, where the records say so: what is damaged isn't waited for."""
        for _ in range(0 if self.may_write or not self.is_in(position) else _TRIES):
            is_being_written = row in unfinished(self, slot_of(row))[1]         # before the look
            found = self.chunk(position, row)
            if found is not None or not is_being_written:
                return found
            time.sleep(_TRY_S)
        return self.chunk(position, row)

    def rebuilt(self, group, row, wanted):
        """{column: uint8 array} of columns, from as many others as it takes. Corrupt."""
        if self.may_write:
            return self._rebuilt(group, row, wanted)
        # who holds no token waits until nobody writes the row: chunks of before a write and of after it make neither
        for last in (*[False] * _TRIES, True):
            seq, rows = unfinished(self, slot_of(row))
            try:
                if row not in rows:
                    found = self._rebuilt(group, row, wanted)
                    if unfinished(self, slot_of(row))[0] == seq:
                        return found
            except Corrupt:
                if last:
                    raise
            time.sleep(_TRY_S)
        raise Corrupt(f"safe device: row {row} is being written, or was when its writer died: read it again, or open it for writing once")

    def _rebuilt(self, group, row, wanted):
        columns, width = self.columns(group), len(group.members)
        sources, present = np.empty((1, width, CHUNK), np.uint8), []
        for column, position in enumerate(columns):
            found = None if column in wanted or len(present) == width else self.chunk(position, row)
            if found is not None:
                sources[0, len(present)] = found
                present.append(column)
        if len(present) < width:
            self.board.count(boards.LOST)
            raise Corrupt(f"safe device: {len(columns) - len(present)} of the {len(columns)} chunks of row {row} are damaged or gone, and {self.failures} may be "
                          f"(members out: {', '.join(self.label.paths[position] for position in positions_of(self.board.out)) or 'none'})")
        targets = np.empty((len(wanted), 1, CHUNK), np.uint8)
        multiply(rebuilding(width, self.failures, tuple(present), tuple(wanted)), sources, targets)
        return {column: targets[number, 0] for number, column in enumerate(wanted)}

    def put(self, position, row, seq, chunk):
        """Write a whole chunk and its entry, without a record. OSError."""
        self.members[position].write(chunk_place(row), memoryview(chunk))
        self.members[position].write(entry_place(row), entry_of(seq, checksum(chunk)))

    def restore(self, position, row, seq):
        """Let a member have its chunk of a row from the others; where too much of them is damaged, an entry that what lies there doesn't fit: then Corrupt. OSError."""
        group = self.groups.of_row(row)
        column = self.columns(group).index(position)
        try:
            self.put(position, row, seq, self.rebuilt(group, row, (column,))[column])
        except Corrupt:
            # not one of zeros, by which the row would be one that nobody has written, for who undoes half of a write
            self.members[position].write(entry_place(row), entry_of(seq, checksum(self.as_it_lies(position, row)) ^ 1 or NO_CRC))
            raise
