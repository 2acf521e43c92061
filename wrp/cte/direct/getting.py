"""Get of a blob in ram or a data file, and view of one in ram, as one kernel each. They take no lock; what they can't do, they leave to store.py."""

from wrp.comm.atomics import copy, fence, load, store
from wrp.comm.fresh import bytes_in
from wrp.comm.jit import kernel
from wrp.comm.lock import token_give, token_take
from wrp.comm.streaming import fetch_checked
from wrp.cte.direct.desk import AT, FILES, HOLDER, IMAGE, RAM, ROOM
from wrp.cte.images import entry_find, extent_at
from wrp.cte.layout import (BLOB_KIND, CHECK, COUNTS, EXTENT, HEAD, LOW, PINNED, SEQUENCE, SHAPE, SIZE, TOKEN, TRANSFORMED, UNIT, class_at,
                            class_units, flags_of, kind_of, record_at)
from wrp.cte.telemetry.noting import note_moved, note_read
from wrp.cte.tiers.open import open_fetch
from wrp.cte.views import view_begin, view_end


@kernel
def _run_of(record, place):
    """True when the blob is one run of a target, at least a byte: its offset, bytes, checksum, flags and target go to `place`."""
    count = load(record + COUNTS) & LOW
    if count == 0 or kind_of(record) != BLOB_KIND or flags_of(record) & TRANSFORMED != 0 or count > (class_units(class_at(record)) * UNIT - HEAD) // EXTENT:
        return False
    target, _, first, nbytes = extent_at(record, 0)
    end = first + nbytes
    for position in range(1, count):
        other, _, offset, nbytes = extent_at(record, position)
        if other != target or offset != end:
            return False
        end += nbytes
    store(place, first)
    store(place + 8, end - first)
    store(place + 16, load(record + CHECK) & LOW)
    store(place + 24, flags_of(record))
    store(place + 32, target)
    return True


@kernel
def _look(at, name, nbytes, place):
    """(number, sequence) of a blob that is one run, of which `place` has what `_run_of` says; (0, 0) of any other."""
    number, sequence = entry_find(at, name, nbytes)
    if number <= 0:
        return 0, 0
    record = record_at(at, number)
    if not _run_of(record, place) or load(record + SEQUENCE) != sequence:
        return 0, 0
    return number, sequence


@kernel
def direct_get_whole(desk, name, nbytes, to, room):
    """Bytes of a blob that is one run of ram or a data file, all of which are at `to` now if there are just `room` of them; -1 for the long way."""
    at, place = load(desk + AT), desk + IMAGE
    number, sequence = _look(at, name, nbytes, place)
    if number == 0:
        return -1
    offset, size, crc, target = load(place), load(place + 8), load(place + 16), load(place + 32)
    if size != room:
        return size
    right = _fetch(desk, target, to, offset, size) == crc
    fence()
    if not right or load(record_at(at, number) + SEQUENCE) != sequence:
        return -1
    note_read(at, number, 0, size)
    note_moved(at, target, False, size)
    return size


@kernel
def _fetch(desk, target, to, offset, nbytes):
    """Copy or read bytes of the ram or a data file: their crc32, or -1."""
    if target == 0:
        return fetch_checked(to, load(desk + RAM) + offset, nbytes)
    return open_fetch(load(desk + FILES), target, to, nbytes, offset, load(desk + ROOM))


@kernel
def direct_view(desk, name, nbytes, slot):
    """(offset, bytes) of a blob that is one run of ram, which the slot at that address holds now; (-1, -1) for the long way, or when another has the token."""
    at, place = load(desk + AT), desk + IMAGE
    number, sequence = _look(at, name, nbytes, place)
    if number == 0 or load(place + 32) != 0:
        return -1, -1
    offset, size = load(place), load(place + 8)
    if load(place + 24) & PINNED != 0:
        view_begin(slot, offset, size)
        held = load(record_at(at, number) + SEQUENCE) == sequence
    else:
        held = _pin(at, load(desk + HOLDER), number, sequence, slot, offset, size)
    if not held:
        view_end(slot)
        return -1, -1
    note_read(at, number, 0, size)
    note_moved(at, 0, False, size)
    return offset, size


@kernel
def _pin(at, holder, number, sequence, slot, offset, size):
    """Hold the bytes, and let whoever changes the record see that somebody may. False when the blob has changed, or another has the token."""
    token = at + load(at + TOKEN)
    if token_take(token, holder) != 0:
        return False
    record = record_at(at, number)
    same = load(record + SEQUENCE) == sequence
    if same:
        view_begin(slot, offset, size)
        store(record + SEQUENCE, sequence + 1)
        store(record + SHAPE, load(record + SHAPE) | PINNED << 8)
        store(record + SEQUENCE, sequence + 2)
    token_give(token)
    return same


@kernel
def direct_get(desk, name, nbytes, start, to, wanted):
    """Copy bytes [start, start + wanted) of a blob, checked where whole extents are read, as they are of files: True, or False for the long way."""
    at = load(desk + AT)
    number, sequence = entry_find(at, name, nbytes)
    if number <= 0:
        return False
    record = record_at(at, number)
    count = load(record + COUNTS) & LOW
    if (kind_of(record) != BLOB_KIND or flags_of(record) & TRANSFORMED != 0 or count > (class_units(class_at(record)) * UNIT - HEAD) // EXTENT
            or start < 0 or start + wanted > load(record + SIZE)):
        return False
    position = filed = 0
    for extent in range(count):
        target, crc, offset, length = extent_at(record, extent)
        low, high = max(start, position), min(start + wanted, position + length)
        if low < high:
            # a torn record could name any place
            if target != 0 and high - low < length or load(record + SEQUENCE) != sequence:
                return False
            place = to + low - start
            if high - low < length:
                copy(place, load(desk + RAM) + offset + low - position, high - low)
            elif _fetch(desk, target, place, offset, length) != crc:
                return False
            if target != 0:
                note_moved(at, target, False, length)
                filed += length
        position += length
    fence()
    if load(record + SEQUENCE) != sequence:
        return False
    note_read(at, number, start, wanted)
    if wanted > filed:
        note_moved(at, 0, False, wanted - filed)
    return True


@kernel
def direct_get_into(desk, name, nbytes, start, array, wanted):
    """The same into the first bytes of a C-contiguous array, of which `array` is the id."""
    return direct_get(desk, name, nbytes, start, bytes_in(array), wanted)
