"""Put of a blob into ram as one kernel: block, copy, checksum, record. What it can't do, it leaves to changes.py.

A kernel takes a token only when nobody has it; it makes no room and never waits.
"""

from wrp.comm.atomics import copy, load, store, wall_ns
from wrp.comm.digests import crc32_at, hash128_at
from wrp.comm.jit import kernel
from wrp.comm.lock import token_give, token_take
from wrp.comm.streaming import copy_checked, prefetch
from wrp.cte.blocks import blocks_give, blocks_take
from wrp.cte.entries import entry_put_in
from wrp.cte.images import extent_at
from wrp.cte.layout import (BLOB_KIND, CHECK, COUNTS, CREATED, DIRTY, EXTENT, HEAD, JOURNALED, KEY0, KEY1, LAST, LOW, RAW, READ, READS, SCORE, SHAPE,
                            SIZE, STAMP, TAG_KIND, TOKEN, flags_of, kind_of, record_at)
from wrp.cte.table import table_home, table_locate
from wrp.cte.telemetry.noting import note_put, note_written

IMAGE, OLD = 0, 2048            # in the scratch memory: the record, then extents to give back
SCRATCH_NBYTES = 4096
LONG_WAY = -1                   # nothing has happened
NO_BLOCK = -2
STORED = -3                     # the bytes are in the block that the scratch memory names, the record isn't
MOST = 32                       # extents that are replaced, or put, in one kernel


@kernel
def direct_put(at, blocks, ram, name, name_nbytes, tag_nbytes, data, nbytes, score, holder, scratch):
    """Put a small blob; what it replaced is free: 0, how many extents of it aren't (at OLD), or a code above.

    name : address of the full name, tag_nbytes of which are the tag's; data : address; score : bits of a float64
    """
    if token_take(blocks, holder) != 0:
        return LONG_WAY
    offset = blocks_take(blocks, nbytes)
    token_give(blocks)
    if offset < 0:
        return NO_BLOCK
    # where there are many blobs, neither the name's slot nor its record is in the cache: they come while the bytes are copied
    home = table_home(at, hash128_at(name, name_nbytes)[0])
    prefetch(home)
    copy(ram + offset, data, nbytes)
    record = record_at(at, load(home) & LOW)
    prefetch(record), prefetch(record + 64), prefetch(record + 128)
    crc = crc32_at(ram + offset, nbytes, 0)
    note_written(at, nbytes)
    store(scratch + OLD, crc)
    store(scratch + OLD + 8, offset)
    store(scratch + OLD + 16, nbytes)
    old = direct_publish(at, name, name_nbytes, tag_nbytes, 1, nbytes, crc, score, holder, scratch)
    if old < 0:
        store(scratch + OLD, crc)
        store(scratch + OLD + 8, offset)
        return STORED
    return _give(blocks, old, holder, scratch)


@kernel
def direct_put_array(at, blocks, ram, name, name_nbytes, tag_nbytes, data, score, holder, scratch):
    """The same for a uint8 array."""
    return direct_put(at, blocks, ram, name, name_nbytes, tag_nbytes, data.ctypes.data, data.size, score, holder, scratch)


@kernel
def direct_put_run(at, ram, offset, name, name_nbytes, tag_nbytes, data, score, holder, scratch):
    """Put a uint8 array into a run of ram that is leased: how many extents it has replaced (at OLD), or STORED."""
    crc = copy_checked(ram + offset, data.ctypes.data, data.size)
    note_written(at, data.size)
    store(scratch + OLD, crc)
    store(scratch + OLD + 8, offset)
    store(scratch + OLD + 16, data.size)
    old = direct_publish(at, name, name_nbytes, tag_nbytes, 1, data.size, crc, score, holder, scratch)
    if old < 0:
        store(scratch + OLD, crc)
        store(scratch + OLD + 8, offset)
        return STORED
    return old


@kernel
def _give(blocks, count, holder, scratch):
    """Give the blocks of `count` extents back; how many are left, at the front, for the long way."""
    if count == 0 or token_take(blocks, holder) != 0:
        return count
    left = 0
    for number in range(count):
        place = scratch + OLD + EXTENT * number
        offset = load(place + 8)
        if blocks_give(blocks, offset) != 0:
            copy(scratch + OLD + EXTENT * left, place, EXTENT)
            left += 1
    token_give(blocks)
    return left


@kernel
def direct_publish(at, name, name_nbytes, tag_nbytes, count, size, check, score, holder, scratch):
    """Make `count` extents of ram, which stand in the scratch memory at OLD, the blob: how many extents it had, now there; or LONG_WAY."""
    token = at + load(at + TOKEN)
    if token_take(token, holder) != 0:
        return LONG_WAY
    old = _publish(at, name, name_nbytes, tag_nbytes, count, size, check, score, scratch)
    token_give(token)
    return old


@kernel
def _publish(at, name, nbytes, tag_nbytes, count, size, check, score, scratch):
    t0, t1 = hash128_at(name, tag_nbytes)
    tag = table_locate(at, t0, t1)[1]
    if tag == 0 or kind_of(record_at(at, tag)) != TAG_KIND:
        return LONG_WAY
    k0, k1 = hash128_at(name, nbytes)
    number = table_locate(at, k0, k1)[1]
    own = nbytes - tag_nbytes - 1
    image = scratch + IMAGE
    now = max(wall_ns(), load(at + LAST) + 1)
    flags, created, durable, old = DIRTY, now, 0, 0
    if number != 0:
        record = record_at(at, number)
        counts = load(record + COUNTS)
        old, durable = counts & LOW, counts >> 32
        if old > MOST or HEAD + EXTENT * (count + durable) + own + 8 > OLD - IMAGE:
            return LONG_WAY
        for position in range(old):
            if extent_at(record, position)[0] != 0:
                return LONG_WAY                 # not in ram
        flags |= flags_of(record) & JOURNALED
        created = load(record + CREATED)
        copy(image + HEAD + EXTENT * count, record + HEAD + EXTENT * old, EXTENT * durable)
    elif HEAD + EXTENT * count + own + 8 > OLD - IMAGE:
        return LONG_WAY
    store(image + KEY0, k0)
    store(image + KEY1, k1)
    store(image + SHAPE, BLOB_KIND | flags << 8 | own << 32)
    store(image + STAMP, now)
    store(image + SIZE, size)
    store(image + CHECK, check)
    store(image + SCORE, score)
    store(image + CREATED, created)
    store(image + READ, 0)
    store(image + READS, 0)
    store(image + RAW, 0)
    store(image + COUNTS, count | durable << 32)
    copy(image + HEAD, scratch + OLD, EXTENT * count)
    copy(image + HEAD + EXTENT * (count + durable), name + tag_nbytes + 1, own)
    if number != 0:
        # now, because the record may be written in place
        copy(scratch + OLD, record + HEAD, EXTENT * old)
        if entry_put_in(at, image, tag) < 0:
            return LONG_WAY
    elif entry_put_in(at, image, tag) < 0:
        return LONG_WAY
    store(at + LAST, now)
    note_put(at, t0, k0, size, now)
    return old
