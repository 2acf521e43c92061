"""The newest operations of a node, in a ring in shared memory that every process of the node writes to and reads. No names, no policy.

A writer takes the next logical time with one fetch-and-add and fills the slot that belongs to it; it waits for nobody. A slot has its
turn, the logical time plus one, and a check word over all of its words, so that a reader takes whole entries only: of a slot that is being
written, or was overwritten meanwhile, or into which a stopped writer wrote late, the check word or the turn is wrong.
"""

import time
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.errors import UsageError

# Byte offsets
_MASK = 0           # entries - 1
_NEVER = 1 << 62             # a logical time that is not reached
_COUNT = 64         # the next logical time; a cache line of its own
_SLOTS = 128

# a slot: one cache line
_TURN = 0           # logical time + 1
_OP = 8             # check word << 8 | operation
_TAG, _BLOB, _OFFSET, _SIZE, _MODIFIED, _READ = 16, 24, 32, 40, 48, 56
_SLOT = 64
_WORDS = _SLOT // 8

_PATIENCE = 50      # naps of 20 us for an entry that is being written: a writer may have lost its core
_TORN, _LOST = 0, -1


class Op(IntEnum):
    """Operations. 0 to 5 have the reference's numbers; it has none of its own for the others, and logs some of them as others."""

    PUT_BLOB = 0
    GET_BLOB = 1
    DELETE_BLOB = 2
    CREATE_TAG = 3
    DELETE_TAG = 4
    GET_TAG_SIZE = 5
    GET_BLOB_SCORE = 6
    GET_BLOB_SIZE = 7
    GET_CONTAINED_BLOBS = 8
    MOVE_BLOB = 9
    GET_BLOB_INFO = 10
    QUERY = 11


class Entry(NamedTuple):
    """One operation. tag, blob: first words of the names' keys, 0: none; offset, size: bytes; times: wall clock, ns, 0: unknown; node: whose ring has it."""

    op: int
    offset: int
    size: int
    tag: int
    blob: int
    mod_time: int
    read_time: int
    logical_time: int
    node: int = 0


class Poll(NamedTuple):
    """entries: in the order of their logical times; last: the logical time to go on after, of several nodes one for each; lost: entries that were overwritten."""

    last: int
    entries: list
    lost: int


@kernel
def _checked(turn, op, tag, blob, offset, size, modified, read):
    # odd factors, so that no mixture of two entries has the check word of one of them but by chance (2 ** -55)
    total = (turn * 0x1E3779B97F4A7C15 + op * 0x3F58476D1CE4E5B9 + tag * 0x14D049BB133111EB + blob * 0x2545F4914F6CDD1D
             + offset * 0x369DEA0F31A53F85 + size * 0x5851F42D4C957F2D + modified * 0x27BB2EE687B0B0FD + read * 0x3C6EF372FE94F82B)
    return (total ^ (total >> 29)) << 8 | op


@kernel
def telemetry_record(ring, op, tag, blob, offset, size, modified, read):
    """Add an entry; its logical time. `ring` 0: telemetry is off, -1. Any thread of any process; waits for nobody.

    modified, read : ns of the wall clock, 0: unknown; whoever calls has looked at a clock anyway, which takes longer than this
    """
    if ring == 0:
        return -1
    number = atomics.add(ring + _COUNT, 1)
    slot = ring + _SLOTS + (number & atomics.load(ring + _MASK)) * _SLOT
    atomics.store(slot + _TURN, 0)
    atomics.store(slot + _OP, _checked(number + 1, op, tag, blob, offset, size, modified, read))
    atomics.store(slot + _TAG, tag)
    atomics.store(slot + _BLOB, blob)
    atomics.store(slot + _OFFSET, offset)
    atomics.store(slot + _SIZE, size)
    atomics.store(slot + _MODIFIED, modified)
    atomics.store(slot + _READ, read)
    atomics.store(slot + _TURN, number + 1)
    return number


@kernel
def _take(ring, number, out):
    """Copy the entry of a logical time to the 8 words of `out`: 1, or _TORN, or _LOST when a later one has its slot."""
    slot = ring + _SLOTS + (number & atomics.load(ring + _MASK)) * _SLOT
    for word in range(_WORDS):
        out[word] = atomics.load(slot + 8 * word)
    turn = atomics.load(slot + _TURN)
    op = out[1] & 0xFF
    if turn == number + 1 and out[0] == turn and out[1] == _checked(turn, op, out[2], out[3], out[4], out[5], out[6], out[7]):
        out[1] = op
        return 1
    return _LOST if turn > number + 1 else _TORN


@kernel
def telemetry_read(ring, first, end, out):
    """Copy entries from logical time `first`, below `end`, to `out` (int64, n x 8): (entries, next logical time, lost ones)."""
    count, lost, number, naps = 0, 0, first, 0
    while number < end and count < len(out):
        oldest = atomics.load(ring + _COUNT) - atomics.load(ring + _MASK) - 1
        if number < oldest:
            lost += min(oldest, end) - number
            number = min(oldest, end)
            continue
        state = _take(ring, number, out[count])
        if state == _TORN and naps < _PATIENCE:
            naps += 1
            atomics.nap(20)
            continue
        # who writes an entry for longer than our patience has ended inside, or is stopped: it is given up
        if state == 1:
            count += 1
        else:
            lost += 1
        number += 1
    return count, number, lost


class Telemetry:
    """The ring at an address of a segment."""

    def __init__(self, address):
        self.address = address

    @staticmethod
    def nbytes(entries):
        """The bytes that a ring of so many entries takes; UsageError unless it is a power of two."""
        if entries < 2 or entries & (entries - 1):
            raise UsageError(f"a telemetry ring holds a power of two of entries (2 or more), not {entries}")
        return _SLOTS + entries * _SLOT

    @classmethod
    def create(cls, segment, offset, entries):
        """An empty ring at `offset` of the segment; backs its memory."""
        segment.reserve(offset, cls.nbytes(entries))
        address = segment.address + offset
        atomics.clear(address, cls.nbytes(entries))
        atomics.store(address + _MASK, entries - 1)
        return cls(address)

    @classmethod
    def attach(cls, segment, offset):
        """The ring that lies at `offset` already."""
        return cls(segment.address + offset)

    @property
    def entries(self):
        """How many operations it keeps."""
        return atomics.load(self.address + _MASK) + 1

    @property
    def count(self):
        """Operations ever noted: the next logical time."""
        return atomics.load(self.address + _COUNT)

    def record(self, op, tag=0, blob=0, offset=0, size=0, modified=0):
        """Note an operation of now; its logical time. modified: when the blob was changed, where it wasn't now."""
        now = time.time_ns()
        read = now if op == Op.GET_BLOB else 0
        return telemetry_record(self.address, int(op), tag, blob, offset, size, modified or now, read)

    def read(self, minimum=0, limit=0):
        """(int64 array (n, 8), next logical time, lost): the words of the entries from logical time `minimum` on, the oldest first.

        Columns: turn, op, tag, blob, offset, size, modified, read. At most `limit` rows unless it is 0.
        """
        end = self.count
        minimum = min(max(0, minimum), _NEVER)
        rows = np.empty((min(limit or self.entries, self.entries, max(0, end - minimum)), _WORDS), np.int64)
        count, following, lost = telemetry_read(self.address, minimum, end, rows)
        return rows[:count], following, lost

    def poll(self, minimum=0, limit=0, node=0):
        """The Poll of entries whose logical time is `minimum` or more; go on with `poll(last + 1)`. Any process of the node, whose number is told."""
        rows, following, lost = self.read(minimum, limit)
        return Poll(following - 1, entries_of(rows, node), lost)


def entries_of(rows, node):
    """[Entry] of the rows that `Telemetry.read` gave on a node."""
    return [Entry(Op(op), offset, size, tag, blob, modified, read, turn - 1, node) for turn, op, tag, blob, offset, size, modified, read in rows.tolist()]
