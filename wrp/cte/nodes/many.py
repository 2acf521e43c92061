"""Many blobs at once over several nodes: one question for each home, all of them under way together."""

import numpy as np

from wrp.cte import given
from wrp.cte.nodes.wire import INLINE, PORTION
from wrp.errors import Corrupt, WaitTimeout

_NAMES = 4096                   # in one question


def put_many(store, routes, tag, blobs, rows, score):
    """Put rows under names, each at its home. For the arguments see Store.put_many."""
    by_home = _by_home(routes, tag, blobs)
    with routes.unflushed.changing(by_home.keys() - {routes.node}):
        _put_at(by_home, store, routes.net, tag, blobs, rows, score)


def _put_at(by_home, store, net, tag, blobs, rows, score):
    array, under_way = given.rows_of(rows), []
    try:
        for home, numbers in by_home.items():
            if array is None or array.shape[1] > INLINE:
                for number in numbers:
                    store.put(tag, blobs[number], rows[number], score=score)
            elif home == net.node:
                net.calls["put_many"](tag, [blobs[number] for number in numbers], array[numbers], array.shape[1], score)
            else:
                for part in _parts(numbers, array.shape[1]):
                    under_way.append(net.begin(home, "put_many", tag, [blobs[number] for number in part], array[part].tobytes(), array.shape[1], score))
    finally:
        net.answers(under_way)


def get_many(store, routes, cache, tag, blobs, rows):
    """The bytes of blobs, as a list, or where `rows` (uint8, n x nbytes) are given into them; `cache`: of the node, or None. See Store.get_many."""
    net, under_way, nbytes = routes.net, [], rows.shape[1] if rows is not None else None
    found = [None] * len(blobs)
    by_home = _by_home(routes, tag, blobs)
    by_home.pop(net.node, None)
    for home, numbers in by_home.items():
        for part in _parts(numbers, nbytes or 1):
            named = [blobs[number] for number in part]
            kept = [cache.find(tag, name) for name in named] if cache is not None else [None] * len(part)
            under_way.append((part, kept, _question(net, home, tag, named, nbytes, kept)))
    answers = net.answers([question for *_, question in under_way], (Corrupt, WaitTimeout) if routes.keepers is not None else ())
    for (part, kept, _), answer in zip(under_way, answers):
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


def _parts(numbers, nbytes):
    """Lists of numbers, each few enough for one question."""
    count = max(1, min(_NAMES, PORTION // max(1, nbytes)))
    return [numbers[start:start + count] for start in range(0, len(numbers), count)]
