"""Records that are copied out of the catalog, as kernels: found by name, listed by kind or tag. Who copies one takes nothing; who lists has the token.

An image is a record as layout.py draws it, see entries.py, which puts and removes them.
"""

from wrp.comm.atomics import clear, copy, fence, load, store
from wrp.comm.digests import hash128_at
from wrp.comm.jit import kernel
from wrp.cte.layout import (ABSENT, ANCHOR, BLOB_KIND, BUSY, COUNTS, DIRTY, EXTENT, FIRST, HEAD, LINKS, LOW, NEXT, RAW, SEQUENCE, TAG, TAG_KIND, UNIT, class_at, class_units,
                            flags_of, kind_of, name_at, name_nbytes, nbytes_of, record_at)
from wrp.cte.table import table_find

_TRIES = 200


@kernel
def entry_find(at, name, nbytes):
    """(number, sequence) of a full name's record at address `name`; (0, 0) absent or an anchor; (-1, 0) busy."""
    k0, k1 = hash128_at(name, nbytes)
    number, sequence = table_find(at, k0, k1)
    if number > 0 and kind_of(record_at(at, number)) == ANCHOR:
        return ABSENT, 0
    return number, sequence


@kernel
def entry_copy(at, name, nbytes, out, capacity):
    """Copy the record of a full name to `out`: its bytes, ABSENT, BUSY, or minus the bytes that `out` must have."""
    for _ in range(_TRIES):
        number, sequence = entry_find(at, name, nbytes)
        if number <= 0:
            return number
        record = record_at(at, number)
        size = nbytes_of(record)
        if size > class_units(class_at(record)) * UNIT:
            continue                            # torn
        if size > capacity:
            if load(record + SEQUENCE) == sequence:
                return -size
            continue
        for offset in range(0, size, 8):
            store(out + offset, load(record + offset))
        fence()
        if load(record + SEQUENCE) == sequence:
            return size
    return BUSY


@kernel
def image_out(at, record, out, capacity):
    """A record and its tag's name, as an image whose first word is the number of its bytes: that number, or 0 without room."""
    size = nbytes_of(record)
    tag = record_at(at, load(record + TAG)) if kind_of(record) == BLOB_KIND else 0
    tag_nbytes = name_nbytes(tag) if tag != 0 else 0
    total = size + (tag_nbytes + 7) // 8 * 8
    if total > capacity:
        return 0
    copy(out, record, size)
    store(out, total)
    store(out + TAG, tag_nbytes)
    if tag != 0:
        copy(out + size, tag + name_at(tag), tag_nbytes)
    return total


@kernel
def _lies_in(record, target):
    """True when some of a blob's bytes are read from the target; -1: from any, or none."""
    if target < 0:
        return True
    for position in range(load(record + COUNTS) & LOW):
        if extent_at(record, position)[0] == target:
            return True
    return False


@kernel
def entry_scan(at, kind, dirty, target, start, out, capacity):
    """Copy records of a kind (0: tags and blobs), dirty (1), clean (0) or both (-1), with bytes in a target (-1: all), to `out`: (bytes, where to go on or -1).

    Begin with `start` 0. (0, where) means that not even one fits. Whoever has the token misses none.
    """
    number = FIRST if start == 0 else start
    end = load(at + NEXT) // UNIT
    done = 0
    while number < end:
        record = record_at(at, number)
        found = kind_of(record)
        wanted = found == kind if kind != 0 else found == TAG_KIND or found == BLOB_KIND
        if wanted and (dirty < 0 or flags_of(record) & DIRTY == dirty) and _lies_in(record, target):
            nbytes = image_out(at, record, out + done, capacity - done)
            if nbytes == 0:
                return done, number
            done += nbytes
        number += class_units(class_at(record))
    return done, -1


@kernel
def entry_list(at, tag, names_only, start, out, capacity):
    """The same for the blobs of the tag with this number; or their own names, each ended by a NUL. Newest first."""
    number = load(record_at(at, tag) + RAW) if start == 0 else start
    done = 0
    while number != 0:
        record = record_at(at, number)
        if names_only:
            nbytes = name_nbytes(record) + 1
            if nbytes > capacity - done:
                return done, number
            copy(out + done, record + name_at(record), nbytes - 1)
            clear(out + done + nbytes - 1, 1)
        else:
            nbytes = image_out(at, record, out + done, capacity - done)
            if nbytes == 0:
                return done, number
        done += nbytes
        number = load(record + LINKS) & LOW
    return done, -1


@kernel
def extent_at(record, number):
    """(target, crc32, offset, nbytes) of an extent; durable ones follow."""
    place = record + HEAD + EXTENT * number
    word = load(place)
    return word >> 32, word & LOW, load(place + 8), load(place + 16)
