"""Array: the bytes of a set of members, read and written by rows. What an opening, a lost member or a new one needs is in mending.py; space is the device's.

A write puts a record into the slot of its zone on every member that it touches, then the bytes, then their entries, parity among them: when it has returned, any
`failures` members may go. It and whoever mends a chunk hold the zone's token; a reader takes it only where a checksum is wrong.
"""

import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Lock

import numpy as np

from wrp.comm.checksum import crc32
from wrp.errors import Corrupt, StoreError
from wrp.runtime.devices.safe import board as boards
from wrp.runtime.devices.safe import label as labels
from wrp.runtime.devices.safe import layout, record
from wrp.runtime.devices.safe.galois import add_times, factors, multiply, rebuilding
from wrp.runtime.devices.safe.layout import CHUNK, ZONE, Groups, chunk_place, entry_place, slot_of

_log = logging.getLogger("wrp.runtime")
_ENTRY = np.dtype([("crc", "<u4"), ("seq", "<u4")])     # (0, 0): nobody has written the chunk; (0, n): zeros that aren't there as bytes
_NO_CRC = 0xFFFFFFFF            # of bytes whose checksum is 0
_TRIES, _TRY_S = 5, 0.01


class Array:
    """members : by position, None for one that isn't there; label : any of the newest ones; opener : (position, path) -> member, OSError
    syncs : records are synced where a sync has promised bytes of their row; may_write : False for who reads while others, who don't see the board, may write

    Any thread and process of the node. Raises Corrupt where more than `failures` chunks of a row are damaged or gone, StoreError where too many members are.
    """

    def __init__(self, members, label, board, opener, syncs=True, may_write=True):
        self.members, self.label, self.board = list(members), label, board
        self.groups = Groups(label.groups)
        self.syncs, self.may_write = syncs, may_write
        self.doubtful = frozenset()         # rows of a set that was left in the middle of them, of who may only read
        self._opener, self._seen = opener, board.version
        self._turns = board.turns()
        self._retired, self._changing = [], Lock()

    @property
    def failures(self):
        """How many members may go."""
        return len(self.label.parity)

    def columns(self, group):
        """Positions of the members of a row."""
        return (*group.members, *self.label.parity)

    # state of the members

    def refresh(self):
        """Know what others have changed since the last look."""
        if self.board.version == self._seen and self.may_write:
            return
        with self._changing:
            self._refresh()

    def _refresh(self):
        seen = self.board.version
        if seen != self._seen or not self.may_write and self._newest_generation() != self.label.generation:
            found = [label for position, member in enumerate(self.members) if self.is_in(position) for label in [read_label(member)] if label is not None]
            self.take(max(found, key=lambda label: (label.generation, label.active), default=self.label))
            self._seen = seen
            if not self.may_write:
                self.board.set(mask(self.label.out) | mask(position for position, member in enumerate(self.members) if member is None))
                self._seen = self.board.version

    def _newest_generation(self):
        """Of who doesn't see the board: a label is newer than its own once a member has missed something."""
        newest = self.label.generation
        for member in self.members:
            with suppress(OSError):
                newest = max(newest, labels.generation(member) if member is not None else 0)
        return newest

    def begin(self, turns, seen):
        """The members were opened when the board had these turns and this version."""
        self._turns, self._seen = turns, seen

    def take(self, label):
        """Go on with another label: open the members that it names more, and those for which another file stands in by now."""
        turns = self.board.turns()          # before the files are opened: a later one is seen next time
        for position, path in enumerate(label.paths):
            if position == len(self.members):
                self.members.append(self._tried(position, path))
            elif self._has_moved(position, path, turns):
                self._put_in(position, self._tried(position, path))
        self._turns = turns
        self.label, self.groups = label, Groups(label.groups)

    def _has_moved(self, position, path, turns):
        member = self.members[position]
        if turns[position] != self._turns[position] or member is not None and member.path != path:
            return True
        return not self.may_write and (member is None or not member.is_there)       # nobody tells it of turns

    def _tried(self, position, path):
        try:
            return self._opener(position, path)
        except OSError:
            return None

    def replace(self, position, member):
        """Another file stands at a position, for all processes once the version changes. With the labels' token held."""
        with self._changing:
            self._put_in(position, member)
            self.board.turn(position)
            self._turns = self.board.turns()

    def _put_in(self, position, member):
        # other threads may be about to use the old one: its descriptor stays until the end
        self._retired.append(self.members[position])
        self.members[position] = member

    def _now(self, position):
        """The member that stands at a position now, after a look at the board said that it is used; None where it isn't there."""
        if self.may_write:
            self.refresh()
        return self.members[position]

    def is_in(self, position):
        return not self.board.out >> position & 1

    def is_written(self, position):
        return not (self.board.out & ~self.board.joining) >> position & 1

    def lose(self, position, error, must=True):
        """A member doesn't answer: from now on it counts as gone. StoreError when too many are, unless it needn't be said (`must`)."""
        with self.board.labels():
            self.refresh()
            if not self.is_written(position):
                return
            if not self.is_in(position):           # it was being rebuilt
                self.board.set(self.board.out, self.board.joining & ~(1 << position))
                return
            out = self.board.out | 1 << position
            if out.bit_count() > self.failures:
                if must:
                    self.board.break_off()
                    raise StoreError(f"safe device: more than {self.failures} of its members fail, {self.label.paths[position]} ({_said(error)}) the last of them: "
                                     f"bring them back and open it again") from error
                return
            _log.warning("member %s of a safe device fails (%s): what it holds is read from the others until it is recovered", self.label.paths[position], _said(error))
            self.write_labels(self.label.next(out=positions_of(out)), out)

    def write_labels(self, label, out, joining=0):
        """Let every member that is in have a new label; with the labels' token held. Those that fail go out, too."""
        for active in (False, True):
            label = replace(label, active=active)
            for position, member in enumerate(self.members):
                if not out >> position & 1:
                    try:
                        labels.write(member, replace(label, position=position))
                        if self.syncs:
                            member.sync()
                    except OSError as error:
                        more = out | 1 << position
                        if more.bit_count() > self.failures:
                            self.board.break_off()
                            raise StoreError(f"safe device: its members fail, {member.path} ({_said(error)}) the last of them") from error
                        return self.write_labels(label.next(out=positions_of(more)), more, joining & ~(1 << position))
        self.label, self.groups = label, Groups(label.groups)
        self.board.set(out, joining)
        self._seen = self.board.version
        return None

    @contextmanager
    def zone(self, row):
        """Be the only one who changes rows of a zone; the slot's number."""
        slot = slot_of(row)
        with self.board.zone(slot, self._replay):
            self.refresh()
            yield slot

    def _replay(self, slot):
        from wrp.runtime.devices.safe.mending import replay

        self.refresh()          # the writer may have known of members that were added
        replay(self, slot)

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
            good = self._read_chunks(position, parts[0][0], views)
            for number, (row, begin, end, at) in enumerate(parts):
                if not good[number]:
                    bad.append((row, column, begin, end, at))
                elif end - begin < CHUNK:
                    out[at:at + end - begin] = views[number][begin:end]
        for row, column, begin, end, at in bad:
            out[at:at + end - begin] = memoryview(self.mended(span.group, row, column))[begin:end]

    def _read_chunks(self, position, row, views):
        """Fill views with chunks of one member, from a row on: which of them are good."""
        if not self.is_in(position) or self._now(position) is None:
            return [False] * len(views)
        try:
            entries = self.entries(position, row, len(views))
            self.members[position].read(chunk_place(row), views)
        except OSError as error:
            self.lose(position, error, must=False)
            return [False] * len(views)
        good = []
        for entry, view in zip(entries.tolist(), views):
            if entry[0] == 0 and entry[1]:
                view[:] = bytes(len(view))
            good.append(entry[1] != 0 and (entry[0] == 0 or entry[0] == checksum(view)))
        return good

    def entries(self, position, row, count):
        """Entries of rows of one zone of a member: structured array. OSError."""
        found = np.zeros(count, _ENTRY)
        self.members[position].read(entry_place(row), [memoryview(found.view(np.uint8))])
        return found

    def chunk(self, position, row):
        """uint8 array of a chunk, None where it is damaged or gone, or nobody has written it."""
        found = np.empty(CHUNK, np.uint8)
        return found if self._read_chunks(position, row, [memoryview(found)])[0] else None

    def known(self, group, row, count):
        """({position: entries} of the members that are in, [whether nobody has written the row]) of rows of one zone."""
        found = {}
        for position in self.columns(group):
            if self.is_in(position) and self._now(position) is not None:
                try:
                    found[position] = self.entries(position, row, count)
                except OSError as error:
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
                with suppress(OSError):
                    self.put(position, row, max(int(entry["seq"][0]) for entry in entries.values()), found)
            return found

    def _again(self, position, row):
        """As `chunk`: somebody was writing it. Who doesn't see the board waits for that a moment."""
        found = self.chunk(position, row)
        for _ in range(0 if self.may_write or not self.is_in(position) else _TRIES):
            if found is not None:
                break
            time.sleep(_TRY_S)
            found = self.chunk(position, row)
        return found

    def rebuilt(self, group, row, wanted):
        """{column: uint8 array} of columns, from as many others as it takes. Corrupt."""
        columns, width = self.columns(group), len(group.members)
        if row in self.doubtful:
            raise Corrupt(f"safe device: row {row} was being written when its writer died: open it for writing once")
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

    # writing

    def write(self, offset, data):
        """Write all of `data` (memoryview of bytes) to a byte of the device on."""
        done = 0
        for span in self.groups.spans(offset, len(data)):
            with self.zone(span.row) as slot:
                if self.board.is_broken:
                    raise StoreError("safe device: too many of its members have failed: bring them back and open it again")
                self._write_span(slot, span, data[done:done + span.nbytes])
            done += span.nbytes

    def _write_span(self, slot, span, data):
        group, row, start = span.group, span.row, span.start
        while data:
            nbytes = min(group.row_nbytes - start, len(data))
            whole = len(data) // group.row_nbytes if start == 0 else 0
            fresh = self.known(group, row, max(whole, 1))[1]
            rows = fresh.index(False) if False in fresh else len(fresh)
            if whole and rows:
                nbytes = rows * group.row_nbytes
                with self._under_way(slot, rows):
                    self._write_fresh(slot, group, row, data[:nbytes])
            else:
                rows = 1
                with self._under_way(slot, 1):
                    self._write_row(slot, group, row, start, data[:nbytes])
            data, row, start = data[nbytes:], row + rows, 0

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
        # one type of arrays for the kernel, of bytes that may be written
        sources = np.array(data).reshape(rows, width, CHUNK) if data.readonly else np.frombuffer(data, np.uint8).reshape(rows, width, CHUNK)
        parity = np.empty((self.failures, rows, CHUNK), np.uint8)
        multiply(factors(width, self.failures), sources, parity)
        columns = self.columns(group)
        note = record.Record(self.board.next(slot), row, record.FRESH, (1 << rows) - 1, mask(columns))
        self.each(columns, lambda position: record.write(self.members[position], slot, note))

        def put(position):
            column = columns.index(position)
            chunks = [data[(number * width + column) * CHUNK:][:CHUNK] for number in range(rows)] if column < width else [memoryview(part) for part in parity[column - width]]
            self.members[position].write(chunk_place(row), *chunks)
            self.members[position].write(entry_place(row), entry_of(note.seq, *map(checksum, chunks)))
        self.each(columns, put)

    def _write_row(self, slot, group, row, start, data):
        """A part of a row, or one that holds something."""
        width, columns = len(group.members), self.columns(group)
        entries, (is_fresh,) = self.known(group, row, 1)
        pieces = _pieces(start, data)
        new, ranges = self._patched(group, row, pieces, is_fresh)
        for column in new:
            entry = entries.get(columns[column])
            if entry is None or not entry["crc"][0]:        # what stands there isn't what is said of it
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
            record.write(self.members[position], slot, record.Record(seq, row, record.REDO, 1, mask(touched), begin, end - begin, crcs[column], crc32(part)), part)

        def put(position):
            column = columns.index(position)
            if column in new:
                begin, end = ranges[column]
                self.members[position].write(chunk_place(row) + begin, memoryview(new[column])[begin:end])
            self.members[position].write(entry_place(row), entry_of(seq, crcs.get(column, 0)))

        self.each(touched, note)
        if self.syncs and not is_fresh and any(self.board.is_synced(slot, int(entry["seq"][0])) for entry in entries.values() if entry["seq"][0]):
            # a sync has promised bytes of this row: they must not depend on the order in which storage takes what follows
            self.each(touched, lambda position: self.members[position].sync())
        self.each(touched, put)

    def _patched(self, group, row, pieces, is_fresh):
        """({column: whole chunk as it is to be}, {column: (begin, end) of what changes in it}) of the columns that pieces and the parity touch."""
        width, columns = len(group.members), self.columns(group)
        matrix = factors(width, self.failures)
        if sum(len(piece) for _, piece in pieces.values()) == group.row_nbytes:
            parity = np.empty((self.failures, 1, CHUNK), np.uint8)
            multiply(matrix, np.stack([piece for _, piece in pieces.values()])[None], parity)
            return dict(enumerate([*(piece for _, piece in pieces.values()), *parity[:, 0]])), dict.fromkeys(range(len(columns)), (0, CHUNK))
        wanted = [*pieces, *range(width, len(columns))]
        old = {column: np.zeros(CHUNK, np.uint8) for column in wanted} if is_fresh else {column: self.chunk(columns[column], row) for column in wanted}
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

    def put(self, position, row, seq, chunk):
        """Write a whole chunk and its entry, without a record. OSError."""
        self.members[position].write(chunk_place(row), memoryview(chunk))
        self.members[position].write(entry_place(row), entry_of(seq, checksum(chunk)))

    def each(self, positions, action):
        """Do something with each member that is written. Those that fail go out; StoreError when too many do."""
        for position in positions:
            if self.is_written(position):
                try:
                    if self._now(position) is None:
                        raise OSError(2, "it isn't there for this process")
                    action(position)
                except OSError as error:
                    if isinstance(error, StoreError):
                        raise
                    self.lose(position, error)

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
        self.each(range(len(self.members)), lambda position: self.members[position].sync())
        self.board.synced(seqs)

    def close(self):
        for member in (*self.members, *self._retired):
            if member is not None:
                member.close()


def read_label(member):
    """The Label of a member; None where there is none, or it can't be read."""
    try:
        return labels.read(member) if member is not None else None
    except OSError:
        return None


def checksum(chunk):
    """That of an entry, never 0."""
    return crc32(chunk) or _NO_CRC


def entry_of(seq, *crcs):
    """Bytes of entries, one for each chunk."""
    return np.array([(crc, seq & 0xFFFFFFFF) for crc in crcs], _ENTRY).tobytes()


def mask(positions):
    return sum(1 << position for position in positions)


def positions_of(bits):
    return tuple(position for position in range(bits.bit_length()) if bits >> position & 1)


def _said(error):
    return getattr(error, "strerror", None) or error


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
