"""Splicing: a blob's extents with ranges of it written anew. Only what a range touches is copied; the other extents stay the blob's own. Changes no record."""

from bisect import bisect_right

from wrp.cte import pieces
from wrp.cte.targets import Wish
from wrp.errors import OutOfSpace


def spliced(tiers, old, segments, score=1.0):
    """(extents of the blob of `old` (a Record or None) with [(offset, bytes-like)] put into it one after the other, those of them that are its own).

    It ends where it did, or behind the last byte of them, also where that is an empty one's; a gap is zeros. On an error nothing stays taken.
    """
    size = old.size if old else 0
    end = max([size, *(offset + len(data) for offset, data in segments)])
    extents, fresh = [], []
    try:
        for kept, low, high in _parts(old.extents if old else (), size, end, _merged(segments)):
            if kept is None:
                made = pieces.write(tiers, _written(tiers, old, segments, low, high), wish=Wish(old.score if old else score))
                fresh += made
                extents += made
            else:
                extents.append(kept)
    except BaseException:
        tiers.give_back(fresh)
        raise
    return tuple(extents), tuple(others(extents, fresh))


def others(extents, some):
    """Those of the extents that aren't some of them, as objects: where a blob is replaced while it is read, its space may come again with the same bytes, and equal extents be two."""
    known = set(map(id, some))
    return [extent for extent in extents if id(extent) not in known]


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
