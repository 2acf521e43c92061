"""Entries of the catalog as kernels: put and remove. Who does has the token. How they are found, copied and listed: images.py.

An image is a record as layout.py draws it, made by the caller in memory of its own: SHAPE without a size class, TAG = nbytes of the tag's
name, which stands behind the blob's own, padded to words; SEQUENCE, LINKS and a tag's SIZE, CHECK and RAW don't count.
"""

from wrp.comm.atomics import add, copy, load, store
from wrp.comm.digests import hash128_at
from wrp.comm.jit import kernel
from wrp.cte.heap import heap_give, heap_take
from wrp.cte.images import image_out
from wrp.cte.layout import (ABSENT, ANCHOR, BLOB_KIND, CHECK, COUNTS, CREATED, DIRTY, DIRTY_COUNT, FULL, HEAD, KEY0, KEY1, LAST, LATELY, LINKS,
                            LOW, MOST_LATELY, RAW, READ, READS, SCORE, SEQUENCE, SHAPE, SIZE, STAMP, TAG, TAG_KIND, TURNED, UNIT, class_at,
                            class_units, flags_of, kind_of, name_at, name_nbytes, nbytes_of, record_at)
from wrp.cte.table import table_add, table_drop, table_has_room, table_locate, table_replace, table_settled


@kernel
def entry_put(at, image):
    """Publish an image in place of the record of its name: 0, FULL, or UNBACKED. Nothing has changed when it isn't 0."""
    tag = 0
    if kind_of(image) == BLOB_KIND:
        own = name_at(image)
        tag = _tag_of(at, image + own + (name_nbytes(image) + 7) // 8 * 8, load(image + TAG))
        if tag < 0:
            return tag
    code = entry_put_in(at, image, tag)
    if code < 0 and tag > 0:
        _drop_if_unused(at, tag)
    return code


@kernel
def entry_put_all(at, images, nbytes, out, capacity):
    """Publish images that stand one behind the other, the first word of each the number of its bytes; a tag that is there stays as it is.

    (bytes of images that are done, bytes of `out` in which the records they replaced are, FULL, UNBACKED, or 0: all done, or `out` is full)
    """
    done = used = 0
    while done < nbytes:
        image = images + done
        store(at + LAST, max(load(at + LAST), load(image + STAMP)))
        _, number = table_locate(at, load(image + KEY0), load(image + KEY1))
        known = number != 0 and kind_of(record_at(at, number)) != ANCHOR
        if not known or kind_of(image) == BLOB_KIND:
            size = image_out(at, record_at(at, number), out + used, capacity - used) if known else 0
            if known and size == 0:
                return done, used, 0
            code = entry_put(at, image)
            if code < 0:
                return done, used, code
            used += size
        done += load(image)
    return done, used, 0


@kernel
def entry_put_all_noted(at, images, nbytes, out, capacity, note):
    """The same, with what that gives in three words."""
    done, used, code = entry_put_all(at, images, nbytes, out, capacity)
    store(note, done)
    store(note + 8, used)
    store(note + 16, code)


@kernel
def _tag_of(at, name, nbytes):
    """Number of a tag's record, or of the anchor made for it; FULL or UNBACKED."""
    k0, k1 = hash128_at(name, nbytes)
    slot, number = table_locate(at, k0, k1)
    if number != 0:
        return number
    if slot < 0 or not table_has_room(at, 1):
        return FULL
    number = heap_take(at, HEAD + (nbytes + 7) // 8 * 8)
    if number < 0:
        return number
    record = record_at(at, number)
    sequence = load(record + SEQUENCE)
    store(record + SEQUENCE, sequence + 1)
    for offset in range(STAMP, HEAD, 8):
        store(record + offset, 0)
    store(record + KEY0, k0)
    store(record + KEY1, k1)
    store(record + SHAPE, ANCHOR | nbytes << 32 | class_at(record) << 48)
    copy(record + HEAD, name, nbytes)
    store(record + SEQUENCE, sequence + 2)
    table_add(at, slot, k0, number)
    return number


@kernel
def _drop_if_unused(at, tag):
    """Take an anchor out that holds nothing any more."""
    record = record_at(at, tag)
    if kind_of(record) == ANCHOR and load(record + RAW) == 0:
        slot, _ = table_locate(at, load(record + KEY0), load(record + KEY1))
        table_drop(at, slot)
        heap_give(at, tag)
        table_settled(at)


@kernel
def entry_put_in(at, image, tag):
    """The same, with the number of the blob's tag (of a tag's image: 0); the tag's name isn't looked at."""
    k0, k1 = load(image + KEY0), load(image + KEY1)
    nbytes = nbytes_of(image)
    slot, number = table_locate(at, k0, k1)
    if number != 0 and nbytes <= class_units(class_at(record_at(at, number))) * UNIT:
        record = record_at(at, number)
        if flags_of(record) & DIRTY == 0:
            _note_dirty(at, image, number)
        _account(at, record, image, tag)
        _write(record, image, nbytes, False)
        return 0
    if number == 0 and (slot < 0 or not table_has_room(at, 1)):
        return FULL
    fresh = heap_take(at, nbytes)
    if fresh < 0:
        return fresh
    record = record_at(at, fresh)
    _write(record, image, nbytes, True)
    store(record + TAG, tag)
    _note_dirty(at, image, fresh)
    if number == 0:
        _account(at, 0, image, tag)
        _link(at, fresh, tag)
        table_add(at, slot, k0, fresh)
    else:
        old = record_at(at, number)
        _account(at, old, image, tag)
        store(record + READ, load(old + READ))
        store(record + READS, load(old + READS))
        _relink(at, number, fresh)
        table_replace(at, slot, k0, fresh)
        heap_give(at, number)
        table_settled(at)
    return 0


@kernel
def _note_dirty(at, image, number):
    """A flush that looks soon needn't look at all records."""
    if flags_of(image) & DIRTY != 0:
        turned = load(at + TURNED)
        store(at + LATELY + 8 * (turned & (MOST_LATELY - 1)), number)
        store(at + TURNED, turned + 1)


@kernel
def _write(record, image, nbytes, fresh):
    """The image's words into a record. Readers' words, links and what a tag knows of its blobs stay, unless it is fresh."""
    sequence = load(record + SEQUENCE)
    store(record + SEQUENCE, sequence + 1)
    shape = load(image + SHAPE) & 0xFFFFFFFFFFFF | class_at(record) << 48
    store(record + KEY0, load(image + KEY0))
    store(record + KEY1, load(image + KEY1))
    store(record + SHAPE, shape)
    store(record + STAMP, load(image + STAMP))
    store(record + SCORE, load(image + SCORE))
    store(record + CREATED, load(image + CREATED))
    store(record + COUNTS, load(image + COUNTS))
    if shape & 0xFF == BLOB_KIND:
        store(record + SIZE, load(image + SIZE))
        store(record + CHECK, load(image + CHECK))
        store(record + RAW, load(image + RAW))
    elif fresh:
        store(record + SIZE, 0)
        store(record + CHECK, 0)
        store(record + RAW, 0)
    if fresh:
        store(record + READ, load(image + READ))
        store(record + READS, load(image + READS))
        store(record + LINKS, 0)
    for offset in range(HEAD, nbytes, 8):
        store(record + offset, load(image + offset))
    store(record + SEQUENCE, sequence + 2)


@kernel
def _raw_nbytes(blob):
    """Bytes of a blob as its users know it, whatever a codec made of them."""
    raw = load(blob + RAW)
    return raw if raw != 0 else load(blob + SIZE)


@kernel
def _account(at, old, image, tag):
    """Count dirty records, and a tag's blobs and bytes, when `image` (or nothing, 0) comes for `old` (or nothing, 0)."""
    dirty = 0
    if image != 0:
        dirty += flags_of(image) & DIRTY
    if old != 0:
        dirty -= flags_of(old) & DIRTY
    # most puts change none of these, and an atomic instruction takes as long as all the rest here
    if dirty != 0:
        add(at + DIRTY_COUNT, dirty)
    if tag != 0:
        parent = record_at(at, tag)
        size = _raw_nbytes(image) if image != 0 else 0
        if old != 0:
            size -= _raw_nbytes(old)
        if size != 0:
            add(parent + SIZE, size)
        if image == 0 or old == 0:
            add(parent + CHECK, 1 if image != 0 else -1)


@kernel
def _link(at, number, tag):
    """A blob becomes the first of its tag."""
    if tag != 0:
        parent = record_at(at, tag)
        first = load(parent + RAW)
        store(record_at(at, number) + LINKS, first)
        if first != 0:
            store(record_at(at, first) + LINKS, load(record_at(at, first) + LINKS) & LOW | number << 32)
        store(parent + RAW, number)


@kernel
def _relink(at, number, fresh):
    """`fresh` takes the place of a record in the list of its tag."""
    links = load(record_at(at, number) + LINKS)
    store(record_at(at, fresh) + LINKS, links)
    _join(at, number, links >> 32 & LOW, fresh, links & LOW, fresh)


@kernel
def _unlink(at, number):
    links = load(record_at(at, number) + LINKS)
    _join(at, number, links >> 32 & LOW, links & LOW, links & LOW, links >> 32 & LOW)


@kernel
def _join(at, number, before, after_before, after, before_after):
    """Set what follows `before` (or the tag, 0) and what precedes `after` (0: nothing does)."""
    tag = load(record_at(at, number) + TAG)
    if before != 0:
        store(record_at(at, before) + LINKS, load(record_at(at, before) + LINKS) & (LOW << 32) | after_before)
    elif tag != 0:
        store(record_at(at, tag) + RAW, after_before)
    if after != 0:
        store(record_at(at, after) + LINKS, load(record_at(at, after) + LINKS) & LOW | before_after << 32)


@kernel
def entry_remove(at, k0, k1):
    """Take a name out: 1, or ABSENT. A tag whose blobs stay is an anchor from then on, which nobody sees."""
    slot, number = table_locate(at, k0, k1)
    if number == 0 or kind_of(record_at(at, number)) == ANCHOR:
        return ABSENT
    record = record_at(at, number)
    if kind_of(record) == TAG_KIND and load(record + RAW) != 0:
        _account(at, record, 0, 0)
        sequence = load(record + SEQUENCE)
        store(record + SEQUENCE, sequence + 1)
        store(record + SHAPE, load(record + SHAPE) & ~0xFFFFFFFF | ANCHOR)
        store(record + SEQUENCE, sequence + 2)
        return 1
    tag = load(record + TAG) if kind_of(record) == BLOB_KIND else 0
    _account(at, record, 0, tag)
    if tag != 0:
        _unlink(at, number)
    table_drop(at, slot)
    heap_give(at, number)
    table_settled(at)
    if tag != 0:
        _drop_if_unused(at, tag)
    return 1
