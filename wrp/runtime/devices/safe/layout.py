"""Where what lies in a member, and on which members a byte of the device lies. Opens nothing.

    0           the label, twice (label.py)
    64 KiB      a record of each slot (record.py)
    1.125 MiB   blocks: a page with the entries (checksum and number of the write) of 512 chunks, then these chunks

A row is the chunk of this number of each member of its group, data columns first. A zone is 16 rows that share a lock and a slot.
"""

from bisect import bisect_right
from typing import NamedTuple

from wrp.errors import UsageError

CHUNK = 64 << 10
SLOTS = 16
ZONE = 16                       # rows
RECORDS = 64 << 10
SLOT_NBYTES = CHUNK + 4096
ENTRY = 8
BLOCK_ROWS = 512
PAGE = 4096
_BEGIN = RECORDS + SLOTS * SLOT_NBYTES
_BLOCK = PAGE + BLOCK_ROWS * CHUNK
MOST = 62                       # members of a set: their bits fit into a word


def slot_place(slot):
    return RECORDS + slot * SLOT_NBYTES


def slot_of(row):
    return row // ZONE % SLOTS


def entry_place(row):
    return _BEGIN + row // BLOCK_ROWS * _BLOCK + row % BLOCK_ROWS * ENTRY


def chunk_place(row):
    return _BEGIN + row // BLOCK_ROWS * _BLOCK + PAGE + row % BLOCK_ROWS * CHUNK


def member_nbytes(rows):
    """Bytes of a member that has room for so many rows."""
    return chunk_place(rows - 1) + CHUNK if rows else _BEGIN


def rows_in(nbytes):
    """Rows of which a member of so many bytes has at least a part."""
    return max(0, -(-(nbytes - _BEGIN) // _BLOCK)) * BLOCK_ROWS


class Group(NamedTuple):
    """Rows from `first` on, up to the next group's; members of its data columns; the device's byte that it begins with."""

    first: int
    members: tuple
    begin: int

    @property
    def row_nbytes(self):
        return len(self.members) * CHUNK


class Span(NamedTuple):
    """Bytes of one zone: from byte `start` of row `row` on."""

    group: Group
    row: int
    start: int
    nbytes: int


class Groups:
    """All groups of a device, by their first rows. pairs : of (first row, members of the data columns)"""

    def __init__(self, pairs):
        self.all = []
        for first, members in pairs:
            last = self.all[-1] if self.all else None
            self.all.append(Group(first, tuple(members), last.begin + (first - last.first) * last.row_nbytes if last else 0))
        self._begins = [group.begin for group in self.all]
        self._firsts = [group.first for group in self.all]

    @property
    def last(self):
        return self.all[-1]

    def of_row(self, row):
        return self.all[bisect_right(self._firsts, row) - 1]

    def row_of(self, offset):
        """The row with a byte of the device."""
        group = self.all[bisect_right(self._begins, offset) - 1]
        return group.first + (offset - group.begin) // group.row_nbytes

    def rows(self, capacity):
        """Rows that a device of so many bytes has."""
        return self.row_of(capacity - 1) + 1

    def spans(self, offset, nbytes):
        """The Spans of a run of the device."""
        while nbytes > 0:
            group = self.all[bisect_right(self._begins, offset) - 1]
            row, start = divmod(offset - group.begin, group.row_nbytes)
            row += group.first
            upto = group.begin + ((row // ZONE + 1) * ZONE - group.first) * group.row_nbytes        # groups begin with zones
            count = min(nbytes, upto - offset)
            yield Span(group, row, start, count)
            offset, nbytes = offset + count, nbytes - count


# A set's address is one text, so that a pool's path, or the STORE file of a store, can name it: safe:FAILURES:MEMBER,MEMBER,...,SUFFIX

_SCHEME = "safe:"


def is_address(text):
    return str(text).startswith(_SCHEME)


def address(members, failures, suffix=""):
    """The address of a set. UsageError for what no set can be."""
    members = [str(member) for member in members]
    wrong = next((member for member in members if "," in member or not member), None)
    if wrong is not None:
        raise UsageError(f"member {wrong!r} of a safe device: give it the path of a file without a comma, or ram::NAME")
    if len(set(members)) < len(members):
        raise UsageError(f"the members of a safe device are {', '.join(members)}: each may stand there once")
    if not 1 <= failures < len(members) <= MOST:
        raise UsageError(f"a safe device of {len(members)} members can't outlive {failures} of them: max_failures is at least 1 and less than the members, "
                         f"of which there are at most {MOST}")
    return f"{_SCHEME}{failures}:{','.join([*members, suffix])}"


def parsed(text):
    """(paths of the members, max_failures) of an address. UsageError for another text."""
    failures, _, members = text[len(_SCHEME):].partition(":")
    paths = members.split(",")
    if not is_address(text) or not failures.isdigit() or len(paths) < 3:
        raise UsageError(f"{text!r} is no address of a safe device: safe:FAILURES:MEMBER,MEMBER,...,SUFFIX")
    found = [path + paths[-1] for path in paths[:-1]]
    address(found, int(failures))
    return found, int(failures)
