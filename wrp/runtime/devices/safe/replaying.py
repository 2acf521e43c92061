"""Replaying: what a writer that died has left in the slot of a zone, brought to its end or undone. Takes no token."""

from contextlib import suppress

from wrp.comm.refusals import is_refusal
from wrp.errors import Corrupt
from wrp.runtime.devices.safe import layout, record
from wrp.runtime.devices.safe.entry import entry_of
from wrp.runtime.devices.safe.layout import chunk_place, entry_place
from wrp.runtime.devices.safe.roster import positions_of


def records(array, slot):
    """{position: (Record, bytes)} of the members that are in."""
    found = {}
    for position, member in enumerate(array.members):
        if member is not None and not array.board.out >> position & 1:
            try:
                kept = record.read(member, slot)
            except OSError as error:
                if not is_refusal(error):
                    raise
                array.lose(position, error)
                continue
            if kept is not None:
                found[position] = kept
    return found


def replay(array, slot):
    """Bring the last write of a slot to its end, or undo it. With the slot's token held, or before anybody else has the array."""
    found = records(array, slot)
    last = max((kept[0] for kept in found.values()), key=lambda each: each.seq, default=None)
    if last is None:
        return
    there = [position for position in positions_of(last.touched) if array.members[position] is not None]
    touched = [position for position in there if array.is_in(position)]
    if last.kind == record.FRESH:
        for row in positions_of(last.rows):
            _undo_half(array, last.row + row, touched)
    elif all(position in found and found[position][0].seq == last.seq for position in touched):
        def redo(position):
            note, data = found[position]
            array.members[position].write(chunk_place(note.row) + note.start, data)
            array.members[position].write(entry_place(note.row), entry_of(note.seq, note.entry_crc))
        array.each(touched, redo)
    for position in there:
        if not array.is_in(position):
            for row in positions_of(last.rows):
                array.each((position,), lambda position: _join_again(array, position, last.row + row))


def _undo_half(array, row, touched):
    """Let a row that was fresh be fresh again, unless every member has its chunk."""
    entries = {}
    array.each(touched, lambda position: entries.update({position: array.entries(position, row, 1)}))
    if not all(entry["seq"][0] for entry in entries.values()):
        array.each(touched, lambda position: array.members[position].write(entry_place(row), bytes(layout.ENTRY)))


def _join_again(array, position, row):
    """Let a member that joins have what the others have of a row, which its writer has left in the middle. OSError."""
    group = array.groups.of_row(row)
    array.members[position].write(entry_place(row), bytes(layout.ENTRY))
    known, (is_fresh,) = array.known(group, row, 1)
    if not is_fresh and position in array.columns(group):
        with suppress(Corrupt):
            array.restore(position, row, max(int(entry["seq"][0]) for entry in known.values()))


def unfinished(array, slot):
    """(number of the last write, its rows that aren't written on all members), for who may only read. OSError."""
    there = [position for position, member in enumerate(array.members) if member is not None and array.is_in(position)]
    last = max(filter(None, (record.head(array.members[position], slot) for position in there)), key=lambda each: each.seq, default=None)
    if last is None:
        return 0, ()
    word = last.seq & 0xFFFFFFFF
    touched = [position for position in positions_of(last.touched) if position in there]
    rows = [last.row + row for row in positions_of(last.rows)]
    return last.seq, [row for row in rows if not all(int(array.entries(position, row, 1)["seq"][0]) == word for position in touched)]
