"""Making, opening and mending a set: which members are its own, what a writer that died has left, lost members rebuilt, others added. Moves no bytes for users."""

import logging
import os
import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from wrp.errors import Corrupt, StoreError
from wrp.runtime.devices.safe import board as boards
from wrp.runtime.devices.safe import label as labels
from wrp.runtime.devices.safe import layout, record
from wrp.runtime.devices.safe.array import Array, entry_of, mask, positions_of, read_label
from wrp.runtime.devices.safe.galois import factors, multiply
from wrp.runtime.devices.safe.layout import CHUNK, SLOTS, ZONE, Groups, chunk_place, entry_place

_log = logging.getLogger("wrp.runtime")


class Mended(NamedTuple):
    """What a look at all rows found: rows, those whose parity was made anew, chunks that came back, chunks that are lost."""

    rows: int
    remade: int
    recovered: int
    lost: int


# opening

def opened(paths, failures, capacity, open_member, board, syncs):
    """The Array of these members, made if all of them are blank. Once on a node, before anybody else has it.

    open_member : (position, path, create) -> member, OSError
    Raises StoreError when a file is no member of the set, or too many are missing.
    """
    members = [_tried(open_member, position, path) for position, path in enumerate(paths)]
    with _closed_on_error(members):
        return _opened(members, paths, failures, capacity, open_member, board, syncs)


@contextmanager
def _closed_on_error(members):
    try:
        yield
    except BaseException:
        for member in members:
            if member is not None:
                member.close()
        raise


def _opened(members, paths, failures, capacity, open_member, board, syncs):
    found = [labels.read(member) if member is not None else None for member in members]
    for path, member, label in zip(paths, members, found):
        if member is not None and label is None and not labels.is_blank(member):
            raise StoreError(f"safe device: {path} holds other bytes and no label of a member: give it another path")
    if not any(found):
        label = _made(members, paths, failures, capacity, open_member)
        array = Array(members, label, board, lambda position, path: open_member(position, path, False), syncs)
        with board.labels():
            array.write_labels(replace(label, boot=_boot()), 0)
        return array
    newest = max(filter(None, found), key=lambda label: (label.generation, label.active))
    _check_all(paths, failures, newest, found)
    for position in range(len(members), len(newest.paths)):         # added later: the labels know them
        members.append(_tried(open_member, position, newest.paths[position]))
        found.append(labels.read(members[-1]) if members[-1] is not None else None)
    out = mask(newest.out) | _away(newest, members, found)
    if out.bit_count() > failures:
        raise StoreError(f"safe device: {out.bit_count()} of its members are missing or stale ({', '.join(newest.paths[position] for position in positions_of(out))}), "
                         f"and {failures} may be: bring them back")
    return _continued(members, newest, out, board, open_member, capacity, paths, syncs)


def _continued(members, newest, out, board, open_member, capacity, paths, syncs):
    """The Array of a set that is there, mended as far as its last writer has left it in the middle."""
    array = Array(members, newest, board, lambda position, path: open_member(position, path, False), syncs)
    board.set(out)
    label = newest.next(out=positions_of(out), boot=_boot(), capacity=max(newest.capacity, capacity), paths=(*paths, *newest.paths[len(paths):]))
    with board.labels():
        array.write_labels(label, out)
    for slot in range(SLOTS):
        if newest.boot:
            replay(array, slot)
        found = [kept[0].seq for kept in _records(array, slot).values()]
        board.begin(slot, max(found, default=0))
    if newest.boot not in ("", _boot()):
        # the machine itself went down: storage may have taken some writes and not others
        _log.warning("safe device of %s: the machine went down while it was open: all rows are looked at", newest.paths[0])
        look(array, remakes=True)
    return array


def joined(paths, open_member, board, syncs):
    """The Array of a set that another process of the node has open."""
    turns, seen = board.turns(), board.version         # what changes while the files are opened is seen at the first use
    members = [_tried(open_member, position, path) for position, path in enumerate(paths)]
    newest = max((label for label in map(read_label, members) if label is not None), key=lambda label: (label.generation, label.active))
    array = Array(members, newest, board, lambda position, path: open_member(position, path, False), syncs)
    array.begin(turns, seen)
    array.take(newest)
    return array


def alone(paths, open_member):
    """An Array to read from, for a process that doesn't share the board of those who may write. Raises StoreError."""
    members = [_tried(open_member, position, path) for position, path in enumerate(paths)]
    found = [labels.read(member) if member is not None else None for member in members]
    newest = max(filter(None, found), key=lambda label: (label.generation, label.active), default=None)
    if newest is None:
        raise StoreError(f"safe device: none of its members is there: {', '.join(paths)}")
    board = boards.Board.private()
    array = Array(members, newest, board, lambda position, path: open_member(position, path, False), may_write=False)
    array.take(newest)
    found += [labels.read(member) if member is not None else None for member in array.members[len(found):]]
    board.set(mask(newest.out) | _away(newest, array.members, found))
    array._seen = board.version
    if newest.boot:
        array.doubtful = frozenset(row for slot in range(SLOTS) for row in _unfinished(array, slot))
    return array


def closed(array):
    """Let the labels say that nothing is left in the middle. Once on a node, when nobody writes any more."""
    if not array.board.is_broken and not array.board.is_under_way:
        try:
            with array.board.labels():
                array.refresh()
                array.write_labels(array.label.next(boot=""), array.board.out, 0)
        except StoreError as error:         # the next opening looks at what was left
            _log.warning("%s", error)


def _tried(open_member, position, path):
    try:
        return open_member(position, path, False)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        return None


def _made(members, paths, failures, capacity, open_member):
    for position, path in enumerate(paths):
        if members[position] is None:
            try:
                members[position] = open_member(position, path, True)
            except OSError as error:
                raise StoreError(f"member {path} of a safe device can't be made: {error.strerror or error}; check the path and its permissions") from error
    data = len(paths) - failures
    return labels.Label(uuid.uuid4().hex, 0, 0, False, tuple(paths), (), ((0, tuple(range(data))),),
                        tuple(range(data, len(paths))), capacity, "")


def _check_all(paths, failures, newest, found):
    """StoreError for a member of another set, or one that stands elsewhere."""
    sets = [label.set for label in found if label is not None]
    usual = max(set(sets), key=sets.count)
    for position, (path, label) in enumerate(zip(paths, found)):
        if label is not None and label.set != usual:
            raise StoreError(f"safe device: {path} is a member of another set than the others: bring back the one that was here, or remove it and recover the member")
        if label is not None and label.position != position:
            raise StoreError(f"safe device: {path} is member {label.position} of the set and stands in place {position}: name the members in their order")
    if failures != len(newest.parity) or len(paths) - failures > len(newest.paths) - len(newest.parity):
        raise StoreError(f"safe device: the set has {len(newest.paths) - len(newest.parity)} data members and outlives {len(newest.parity)}, not {len(paths) - failures} and {failures}: "
                         f"give it the members and max_failures that it was made with")


def _away(newest, members, found):
    """Bits of members that are missing, blank, or were away while others were written."""
    away = 0
    for position, (member, label) in enumerate(zip(members, found)):
        if member is None or label is None or newest.active and label.generation < newest.generation:
            if position not in newest.out:
                _log.warning("member %s of a safe device %s: what it holds is read from the others until it is recovered", newest.paths[position],
                             "isn't there" if member is None else "is blank" if label is None else "is stale: others were written without it")
            away |= 1 << position
    return away


def _boot():
    """What names this run of the machine."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "unknown"


# what a writer that died has left

def _records(array, slot):
    """{position: (Record, bytes)} of the members that are in."""
    found = {}
    for position, member in enumerate(array.members):
        if member is not None and not array.board.out >> position & 1:
            try:
                kept = record.read(member, slot)
            except OSError as error:
                array.lose(position, error)
                continue
            if kept is not None:
                found[position] = kept
    return found


def replay(array, slot):
    """Bring the last write of a slot to its end, or undo it. With the slot's token held, or before anybody else has the array."""
    found = _records(array, slot)
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
        column = array.columns(group).index(position)
        with suppress(Corrupt):
            array.put(position, row, max(int(entry["seq"][0]) for entry in known.values()), array.rebuilt(group, row, (column,))[column])


def _unfinished(array, slot):
    """Rows that a replay might change."""
    found = _records(array, slot)
    last = max((kept[0] for kept in found.values()), key=lambda each: each.seq, default=None)
    if last is None:
        return ()
    rows = [last.row + row for row in positions_of(last.rows)]
    word = last.seq & 0xFFFFFFFF
    touched = [position for position in positions_of(last.touched) if array.members[position] is not None and not array.board.out >> position & 1]
    return [row for row in rows if not all(int(array.entries(position, row, 1)["seq"][0]) == word for position in touched)]


# rebuilding

def _zones(array):
    """(group, first row) of all zones in which members may hold something."""
    nbytes = max((member.nbytes for position, member in enumerate(array.members) if member is not None and not array.board.out >> position & 1), default=0)
    for row in range(0, layout.rows_in(nbytes), ZONE):
        yield array.groups.of_row(row), row


def look(array, remakes=False):
    """Read all rows: chunks that are damaged come back, parity that doesn't fit is made anew. Mended.

    remakes : rows that can't be read any more are what stands in them, damaged or not; else they stay unreadable
    """
    rows = remade = recovered = lost = 0
    for group, first in _zones(array):
        with array.zone(first):
            fresh = array.known(group, first, ZONE)[1]
            for row in (first + number for number, is_fresh in enumerate(fresh) if not is_fresh):
                rows += 1
                found = _looked(array, group, row, remakes)
                remade, recovered, lost = remade + found[0], recovered + found[1], lost + found[2]
    return Mended(rows, remade, recovered, lost)


def _looked(array, group, row, remakes):
    """(1 if its parity was made anew, chunks that came back, chunks that are lost) of a row."""
    columns, width = array.columns(group), len(group.members)
    chunks = {column: array.chunk(position, row) for column, position in enumerate(columns)}
    bad = tuple(column for column in chunks if chunks[column] is None)
    if len(bad) > array.failures and not remakes:
        array.board.count(boards.LOST, len(bad))
        return 0, 0, len(bad)
    if len(bad) > array.failures:
        for column in bad:
            chunks[column] = _as_it_lies(array, columns[column], row)
    elif bad:
        chunks.update(array.rebuilt(group, row, bad))
    parity = np.empty((array.failures, 1, CHUNK), np.uint8)
    multiply(factors(width, array.failures), np.stack([chunks[column] for column in range(width)])[None], parity)
    wrong = [width + number for number in range(array.failures) if not np.array_equal(parity[number, 0], chunks[width + number])]
    chunks.update({column: parity[column - width, 0] for column in wrong})
    seq = max(int(entry["seq"][0]) for entry in array.known(group, row, 1)[0].values())
    back = [column for column in {*bad, *wrong} if array.is_written(columns[column]) and array.members[columns[column]] is not None]
    for column in back:
        array.put(columns[column], row, seq, chunks[column])
    recovered = 0 if len(bad) > array.failures else sum(column in back for column in bad)
    array.board.count(boards.RECOVERED, recovered)
    return int(bool(wrong)), recovered, 0


def _as_it_lies(array, position, row):
    found = np.zeros(CHUNK, np.uint8)
    if array.members[position] is not None and array.is_written(position):
        array.members[position].read(chunk_place(row), [memoryview(found)])
    return found


def recover(array, position, open_member, path=None):
    """Rebuild what a member has missed onto the file at its path, or at another one: how many chunks. Writes go on meanwhile.

    Chunks of rows of which too much is damaged stay unreadable. Raises StoreError when the member is in, or the file holds other bytes; after an error
    the member is out as before.
    """
    bit = 1 << position
    with array.board.labels():
        array.refresh()
        if not 0 <= position < len(array.members):
            raise StoreError(f"safe device: it has no member {position}")
        if not array.board.out & bit:
            raise StoreError(f"safe device: member {array.label.paths[position]} needn't be recovered: it is in")
        if array.board.joining & bit:
            raise StoreError(f"safe device: member {array.label.paths[position]} is being recovered already")
        path = path or array.label.paths[position]
        array.replace(position, _taken(array, position, path, open_member))
        paths = (*array.label.paths[:position], path, *array.label.paths[position + 1:])
        array.write_labels(array.label.next(paths=paths), array.board.out, array.board.joining | bit)
    try:
        count = 0
        for group, first in _zones(array):
            with array.zone(first):
                count += _rebuilt_zone(array, group, first, position)
        _let_in(array, position, path)
    except BaseException:
        _leave_out(array, position)
        raise
    array.board.count(boards.RECOVERED, count)
    return count


def _leave_out(array, position):
    """A member that couldn't be recovered is out as before, in the labels too, of which some may have said already that it is in."""
    with array.board.labels():
        array.refresh()
        out = array.board.out
        if out >> position & 1 and not array.board.is_broken:
            array.write_labels(array.label.next().next(out=positions_of(out)), out, array.board.joining & ~(1 << position))


def _let_in(array, position, path):
    """A member that has all it missed counts as one of the others."""
    bit = 1 << position
    with array.board.labels():
        if not array.board.joining & bit:
            raise StoreError(f"safe device: member {path} failed while it was recovered")
        array.refresh()
        array.members[position].sync()
        out = array.board.out & ~bit
        array.write_labels(array.label.next(out=positions_of(out)), out, array.board.joining & ~bit)


def _taken(array, position, path, open_member):
    """The file as a member: a blank one, or one of this set that is stale."""
    try:
        member = open_member(position, path, True)
        with _closed_on_error([member]):
            label = labels.read(member)
            if label is None and not labels.is_blank(member):
                raise StoreError(f"safe device: {path} holds other bytes and no label of a member: give it another path")
            if label is not None and (label.set, label.position) != (array.label.set, position):
                raise StoreError(f"safe device: {path} is another member, or one of another set: remove it, or give another path")
        return member
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"safe device: member {path} can't be opened: {error.strerror or error}") from error


def _rebuilt_zone(array, group, first, position):
    """Let a member that joins have its chunks of a zone: how many."""
    columns = array.columns(group)
    if position not in columns:
        return 0
    known, fresh = array.known(group, first, ZONE)
    count, column, member = 0, columns.index(position), array.members[position]
    member.back(entry_place(first), ZONE * layout.ENTRY)
    for number in range(ZONE):
        row = first + number
        if fresh[number]:
            member.write(entry_place(row), bytes(layout.ENTRY))
            continue
        member.back(chunk_place(row), CHUNK)
        seq = max(int(entries["seq"][number]) for entries in known.values())
        try:
            array.put(position, row, seq, array.rebuilt(group, row, (column,))[column])
            count += 1
        except Corrupt as error:
            _log.warning("%s", error)
            member.write(entry_place(row), bytes(layout.ENTRY))
    return count


# other members

def cut(array, used):
    """The first row behind all that is leased (`used` bytes of the device) or was ever written, where a group may begin."""
    last = array.groups.row_of(used - 1) if used else -1
    for group, first in _zones(array):
        if not all(array.known(group, first, ZONE)[1]):
            last = max(last, first)
    return (last // ZONE + 1) * ZONE


def added(array, path, used, open_member):
    """Open a group of rows that has one more data column, behind all that is in use: the new capacity. Raises StoreError."""
    row = cut(array, used)
    with array.board.labels():
        array.refresh()
        label, rows = array.label, array.groups.rows(array.label.capacity)
        if path in label.paths or len(label.paths) >= layout.MOST:
            raise StoreError(f"safe device: {path} is a member already" if path in label.paths else f"safe device: it has {layout.MOST} members, and no more fit")
        position = len(label.paths)
        member = _taken(array, position, path, open_member)
        array.members.append(member)
        members = (*label.groups[-1][1], position)
        groups = (*(group for group in label.groups if group[0] < row), (row, members))
        capacity = _capacity(groups, max(rows, row))
        array.write_labels(label.next(paths=(*label.paths, path), groups=groups, capacity=capacity), array.board.out, array.board.joining)
    return capacity


def removed(array, position, used):
    """Let a data member have no more rows: the new capacity. StoreError when it holds some, or is none."""
    row = cut(array, used)
    with array.board.labels():
        array.refresh()
        label, rows = array.label, array.groups.rows(array.label.capacity)
        holding = [first for first, members in label.groups if position in members and first < row]
        members = tuple(each for each in label.groups[-1][1] if each != position)
        if position in label.parity or position not in label.groups[-1][1] or holding or not members:
            why = "it holds parity" if position in label.parity else "rows lie on it" if holding else "it has no rows" if position not in label.groups[-1][1] else "it is the last"
            raise StoreError(f"safe device: member {position} can't be removed: {why}")
        groups = tuple(group for group in label.groups if group[0] < row)
        if not groups or groups[-1][1] != members:
            groups = (*groups, (row, members))
        capacity = _capacity(groups, max(rows, row))
        array.write_labels(label.next(groups=groups, capacity=capacity), array.board.out, array.board.joining)
    return capacity


def _capacity(groups, rows):
    last = Groups(groups).last
    return last.begin + (rows - last.first) * last.row_nbytes
