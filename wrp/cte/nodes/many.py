"""Many blobs at once over several nodes: few questions for each home, some of them under way together."""

from functools import partial
from operator import itemgetter

import numpy as np

from wrp.cte import given
from wrp.cte.nodes.wire import INLINE, PORTION
from wrp.errors import Corrupt, WaitTimeout

_NAMES = 4096                   # in one question
_NBYTES = PORTION // 2          # of rows in one question, or its answer
_UNDER_WAY = 4                  # questions at once, or one for each home


def put_many(store, routes, tag, blobs, rows, score):
    """Put rows under names, each at its home. For the arguments see Store.put_many."""
    by_home = _by_home(routes, tag, blobs)
    with routes.unflushed.changing(by_home.keys() - {routes.node}):
        _put_at(by_home, store, routes.net, tag, blobs, rows, score)


def _put_at(by_home, store, net, tag, blobs, rows, score):
    array = given.rows_of(rows)
    if array is None or array.shape[1] > INLINE:
        for number in (number for numbers in by_home.values() for number in numbers):
            store.put(tag, blobs[number], rows[number], score=score)
        return
    here = by_home.pop(net.node, [])
    if here:
        net.calls["put_many"](tag, [blobs[number] for number in here], array[here], array.shape[1], score)
    net.in_turn([partial(_row_put, net, home, tag, blobs, array, part, score) for home, part in _parts(by_home, array.shape[1])], max(_UNDER_WAY, len(by_home)))


def _row_put(net, home, tag, blobs, array, part, score):
    return net.begin(home, "put_many", tag, [blobs[number] for number in part], array[part].tobytes(), array.shape[1], score)


def get_many(store, routes, cache, tag, blobs, rows):
    """The bytes of blobs, as a list, or where `rows` (uint8, n x nbytes) are given into them; `cache`: of the node, or None. See Store.get_many."""
    net, asked, nbytes = routes.net, [], rows.shape[1] if rows is not None else None
    found = [None] * len(blobs)
    by_home = _by_home(routes, tag, blobs)
    by_home.pop(net.node, None)
    for home, part in _parts(by_home, nbytes or 1):
        named = [blobs[number] for number in part]
        kept = [cache.find(tag, name) for name in named] if cache is not None else [None] * len(part)
        asked.append((part, kept, partial(_question, net, home, tag, named, nbytes, kept)))
    answers = net.in_turn([begin for *_, begin in asked], max(_UNDER_WAY, len(by_home)), (Corrupt, WaitTimeout) if routes.keepers is not None else ())
    for (part, kept, _), answer in zip(asked, answers):
        if isinstance(answer, bytes):   # rows, one behind the other
            rows[part] = given.rows_in(answer, nbytes)
            answer = [b""] * len(part)
        for number, record, data in zip(part, kept, answer or ()):      # without an answer one by one: keepers have them
            if data is True:
                found[number] = _of_cache(cache, record, rows[number] if rows is not None else None)
            elif data and rows is not None:
                rows[number] = np.frombuffer(data, np.uint8)
                found[number] = b""
            else:
                found[number] = data
    for number in range(len(blobs)):
        if found[number] is None:
            found[number] = store.get(tag, blobs[number], out=rows[number] if rows is not None else None)
    return found


def _question(net, home, tag, blobs, nbytes, kept):
    """For the first `nbytes` bytes of blobs, or all; rows travel as they lie there, unless some are kept here."""
    if nbytes and nbytes <= INLINE and not any(kept):
        return net.begin(home, "get_rows", tag, blobs, nbytes)
    known = [record.stamp if record is not None else 0 for record in kept] if any(kept) else None
    return net.begin(home, "get_many", tag, blobs, nbytes, known)


def _of_cache(cache, record, row):
    """The bytes of what is kept, b"" once they are in a row; None when they have left."""
    place = memoryview(row if row is not None else bytearray(record.raw or record.size))
    if not cache.get(record, 0, place):
        return None
    return bytes(place) if row is None else b""


def _by_home(routes, tag, blobs):
    """{home: numbers of the blobs}."""
    found = {}
    for number, blob in enumerate(blobs):
        found.setdefault(routes.home(tag, blob), []).append(number)
    return found


def _parts(by_home, nbytes):
    """[(home, numbers)], each few enough for one question; the homes by turns."""
    count = max(1, min(_NAMES, _NBYTES // max(1, nbytes)))
    parts = [(start, home, numbers[start:start + count]) for home, numbers in by_home.items() for start in range(0, len(numbers), count)]
    return [(home, part) for _, home, part in sorted(parts, key=itemgetter(0))]
