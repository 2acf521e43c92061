"""Put of a blob into ram as one kernel: block, copy, checksum, record; or into a file. What it can't do, it leaves to changes.py.

A kernel takes a token only when nobody has it; it makes no room and never waits.
"""

from wrp.comm.atomics import copy, load, now_ns, store, wall_ns
from wrp.comm.digests import hash128_at
from wrp.comm.filed import write_checked
from wrp.comm.fresh import bytes_in
from wrp.comm.jit import kernel
from wrp.comm.lock import token_give, token_take
from wrp.comm.streaming import copy_checked, prefetch
from wrp.cte.blocks import blocks_give, blocks_take
from wrp.cte.direct.desk import AT, BLOCKS, FILED, HOLDER, IMAGE, LEFT, OLD, RAM, ROOM, TOOK, VIEWS
from wrp.cte.entries import entry_put_in
from wrp.cte.images import extent_at
from wrp.cte.layout import (BLOB_KIND, CHECK, COUNTS, CREATED, DIRTY, EXTENT, HEAD, JOURNALED, KEY0, KEY1, LAST, LOW, PINNED, RAW, READ, READS, SCORE, SHAPE,
                            SIZE, STAMP, TAG_KIND, TOKEN, flags_of, kind_of, record_at)
from wrp.cte.table import table_home, table_locate
from wrp.cte.telemetry.noting import note_moved, note_put
from wrp.cte.views import views_hold

LONG_WAY = -1                   # nothing has happened
NO_BLOCK = -2
STORED = -3                     # the bytes are in the place that the desk names, the record isn't
FAILED = -4                     # the file took no bytes
MOST = 32                       # extents that are replaced, or put, in one kernel
VIEWED = 64                     # added to how many were replaced: somebody may look at them


@kernel
def direct_put(desk, name, name_nbytes, tag_nbytes, data, nbytes, score):
    """Put a small blob; what it replaced is free: 0, how many extents of it aren't (at OLD; with VIEWED where somebody may look at them), or a code above.

    name : address of the full name, tag_nbytes of which are the tag's; data : address; score : bits of a float64
    """
    at, blocks, holder = load(desk + AT), load(desk + BLOCKS), load(desk + HOLDER)
    # where there are many blobs, neither the name's slot nor its record is in the cache: they come while a block is taken and the bytes are copied
    k0, k1 = hash128_at(name, name_nbytes)
    home = table_home(at, k0)
    prefetch(home)
    if token_take(blocks, holder) != 0:
        return LONG_WAY
    offset = blocks_take(blocks, nbytes)
    token_give(blocks)
    if offset < 0:
        return NO_BLOCK
    record = record_at(at, load(home) & LOW)
    prefetch(record), prefetch(record + 64), prefetch(record + 128)
    old = _stored(desk, k0, k1, name, name_nbytes, tag_nbytes, offset, data, nbytes, score)
    left = old if old < 0 or old & VIEWED != 0 else _give(blocks, old, holder, desk)
    return left if left == 0 else _left(desk, left)


@kernel
def _left(desk, code):
    """The code, which stands on the desk, too, as far as it says what is whose: an error of a signal's handler may come before anybody has it."""
    if code >= 0:
        store(desk + LEFT, TOOK + code % VIEWED)
    elif code == STORED or code == FAILED:
        store(desk + LEFT, TOOK + 1)
    return code


@kernel
def _stored(desk, k0, k1, name, name_nbytes, tag_nbytes, offset, data, nbytes, score):
    """Copy the bytes to their place in ram and publish it: what `_publish` says, or STORED."""
    crc = copy_checked(load(desk + RAM) + offset, data, nbytes)
    return _placed(desk, k0, k1, name, name_nbytes, tag_nbytes, 0, offset, nbytes, crc, score)


@kernel
def _placed(desk, k0, k1, name, name_nbytes, tag_nbytes, target, offset, nbytes, crc, score):
    """Publish bytes that are in their place: what `_publish` says, or STORED."""
    note_moved(load(desk + AT), target, True, nbytes)
    _place(desk, target << 32 | crc, offset, nbytes)
    old = _publish(desk, k0, k1, name, name_nbytes, tag_nbytes, 1, nbytes, crc, score)
    if old < 0:
        _place(desk, target << 32 | crc, offset, nbytes)
        return STORED
    return old


@kernel
def _place(desk, word, offset, nbytes):
    store(desk + OLD, word)
    store(desk + OLD + 8, offset)
    store(desk + OLD + 16, nbytes)


@kernel
def direct_put_array(desk, name, name_nbytes, tag_nbytes, array, nbytes, score):
    """The same for the `nbytes` bytes of a C-contiguous array, of which `array` is the id."""
    return direct_put(desk, name, name_nbytes, tag_nbytes, bytes_in(array), nbytes, score)


@kernel
def direct_put_run(desk, offset, name, name_nbytes, tag_nbytes, array, nbytes, score):
    """Put such bytes into a run of ram that is leased: what `_publish` says, or STORED."""
    k0, k1 = hash128_at(name, name_nbytes)
    return _left(desk, _stored(desk, k0, k1, name, name_nbytes, tag_nbytes, offset, bytes_in(array), nbytes, score))


@kernel
def direct_put_file(desk, descriptor, target, offset, name, name_nbytes, tag_nbytes, array, nbytes, score):
    """Put such bytes into a run of a file that is leased: what `_publish` says, STORED or FAILED."""
    begin = now_ns()
    crc = write_checked(descriptor, bytes_in(array), nbytes, offset, load(desk + ROOM))
    if crc < 0:
        store(desk + FILED, -crc)
        _place(desk, target << 32, offset, nbytes)
        return _left(desk, FAILED)
    store(desk + FILED, now_ns() - begin)
    k0, k1 = hash128_at(name, name_nbytes)
    return _left(desk, _placed(desk, k0, k1, name, name_nbytes, tag_nbytes, target, offset, nbytes, crc, score))


@kernel
def _give(blocks, count, holder, desk):
    """Give the blocks of `count` extents back; how many are left, at the front, for the long way."""
    if count == 0 or token_take(blocks, holder) != 0:
        return count
    left = 0
    for number in range(count):
        place = desk + OLD + EXTENT * number
        if load(place) >> 32 != 0 or blocks_give(blocks, load(place + 8)) != 0:
            copy(desk + OLD + EXTENT * left, place, EXTENT)
            left += 1
    token_give(blocks)
    return left


@kernel
def direct_publish(desk, name, name_nbytes, tag_nbytes, count, size, check, score):
    """Make `count` extents, which stand on the desk at OLD, the blob: what `_publish` says."""
    k0, k1 = hash128_at(name, name_nbytes)
    return _left(desk, _publish(desk, k0, k1, name, name_nbytes, tag_nbytes, count, size, check, score))


@kernel
def _publish(desk, k0, k1, name, name_nbytes, tag_nbytes, count, size, check, score):
    """How many extents it has replaced, which are at OLD now; that and VIEWED where somebody may look at them; or LONG_WAY."""
    at = load(desk + AT)
    token = at + load(at + TOKEN)
    if token_take(token, load(desk + HOLDER)) != 0:
        return LONG_WAY
    old = _publish_held(at, k0, k1, name, name_nbytes, tag_nbytes, count, size, check, score, desk)
    token_give(token)
    # giving the token is a full barrier: who has named these bytes is seen now, who names them later sees another record
    if old > 0 and old & VIEWED != 0 and not _is_viewed(desk, old - VIEWED):
        old -= VIEWED
    return old


@kernel
def _is_viewed(desk, count):
    """True when slots name some of `count` extents; maybe one of a process that is dead."""
    for number in range(count):
        place = desk + OLD + EXTENT * number
        if views_hold(load(desk + VIEWS), load(place + 8), load(place + 16), 0) >= 0:
            return True
    return False


@kernel
def _replaced(record, old, durable, to):
    """Copy those extents of a blob to `to` that the journal doesn't name: how many."""
    count = 0
    for position in range(old):
        target, _, offset, _ = extent_at(record, position)
        is_named = False
        for other in range(old, old + durable if target != 0 else old):
            named = extent_at(record, other)
            is_named = is_named or named[0] == target and named[2] == offset
        if not is_named:
            copy(to + EXTENT * count, record + HEAD + EXTENT * position, EXTENT)
            count += 1
    return count


@kernel
def _publish_held(at, k0, k1, name, nbytes, tag_nbytes, count, size, check, score, desk):
    t0, t1 = hash128_at(name, tag_nbytes)
    tag = table_locate(at, t0, t1)[1]
    if tag == 0 or kind_of(record_at(at, tag)) != TAG_KIND:
        return LONG_WAY
    number = table_locate(at, k0, k1)[1]
    own = nbytes - tag_nbytes - 1
    image = desk + IMAGE
    now = max(wall_ns(), load(at + LAST) + 1)
    flags, created, durable, old, viewed = DIRTY, now, 0, 0, 0
    if number != 0:
        record = record_at(at, number)
        counts = load(record + COUNTS)
        old, durable = counts & LOW, counts >> 32
        if old > MOST or HEAD + EXTENT * (count + durable) + own + 8 > OLD - IMAGE:
            return LONG_WAY
        flags |= flags_of(record) & JOURNALED
        viewed = VIEWED if flags_of(record) & PINNED != 0 else 0
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
    copy(image + HEAD, desk + OLD, EXTENT * count)
    copy(image + HEAD + EXTENT * (count + durable), name + tag_nbytes + 1, own)
    if number != 0:
        # now, because the record may be written in place
        replaced = _replaced(record, old, durable, desk + OLD)
        if entry_put_in(at, image, tag) < 0:
            return LONG_WAY
        old = replaced
    elif entry_put_in(at, image, tag) < 0:
        return LONG_WAY
    store(at + LAST, now)
    note_put(at, t0, k0, size, now)
    return old + viewed
