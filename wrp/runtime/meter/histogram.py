"""Histograms of latencies in powers of two of nanoseconds, one per worker and method; the worker alone writes them."""

from typing import NamedTuple

from wrp.comm import atomics
from wrp.comm.jit import kernel

BUCKETS = 48            # bucket b has what took 2 ** (b - 1) to 2 ** b - 1 ns
KEY, COUNT, TOTAL, MOST = 0, 8, 16, 24      # byte offsets: pool << 32 | method, plus 1; tasks; ns; the longest, ns
_BUCKETS_AT = 32
NBYTES = _BUCKETS_AT + 8 * BUCKETS
METHODS = 64            # methods that one worker tells apart; the last place takes all others
OTHERS = (1 << 62) + 1


@kernel
def histogram_add(table, pool, method, ns):
    """Count a task of `ns` nanoseconds in the table of METHODS histograms at the address."""
    key = (pool << 32 | method & 0xFFFFFFFF) + 1
    place = (pool * 31 + method) % (METHODS - 1)
    if place < 0:
        place += METHODS - 1
    for _ in range(METHODS - 1):
        seen = atomics.load(table + place * NBYTES)
        if seen == key:
            break
        if seen == 0:
            atomics.store(table + place * NBYTES, key)
            break
        place = place + 1 if place < METHODS - 2 else 0
    else:
        place = METHODS - 1
        atomics.store(table + place * NBYTES, OTHERS)
    _add(table + place * NBYTES, ns)


@kernel
def _add(entry, ns):
    bucket, rest = 0, max(0, ns)
    while rest > 0:
        rest >>= 1
        bucket += 1
    at = entry + _BUCKETS_AT + 8 * min(bucket, BUCKETS - 1)
    atomics.store(at, atomics.load(at) + 1)
    atomics.store(entry + COUNT, atomics.load(entry + COUNT) + 1)
    atomics.store(entry + TOTAL, atomics.load(entry + TOTAL) + ns)
    if ns > atomics.load(entry + MOST):
        atomics.store(entry + MOST, ns)


class Histogram(NamedTuple):
    """Latencies of one method. `buckets[b]`: how many took 2 ** (b - 1) to 2 ** b - 1 ns; `most_ns`: the longest."""

    buckets: tuple
    total_ns: int
    most_ns: int

    @property
    def count(self):
        return sum(self.buckets)

    def percentile(self, part):
        """The ns that `part` (0 to 1) of the tasks didn't exceed: the upper end of their bucket, at most the longest."""
        need, seen = part * self.count, 0
        for bucket, number in enumerate(self.buckets):
            seen += number
            if number and seen >= need:
                return min((1 << bucket) - 1, self.most_ns)
        return 0

    def __add__(self, other):
        return Histogram(tuple(map(sum, zip(self.buckets, other.buckets))), self.total_ns + other.total_ns,
                         max(self.most_ns, other.most_ns))


def read(table):
    """{(pool's slot, method): Histogram} of a table; (-1, -1) has what found no place of its own. While the worker writes on,
    a count may be one behind."""
    found = {}
    for place in range(METHODS):
        entry = table + place * NBYTES
        key = atomics.load(entry)
        if key:
            name = (-1, -1) if key == OTHERS else ((key - 1) >> 32, _signed(key - 1 & 0xFFFFFFFF))
            buckets = tuple(atomics.load(entry + _BUCKETS_AT + 8 * number) for number in range(BUCKETS))
            found[name] = Histogram(buckets, atomics.load(entry + TOTAL), atomics.load(entry + MOST))
    return found


def _signed(word):
    return word - (1 << 32) if word >> 31 else word
