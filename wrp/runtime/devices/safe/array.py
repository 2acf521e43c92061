"""Array: the bytes of a set of members, read and written. What an opening, a lost member or a new one needs is in opening.py, recovery.py and widening.py; space is the device's.

A write puts a record into the slot of its zone on every member that it touches, then the bytes, then their entries, parity among them: when it has returned, any
`failures` members may go. It and whoever mends a chunk hold the zone's token; a reader takes it only where a checksum is wrong.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from wrp.comm.digests import crc32_of
from wrp.comm.streaming import address_of
from wrp.errors import StoreError
from wrp.runtime.devices.safe import board as boards
from wrp.runtime.devices.safe import layout, record
from wrp.runtime.devices.safe.entry import NO_CRC, checksum, entry_of
from wrp.runtime.devices.safe.galois import add_times, factors, multiply
from wrp.runtime.devices.safe.layout import CHUNK, ZONE, chunk_place, entry_place
from wrp.runtime.devices.safe.roster import mask
from wrp.runtime.devices.safe.rows import Rows


class Array(Rows):
    """members : by position, None for one that isn't there; label : any of the newest ones; opener : (position, path) -> member, OSError
    syncs : records are synced where a sync has promised bytes of their row; may_write : False for who reads while others, who don't see the board, may write

    Any thread and process of the node. Raises Corrupt where more than `failures` chunks of a row are damaged or gone, StoreError where too many members are.
    """

    # reading

    def read(self, offset, out):
        """Fill `out` (writable memoryview of bytes) from a byte of the device on."""
        self.refresh()
        done = 0
        for span in self.groups.spans(offset, len(out)):
            self._read_span(span, out[done:done + span.nbytes])
            done += span.nbytes

    def _read_span(self, span, out):
        bad = []
        for column, position in enumerate(span.group.members):
            parts = _parts(span, column)
            if not parts:
                continue
            views = [out[at:at + CHUNK] if end - begin == CHUNK else memoryview(bytearray(CHUNK)) for _, begin, end, at in parts]
            good = self.chunks(position, parts[0][0], views)
            for number, (row, begin, end, at) in enumerate(parts):
                if not good[number]:
                    bad.append((row, column, begin, end, at))
                elif end - begin < CHUNK:
                    out[at:at + end - begin] = views[number][begin:end]
        for row, column, begin, end, at in bad:
            out[at:at + end - begin] = memoryview(self.mended(span.group, row, column))[begin:end]

    # writing

    def write(self, offset, data):
        """Write all of `data` (memoryview of bytes) to a byte of the device on."""
        done = 0
        for span in self.groups.spans(offset, len(data)):
            with self.zone(span.row) as slot:
                if self.board.is_broken:
                    raise StoreError("safe device: too many of its members have failed: bring them back and open it again")
                # a copy: others may change the bytes meanwhile, and parity and checksums have to be of what is written
                self._write_span(slot, span, memoryview(bytes(data[done:done + span.nbytes])))
            done += span.nbytes

    def _write_span(self, slot, span, data):
        group, number, start = span.group, 0, span.start
        entries, fresh = self.known(group, span.row, -(-(start + len(data)) // group.row_nbytes))       # nobody else changes them meanwhile
        while data:
            upto = number
            while start == 0 and upto < len(fresh) and fresh[upto] and (upto - number + 1) * group.row_nbytes <= len(data):
                upto += 1
            if upto > number:
                nbytes = (upto - number) * group.row_nbytes
                with self._under_way(slot, upto - number):
                    self._write_fresh(slot, group, span.row + number, data[:nbytes])
            else:
                nbytes, upto = min(group.row_nbytes - start, len(data)), number + 1
                known = {position: (int(found["crc"][number]), int(found["seq"][number])) for position, found in entries.items()}
                with self._under_way(slot, 1):
                    self._write_row(slot, group, span.row + number, start, data[:nbytes], known)
            data, number, start = data[nbytes:], upto, 0

    @contextmanager
    def _under_way(self, slot, rows):
        """A write that an error ends, Ctrl-C too, is brought to its end or undone before others get the zone; where that fails the next opening does it."""
        before = self.board.last(slot)
        self.board.count(boards.UNDER_WAY, rows)
        try:
            yield
        except BaseException:
            if self.board.is_broken:
                raise
            if self.board.last(slot) != before:         # else it has written nothing
                try:
                    self._replay(slot)
                except BaseException:
                    self.board.break_off()
                    raise
            self.board.count(boards.UNDER_WAY, -rows)
            raise
        self.board.count(boards.UNDER_WAY, -rows)

    def _write_fresh(self, slot, group, row, data):
        """Whole rows that nobody has written: no bytes of others are in them."""
        width, rows = len(group.members), len(data) // group.row_nbytes
        parity = self._parity(data, rows, width)
        columns = self.columns(group)
        note = record.Record(self.board.next(slot), row, record.FRESH, (1 << rows) - 1, mask(columns))
        self.each(columns, lambda position: record.write(self.members[position], slot, note))

        def put(position):
            column = columns.index(position)
            chunks = [data[(number * width + column) * CHUNK:][:CHUNK] for number in range(rows)] if column < width else [memoryview(part) for part in parity[column - width]]
            self.members[position].write(chunk_place(row), *chunks)
            self.members[position].write(entry_place(row), entry_of(note.seq, *map(checksum, chunks)))
        self.each(columns, put)

    def _parity(self, data, rows, width):
        """uint8 array (failures, rows, CHUNK) of whole rows, `data`."""
        # one type of arrays for the kernel: of bytes that may be written
        sources = np.frombuffer((ctypes.c_uint8 * len(data)).from_address(address_of(data)), np.uint8).reshape(rows, width, CHUNK)
        parity = np.empty((self.failures, rows, CHUNK), np.uint8)
        multiply(factors(width, self.failures), sources, parity)
        return parity

    def _write_row(self, slot, group, row, start, data, known):
        """A part of a row, or one that holds something. known : {position: (checksum, number)} of its entries"""
        columns, is_fresh = self.columns(group), not any(seq for _, seq in known.values())
        if len(data) == group.row_nbytes:
            chunks = [*np.frombuffer(data, np.uint8).reshape(-1, CHUNK), *self._parity(data, 1, len(group.members))[:, 0]]
            new, ranges = dict(enumerate(chunks)), dict.fromkeys(range(len(columns)), (0, CHUNK))
        else:
            new, ranges = self._patched(group, row, _pieces(start, data), is_fresh, known)
        for column in new:
            if not known.get(columns[column], (0,))[0]:         # what stands there isn't what is said of it
                ranges[column] = 0, CHUNK
        touched = [columns[column] for column in new] if not is_fresh else columns
        seq = self.board.next(slot)
        crcs = {column: checksum(chunk) for column, chunk in new.items()}

        def note(position):
            column = columns.index(position)
            if is_fresh:
                record.write(self.members[position], slot, record.Record(seq, row, record.FRESH, 1, mask(touched)))
                return
            begin, end = ranges[column]
            part = memoryview(new[column])[begin:end]
            crc = crc32_of(part) if len(part) < CHUNK or crcs[column] == NO_CRC else crcs[column]
            record.write(self.members[position], slot, record.Record(seq, row, record.REDO, 1, mask(touched), begin, end - begin, crcs[column], crc), part)

        def put(position):
            column = columns.index(position)
            if column in new:
                begin, end = ranges[column]
                self.members[position].write(chunk_place(row) + begin, memoryview(new[column])[begin:end])
            self.members[position].write(entry_place(row), entry_of(seq, crcs.get(column, 0)))

        self.each(touched, note)
        if self.syncs and not is_fresh and any(self.board.is_synced(slot, seq) for _, seq in known.values() if seq):
            # a sync has promised bytes of this row: they must not depend on the order in which storage takes what follows
            self._sync(touched)
        self.each(touched, put)

    def _patched(self, group, row, pieces, is_fresh, known):
        """({column: whole chunk as it is to be}, {column: (begin, end) of what changes in it}) of the columns that pieces and the parity touch."""
        width, columns = len(group.members), self.columns(group)
        matrix = factors(width, self.failures)
        wanted = [*pieces, *range(width, len(columns))]
        old = {column: np.zeros(CHUNK, np.uint8) for column in wanted} if is_fresh else {column: self.chunk(columns[column], row, known.get(columns[column])) for column in wanted}
        missing = tuple(column for column in wanted if old[column] is None)
        if missing:
            old.update(self.rebuilt(group, row, missing))
        new, ranges = {column: old[column] for column in wanted if column >= width}, {}
        lows, highs = zip(*((begin, begin + len(piece)) for begin, piece in pieces.values()))
        for column, (begin, piece) in pieces.items():
            end = begin + len(piece)
            new[column], ranges[column] = old[column].copy(), (begin, end)
            new[column][begin:end] = piece
            change = old[column][begin:end] ^ new[column][begin:end]
            for parity in range(self.failures):
                add_times(new[width + parity][begin:end], change, matrix[parity, column])
        ranges.update({column: (min(lows), max(highs)) for column in range(width, len(columns))})
        return new, ranges

    # space and storage

    def back(self, offset, nbytes):
        """Have room on the members for a run of the device. OutOfSpace."""
        self.refresh()
        for span in self.groups.spans(offset, nbytes):
            last = span.row + (span.start + span.nbytes - 1) // span.group.row_nbytes
            for position in self.columns(span.group):
                if self.is_written(position) and self.members[position] is not None:
                    self.members[position].back(entry_place(span.row), ZONE * layout.ENTRY)
                    self.members[position].back(chunk_place(span.row), (last - span.row + 1) * CHUNK)

    def sync(self):
        """What was written is on storage when it returns."""
        self.refresh()
        seqs = self.board.seqs()
        self._sync(range(len(self.members)))
        self.board.synced(seqs)

    def _sync(self, positions):
        """All at once: each waits for a disk of its own."""
        def synced(position):
            try:
                self.members[position].sync()
            except OSError as error:
                return error
        there = [position for position in positions if self.is_written(position) and self.members[position] is not None]
        with ThreadPoolExecutor(max(1, len(there)), "wrp-safe-sync") as threads:
            failed = {position: error for position, error in zip(there, threads.map(synced, there)) if error is not None}

        def said(position):
            if position in failed:
                raise failed[position]
        self.each(positions, said)


def _pieces(start, data):
    """{column: (begin, bytes)} of a run of one row."""
    found = {}
    while data:
        column, begin = divmod(start, CHUNK)
        count = min(CHUNK - begin, len(data))
        found[column] = begin, np.frombuffer(data[:count], np.uint8)
        start, data = start + count, data[count:]
    return found


def _parts(span, column):
    """[(row, begin, end, place among the span's bytes)] of what a span has of a column."""
    found, width = [], span.group.row_nbytes
    for number in range((span.start + span.nbytes - 1) // width + 1):
        first = number * width + column * CHUNK                         # bytes from the begin of the span's first row
        begin, end = max(first, span.start), min(first + CHUNK, span.start + span.nbytes)
        if begin < end:
            found.append((span.row + number, begin - first, end - first, begin - span.start))
    return found
