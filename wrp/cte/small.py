"""Blobs of ram that are flushed together, as kernels: found, copied and promised, settled. Files and the journal are handful.py's.

Each takes the catalog's token itself for a `holder` (see comm/lock.py) and gives BUSY first in what it returns where somebody else has it; for the holder 0 the caller
has it. The bytes of such a blob are one run of ram, or of the file, and few places of it are in the journal. It is small when the run is a block of ram, else long; of a long
one the bytes are in the file before they are promised, where they lie already or in a place of their own.
What a flush takes of a blob stands in a row of seven words: KEY0, KEY1, STAMP, NBYTES of its bytes, CRC, PLACE in the file (of a long one in ram, until it is written), LEFT.
Arrays, also those of rows (int64, n x WORDS), are told by their ids.
"""

from wrp.comm.atomics import clear, copy, load, store, wall_ns
from wrp.comm.digests import crc32_at
from wrp.comm.fresh import bytes_in
from wrp.comm.jit import kernel
from wrp.comm.lock import token_give, token_take
from wrp.cte import layout
from wrp.cte.blocks import LARGEST
from wrp.cte.entries import entry_put_in
from wrp.cte.images import extent_at, image_out
from wrp.cte.layout import (BLOB_KIND, COUNTS, DIRTY, DIRTY_COUNT, EXTENT, FIRST, HEAD, JOURNALED, LAST, LATELY, LOW, MOST_LATELY, NEXT, SHAPE, TAG, TAG_KIND,
                            TOKEN, TURNED, TURNED_SEEN, UNIT, class_at, class_units, flags_of, kind_of, name_at, name_nbytes, record_at)
from wrp.cte.table import table_locate

WORDS = 7
ROW = 8 * WORDS
KEY0, KEY1, STAMP, NBYTES, CRC, PLACE, LEFT = range(0, ROW, 8)
BUSY = -1                       # nothing has happened
OTHER, TAKEN, GONE, CHANGED, LOST = range(5)    # LEFT: it isn't what it was; the flush has it; there is nothing to flush any more; it had it, and it isn't what it was; and it is gone
THERE = 5                       # LEFT, until it is promised: the PLACE is in the file
ALIGN = 4096                    # of places in files
IMAGE_NBYTES = 8192
_MOST_PLACES = 32


@kernel
def rounded(nbytes):
    """Bytes that so many take in a file."""
    return (nbytes + ALIGN - 1) // ALIGN * ALIGN


@kernel
def _target_of(record):
    """The target in which the blob is one run; -1 where it isn't."""
    counts = load(record + COUNTS)
    if kind_of(record) != BLOB_KIND or counts & LOW != 1 or counts >> 32 > _MOST_PLACES:
        return -1
    target, _, _, nbytes = extent_at(record, 0)
    return target if nbytes > 0 else -1


@kernel
def _is_small(record):
    return _target_of(record) == 0 and extent_at(record, 0)[3] <= LARGEST


@kernel
def _is_long_at(record, stamp, target, place, is_there):
    """True when the blob is what it was when its bytes were written: to this place of the target, where it lies, or from ram."""
    where = _target_of(record)
    if load(record + layout.STAMP) != stamp or where != (target if is_there else 0) or is_there and extent_at(record, 0)[2] != place:
        return False
    for position in range(1, 1 + (load(record + COUNTS) >> 32)):
        other, _, offset, _ = extent_at(record, position)
        if other == target and offset == place:         # promised once before
            return False
    return True


@kernel
def _taken(at, holder):
    """False when another has the token; for holder 0 the caller has it."""
    return holder == 0 or token_take(at + load(at + TOKEN), holder) == 0


@kernel
def _give(at, holder):
    if holder != 0:
        token_give(at + load(at + TOKEN))


@kernel
def small_list(at, holder, rows, room, target):
    """Rows of the dirty small blobs, with keys and numbers of bytes, go to the front of the `room` rows, those of long ones, also in `target`, to their end.

    (how many small ones, how many bytes they take in a file, how many long ones, how many dirty names are neither)
    """
    if not _taken(at, holder):
        return BUSY, 0, 0, 0
    found = _list(at, bytes_in(rows), room, target)
    _give(at, holder)
    return found


@kernel
def _list(at, rows, room, target):
    turned, seen = load(at + TURNED), load(at + TURNED_SEEN)
    store(at + TURNED_SEEN, turned)
    if turned - seen <= MOST_LATELY:
        found = 0, 0, 0, 0
        for turn in range(seen, turned):
            number = _lately(at, turn)
            is_new = True
            for before in range(seen, turn):
                is_new = is_new and _lately(at, before) != number
            if is_new:
                found = _listed(record_at(at, number), rows, room, target, found)
        # those that an earlier flush left dirty may be missing
        if found[0] + found[2] + found[3] == load(at + DIRTY_COUNT):
            return found
    number, end = FIRST, load(at + NEXT) // UNIT
    found = 0, 0, 0, 0
    while number < end:
        record = record_at(at, number)
        found = _listed(record, rows, room, target, found)
        number += class_units(class_at(record))
    return found


@kernel
def _lately(at, turn):
    return load(at + LATELY + 8 * (turn & (MOST_LATELY - 1)))


@kernel
def _listed(record, rows, room, target, found):
    """What `small_list` has found when it has looked at this record too."""
    count, total, longs, others = found
    if flags_of(record) & DIRTY == 0 or kind_of(record) != BLOB_KIND and kind_of(record) != TAG_KIND:
        return found
    where = _target_of(record)
    if count + longs == room or where != 0 and where != target:
        return count, total, longs, others + 1
    _, crc, place, nbytes = extent_at(record, 0)
    is_long = where != 0 or nbytes > LARGEST
    row = rows + ROW * (room - 1 - longs if is_long else count)
    store(row + KEY0, load(record + layout.KEY0))
    store(row + KEY1, load(record + layout.KEY1))
    store(row + STAMP, load(record + layout.STAMP))
    store(row + NBYTES, nbytes)
    store(row + CRC, crc)
    store(row + PLACE, place)
    store(row + LEFT, OTHER if where == 0 else THERE)
    return (count, total, longs + 1, others) if is_long else (count + 1, total + rounded(nbytes), longs, others)


@kernel
def small_promise(at, holder, ram, rows, count, begin, buffer, start, room, target, offset, out, out_nbytes, image):
    """Copy blobs from row number `begin` of `count` on into `room` bytes of the buffer from `start` on, and let their records promise `offset` and what follows.

    Of long ones, for which `room` is -1, nothing is copied: their records promise the PLACE of the row, if they are what they were.

    (the row where it ended, bytes of the buffer, those of them that are blobs', bytes of `out`, a code of entry_put_in or 0, a stamp). The records as they were
    are in `out`, which has `out_nbytes`.
    """
    if not _taken(at, holder):
        return BUSY, 0, 0, 0, 0, 0
    found = _promise_all(at, ram, bytes_in(rows), count, begin, bytes_in(buffer) + start, room, target, offset, bytes_in(out), out_nbytes, bytes_in(image))
    _give(at, holder)
    return found


@kernel
def _promise_all(at, ram, rows, count, number, buffer, room, target, offset, out, out_nbytes, image):
    used = filled = done = code = 0
    order = max(wall_ns(), load(at + LAST) + 1)
    store(at + LAST, order)
    while number < count:
        row = rows + ROW * number
        found = table_locate(at, load(row + KEY0), load(row + KEY1))[1]
        record = record_at(at, found)
        kind = load(row + LEFT)
        store(row + LEFT, GONE)
        if found != 0 and flags_of(record) & DIRTY != 0:
            store(row + LEFT, kind)
            is_good, place, took = False, load(row + PLACE), 0
            if room < 0:
                is_good = _is_long_at(record, load(row + STAMP), target, place, kind == THERE)
            elif _is_small(record):
                took, place = rounded(extent_at(record, 0)[3]), offset + used
                if used + took > room:
                    break
                is_good = _copied(record, ram, buffer + used)
            if is_good:
                _, crc, _, nbytes = extent_at(record, 0)
                size = image_out(at, record, out + done, out_nbytes - done)
                if size == 0:
                    break
                stamp = load(record + layout.STAMP)
                code = _promise(at, record, target << 32 | crc, place, nbytes, image)
                if code < 0:
                    break
                store(row + STAMP, stamp)
                store(row + NBYTES, nbytes)
                store(row + CRC, crc)
                store(row + PLACE, place)
                store(row + LEFT, TAKEN)
                used += took
                filled += nbytes
                done += size
        number += 1
    return number, used, filled, done, code, order


@kernel
def _copied(record, ram, to):
    """Copy a small blob: True when its bytes are those that were put."""
    _, crc, place, nbytes = extent_at(record, 0)
    copy(to, ram + place, nbytes)
    # what stood in the buffer before, of whatever blob or program, isn't for the file
    clear(to + nbytes, rounded(nbytes) - nbytes)
    return crc32_at(to, nbytes, 0) == crc


@kernel
def _promise(at, record, word, offset, nbytes, image):
    """One more extent in the record of those that the journal names, or is about to: 0, or a code of entry_put_in."""
    counts = load(record + COUNTS)
    listed = EXTENT * ((counts & LOW) + (counts >> 32))
    copy(image, record, HEAD + listed)
    place = image + HEAD + listed
    store(place, word)
    store(place + 8, offset)
    store(place + 16, nbytes)
    copy(place + EXTENT, record + name_at(record), name_nbytes(record))
    store(image + COUNTS, counts + (1 << 32))
    store(image + SHAPE, load(record + SHAPE) | JOURNALED << 8)
    return entry_put_in(at, image, load(record + TAG))


@kernel
def small_settle(at, holder, rows, count, target, out, room, image):
    """The journal has the rows: their blobs are clean, and what they had in files before goes to `out` (int64, `room` x 3).

    (how much went there, how many rows were TAKEN and aren't any more, how many blobs are left to be flushed otherwise): a row whose blob was put again meanwhile,
    or isn't as the flush left it, becomes CHANGED, one whose blob is gone LOST.
    """
    if not _taken(at, holder):
        return BUSY, 0, 0
    found = _settle_all(at, bytes_in(rows), count, target, bytes_in(out), room, bytes_in(image))
    _give(at, holder)
    return found


@kernel
def _settle_all(at, rows, count, target, out, room, made):
    freed = left = others = 0
    for number in range(count):
        row = rows + ROW * number
        others += load(row + LEFT) == OTHER or load(row + LEFT) == THERE
        if load(row + LEFT) != TAKEN:
            continue
        found = table_locate(at, load(row + KEY0), load(row + KEY1))[1]
        if found == 0:
            store(row + LEFT, LOST)
            left += 1
            continue
        record = record_at(at, found)
        counts, where = load(record + COUNTS), _target_of(record)
        last = extent_at(record, counts >> 32)
        if (where != 0 and where != target or load(record + layout.STAMP) != load(row + STAMP) or counts >> 32 > room - freed
                or last[0] != target or last[2] != load(row + PLACE)):
            store(row + LEFT, CHANGED)
            left += 1
            others += 1
            continue
        for position in range(1, counts >> 32):
            copy(out + EXTENT * freed, record + HEAD + EXTENT * position, EXTENT)
            freed += 1
        copy(made, record, HEAD + EXTENT)
        copy(made + HEAD + EXTENT, record + HEAD + EXTENT * (counts >> 32), EXTENT)
        copy(made + HEAD + 2 * EXTENT, record + name_at(record), name_nbytes(record))
        store(made + COUNTS, 1 | 1 << 32)
        store(made + SHAPE, load(record + SHAPE) & ~(DIRTY << 8))
        entry_put_in(at, made, load(record + TAG))       # it takes no more than it did: in place
    return freed, left, others
