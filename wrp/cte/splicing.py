"""Splicing: a blob's extents with ranges of it written anew. Only what a range touches is copied; the other extents stay the blob's own. Changes no record."""

from bisect import bisect_right

from wrp.cte import pieces
from wrp.cte.targets import Wish
from wrp.errors import OutOfSpace


def spliced(tiers, old, segments, score=1.0, loose=None):
    """(extents of the blob of `old` (a Record or None) with [(offset, bytes-like)] put into it one after the other, those of them that are its own).

    It ends where it did, or behind the last byte of them, also where that is an empty one's; a gap is zeros. On an error nothing stays taken; with a list `loose`
    that is the caller's to see to: the others are in it, from their lease on.
    """
    size = old.size if old else 0
    end = max([size, *(offset + len(data) for offset, data in segments)])
    extents, kept_ones, fresh = [], [], [] if loose is None else loose
    try:
        for kept, low, high in _parts(old.extents if old else (), size, end, _merged(segments)):
            if kept is None:
                extents += pieces.write(tiers, _written(tiers, old, segments, low, high), wish=Wish(old.score if old else score), loose=fresh)
            else:
                extents.append(kept)
                kept_ones.append(kept)
        return tuple(extents), tuple(kept_ones)
    except BaseException:
        if loose is None:
            tiers.settle(fresh)
        raise


def patch(buffer, low, segments):
    """Put what of the segments lies in `buffer`, whose first byte is byte `low` of the blob, into it."""
    high = low + len(buffer)
    for offset, data in segments:
        first, last = max(offset, low), min(offset + len(data), high)
        if first < last:
            buffer[first - low:last - low] = data[first - offset:last - offset]


def _merged(segments):
    """(begins, ends) of the ranges that segments cover, ascending and apart."""
    begins, ends = [], []
    for low, high in sorted((offset, offset + len(data)) for offset, data in segments if len(data)):
        if ends and low <= ends[-1]:
            ends[-1] = max(ends[-1], high)
        else:
            begins.append(low)
            ends.append(high)
    return begins, ends


def _parts(before, size, end, covered):
    """(extent that stays, or None where it is written anew, first byte, byte behind the last), in the order of the blob's bytes."""
    begins, ends = covered
    run, position = None, 0
    for extent in before:
        after = position + extent[2]
        place = bisect_right(ends, position)
        if place < len(begins) and begins[place] < after:
            run = (run[0] if run else position, after)
        else:
            if run:
                yield None, *run
            run = None
            yield extent, position, after
        position = after
    if end > size:
        run = (run[0] if run else size, end)
    if run:
        yield None, *run


def _written(tiers, old, segments, low, high):
    """Bytes `low` to `high` of the blob, with the segments in them."""
    try:
        buffer = bytearray(high - low)
    except (MemoryError, OverflowError) as error:
        raise OutOfSpace(f"there is no room for the {high - low} bytes from offset {low} on that are put into the blob") from error
    covered = min(high, old.size if old else 0) - low
    if covered > 0:
        pieces.read(tiers, old, low, memoryview(buffer)[:covered])
    patch(buffer, low, segments)
    return buffer
