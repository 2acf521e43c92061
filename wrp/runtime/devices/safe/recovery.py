"""Recovery: lost members rebuilt from the others, and a look at all rows that mends what is damaged. Members that are added are in widening.py."""

import logging
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from wrp.comm.refusals import is_refusal
from wrp.errors import Corrupt, StoreError
from wrp.runtime.devices.safe import board as boards
from wrp.runtime.devices.safe import label as labels
from wrp.runtime.devices.safe import layout
from wrp.runtime.devices.safe.galois import factors, multiply
from wrp.runtime.devices.safe.layout import CHUNK, ZONE, chunk_place, entry_place

_log = logging.getLogger("wrp.runtime")


class Mended(NamedTuple):
    """What a look at all rows found: rows, those whose parity was made anew, chunks that came back, chunks that are lost."""

    rows: int
    remade: int
    recovered: int
    lost: int


def zones(array):
    """(group, first row) of all zones in which members may hold something."""
    nbytes = max((member.nbytes for position, member in enumerate(array.members) if member is not None and not array.board.out >> position & 1), default=0)
    for row in range(0, layout.rows_in(nbytes), ZONE):
        yield array.groups.of_row(row), row


def over_zones(array, work):
    """[work(group, first row)] of all zones, each with its token held. StoreError when the device is closed meanwhile."""
    found, results = list(zones(array)), []
    array.board.count(boards.ROWS, len(found) * ZONE)
    for group, first in found:
        if array.is_ending:
            raise StoreError("safe device: it is being closed: what isn't done yet of this is to be asked for again")
        with array.zone(first), array.board.part(ZONE):
            results.append(work(group, first))
    return results


def look(array, remakes=False):
    """Read all rows: chunks that are damaged come back, parity that doesn't fit is made anew. Mended.

    remakes : rows that can't be read any more are what stands in them, damaged or not; else they stay unreadable
    """
    def looked(group, first):
        fresh = array.known(group, first, ZONE)[1]
        return [_looked(array, group, first + number, remakes) for number, is_fresh in enumerate(fresh) if not is_fresh]
    with array.board.labels():
        place = array.board.begin_work()
    try:
        found = [row for rows in over_zones(array, looked) for row in rows]
    finally:
        array.board.end_work(place)
    return Mended(len(found), *(sum(row[number] for row in found) for number in range(3)))


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
            chunks[column] = array.as_it_lies(columns[column], row)
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


def recover(array, position, open_member, path=None):
    """Rebuild what a member has missed onto the file at its path, or at another one: how many chunks. Writes go on meanwhile.

    Chunks of rows of which too much is damaged stay unreadable. Raises StoreError when the member is in, or the file holds other bytes; after an error
    the member is out as before.
    """
    bit = 1 << position
    with array.board.labels():
        array.refresh()
        if not 0 <= position < len(array.members) or position in array.label.gone:
            raise StoreError(f"safe device: it has no member {position}")
        if not array.board.out & bit:
            raise StoreError(f"safe device: member {array.label.paths[position]} needn't be recovered: it is in")
        if array.board.is_at_work(position):            # one that was killed has left its bit in `joining`
            raise StoreError(f"safe device: member {array.label.paths[position]} is being recovered already")
        path = path or array.label.paths[position]
        if path in array.label.paths[:position] + array.label.paths[position + 1:]:
            raise StoreError(f"safe device: {path} is the place of another member: give another path")
        label = array.label.next(paths=(*array.label.paths[:position], path, *array.label.paths[position + 1:]))
        labels.check(label)
        array.replace(position, taken(array, position, path, open_member))
        array.write_labels(label, array.board.out, array.board.joining | bit)
        place = array.board.begin_work(position)
    try:
        count = sum(over_zones(array, lambda group, first: _rebuilt_zone(array, group, first, position)))
        _let_in(array, position, path)
    except BaseException:
        _leave_out(array, position)
        raise
    finally:
        array.board.end_work(place)
    array.board.count(boards.RECOVERED, count)
    return count


def _leave_out(array, position):
    """A member that couldn't be recovered is out as before, in the labels too, of which some may have said already that it is in."""
    with array.board.labels():
        array.refresh()
        out = array.board.out
        if out >> position & 1 and not array.board.is_broken:
            array.write_labels(array.label.next(), out, array.board.joining & ~(1 << position))


def _let_in(array, position, path):
    """A member that has all it missed counts as one of the others."""
    bit = 1 << position
    with array.board.labels():
        if not array.board.joining & bit:
            raise StoreError(f"safe device: member {path} failed while it was recovered")
        array.refresh()
        array.members[position].sync()
        out = array.board.out & ~bit
        array.write_labels(array.label.next(), out, array.board.joining & ~bit)


def taken(array, position, path, open_member):
    """The file as a member: a blank one, or one of this set that is stale."""
    try:
        member = open_member(position, path, True)
        with closed_on_error([member]):
            label = labels.read(member)
            if label is None and not labels.is_blank(member):
                raise StoreError(f"safe device: {path} holds other bytes and no label of a member: give it another path")
            if label is not None and (label.set, label.position) != (array.label.set, position):
                raise StoreError(f"safe device: {path} is another member, or one of another set: remove it, or give another path")
        return member
    except OSError as error:
        if not is_refusal(error):
            raise
        raise StoreError(f"safe device: member {path} can't be opened: {error.strerror or error}") from error


@contextmanager
def closed_on_error(members):
    try:
        yield
    except BaseException:
        for member in members:
            if member is not None:
                member.close()
        raise


def _rebuilt_zone(array, group, first, position):
    """Let a member that joins have its chunks of a zone: how many."""
    if position not in array.columns(group):
        return 0
    known, fresh = array.known(group, first, ZONE)
    count, member = 0, array.members[position]
    member.back(entry_place(first), ZONE * layout.ENTRY)
    for number in range(ZONE):
        row = first + number
        if fresh[number]:
            member.write(entry_place(row), bytes(layout.ENTRY))
            continue
        member.back(chunk_place(row), CHUNK)
        try:
            array.restore(position, row, max(int(entries["seq"][number]) for entries in known.values()))
            count += 1
        except Corrupt as error:
            _log.warning("%s", error)
    return count
