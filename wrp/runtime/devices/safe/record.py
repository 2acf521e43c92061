"""Records: what a write is about to do to a row, in the slot of its zone on each member that it touches, before it does it. What follows from them is in replaying.py.

FRESH: rows that nobody has written before; if not all of it came to pass nothing has. REDO: with the bytes of this member; once all members have theirs it is done
to the end whatever happens, so a row is never left between two writes.
"""

import struct
from typing import NamedTuple

from wrp.comm.digests import crc32_of
from wrp.runtime.devices.safe.layout import slot_place

FRESH, REDO = 1, 2
_MAGIC = b"WRPROW1\0"
_BODY = struct.Struct("<8sQQIIQIIII")
_HEAD = struct.Struct("<I4x")
HEAD_NBYTES = _BODY.size + _HEAD.size


class Record(NamedTuple):
    """`rows`: bits, from row `row` on; `touched`: bits of the members' positions; of a REDO `start`, `nbytes`: of the chunk, `entry_crc`: of all of it afterwards,
    `crc`: of the bytes that stand behind the record."""

    seq: int
    row: int
    kind: int
    rows: int
    touched: int
    start: int = 0
    nbytes: int = 0
    entry_crc: int = 0
    crc: int = 0

    def packed(self):
        body = _BODY.pack(_MAGIC, *self)
        return body + _HEAD.pack(crc32_of(body))


def write(member, slot, record, data=b""):
    member.write(slot_place(slot), record.packed(), data)


def head(member, slot):
    """The Record of a slot without its bytes, None where there is none."""
    found = bytes(member.read_some(slot_place(slot), HEAD_NBYTES))
    if len(found) < HEAD_NBYTES or found[:8] != _MAGIC or crc32_of(found[:_BODY.size]) != _HEAD.unpack_from(found, _BODY.size)[0]:
        return None
    return Record(*_BODY.unpack_from(found)[1:])


def read(member, slot):
    """(Record, its bytes) of a slot, None where there is no whole one."""
    record = head(member, slot)
    if record is None:
        return None
    data = bytes(member.read_some(slot_place(slot) + HEAD_NBYTES, record.nbytes))
    return (record, data) if len(data) == record.nbytes and crc32_of(data) == record.crc else None
