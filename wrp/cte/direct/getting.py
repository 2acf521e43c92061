"""Get and view of a blob in ram as one kernel each. They take no lock; what they can't do, they leave to store.py."""

from wrp.comm.atomics import copy, fence, load, store
from wrp.comm.jit import kernel
from wrp.comm.lock import token_give, token_take
from wrp.comm.streaming import fetch_checked
from wrp.cte.images import entry_find, extent_at
from wrp.cte.layout import (BLOB_KIND, CHECK, COUNTS, EXTENT, HEAD, LOW, PINNED, SEQUENCE, SHAPE, SIZE, TOKEN, TRANSFORMED, UNIT, class_at,
                            class_units, flags_of, kind_of, record_at)
from wrp.cte.telemetry.noting import note_read


@kernel
def _run_of_ram(record, place):
    """True when the blob is one run of ram, at least a byte: its offset, bytes, checksum and flags go to `place`."""
    count = load(record + COUNTS) & LOW
    if count == 0 or kind_of(record) != BLOB_KIND or flags_of(record) & TRANSFORMED != 0 or count > (class_units(class_at(record)) * UNIT - HEAD) // EXTENT:
        return False
    target, _, first, nbytes = extent_at(record, 0)
    end = first + nbytes
    for position in range(1, count):
        other, _, offset, nbytes = extent_at(record, position)
        target |= other
        if offset != end:
            return False
        end += nbytes
    store(place, first)
    store(place + 8, end - first)
    store(place + 16, load(record + CHECK) & LOW)
    store(place + 24, flags_of(record))
    return target == 0


@kernel
def direct_look(at, name, nbytes, scratch):
    """Where a blob that is one run of ram lies: True, and offset, bytes, crc32, flags, number and sequence in the scratch memory."""
    number, sequence = entry_find(at, name, nbytes)
    if number <= 0:
        return False
    record = record_at(at, number)
    if not _run_of_ram(record, scratch) or load(record + SEQUENCE) != sequence:
        return False
    store(scratch + 32, number)
    store(scratch + 40, sequence)
    return True


@kernel
def direct_pin(at, holder, scratch):
    """After `direct_look`: keep the bytes where they are. False when the blob has changed, or another has the token."""
    if load(scratch + 24) & PINNED != 0:
        note_read(at, load(scratch + 32), 0, load(scratch + 8), True)
        return True
    token = at + load(at + TOKEN)
    if token_take(token, holder) != 0:
        return False
    record = record_at(at, load(scratch + 32))
    sequence = load(record + SEQUENCE)
    same = sequence == load(scratch + 40)
    if same:
        store(record + SEQUENCE, sequence + 1)
        store(record + SHAPE, load(record + SHAPE) | PINNED << 8)
        store(record + SEQUENCE, sequence + 2)
    token_give(token)
    if same:
        note_read(at, load(scratch + 32), 0, load(scratch + 8), True)
    return same


@kernel
def direct_still(at, scratch):
    """After `direct_look`, when the bytes have been copied: True if they are one state of the blob."""
    fence()
    if load(record_at(at, load(scratch + 32)) + SEQUENCE) != load(scratch + 40):
        return False
    note_read(at, load(scratch + 32), 0, load(scratch + 8), True)
    return True


@kernel
def direct_get(at, ram, name, nbytes, start, to, wanted):
    """Copy bytes [start, start + wanted) of a blob in ram, checked where whole extents are read: True, or False for the long way."""
    number, sequence = entry_find(at, name, nbytes)
    if number <= 0:
        return False
    record = record_at(at, number)
    count = load(record + COUNTS) & LOW
    if (kind_of(record) != BLOB_KIND or flags_of(record) & TRANSFORMED != 0 or count > (class_units(class_at(record)) * UNIT - HEAD) // EXTENT
            or start < 0 or start + wanted > load(record + SIZE)):
        return False
    position, right = 0, True
    for extent in range(count):
        target, crc, offset, length = extent_at(record, extent)
        low, high = max(start, position), min(start + wanted, position + length)
        if low < high:
            # a torn record could name any place
            if target != 0 or load(record + SEQUENCE) != sequence:
                return False
            place = to + low - start
            if high - low < length:
                copy(place, ram + offset + low - position, high - low)
            else:
                right = right and fetch_checked(place, ram + offset, length) == crc
        position += length
    fence()
    if load(record + SEQUENCE) != sequence or not right:
        return False
    note_read(at, number, start, wanted, True)
    return True


@kernel
def direct_get_array(at, ram, name, nbytes, start, out):
    """The same into a uint8 array."""
    return direct_get(at, ram, name, nbytes, start, out.ctypes.data, out.size)
