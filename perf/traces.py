"""Access traces for perf/policies.py: five made ones, drawn from a seed, and two published formats that can be read.

The made ones are those that caches are usually compared with (Zipf popularity, scans, loops that are larger than the cache, a working set
that moves on) and the one of batch jobs: checkpoints that are written, kept for some steps, and read after a restart.
"""

import bisect
import itertools
import math
import random

from wrp.cte.organizer.simulation import Access

MIB = 1 << 20
_RATE = 50.0                # accesses per second of the trace


def made(length, seed=0):
    """{name: list of Accesses} of about `length` accesses each, over some hundred blobs of 64 KiB to 4 MiB."""
    return {name: list(function(length, random.Random(f"{name}-{seed}"))) for name, function in _MADE.items()}


def footprint(trace):
    """Bytes of all blobs of a trace."""
    return sum({access.blob: access.nbytes for access in trace}.values())


def _zipf(length, chance, exponent=0.9, blobs=600):
    sizes, clock = _sizes(blobs, chance), _clock()
    yield from _all_put(sizes, clock)
    draw = _popularity(blobs, exponent, chance)
    for _ in range(length):
        number = draw()
        yield Access("get", f"z{number}", sizes[f"z{number}"], next(clock))


def _scan(length, chance):
    """Popular blobs, and every now and then all others once, in order."""
    sizes, clock = _sizes(600, chance), _clock()
    yield from _all_put(sizes, clock)
    draw, names = _popularity(60, 0.8, chance), list(sizes)
    rest = itertools.cycle(names[60:])
    while length > 0:
        for _ in range(300):
            name = f"z{draw()}"
            yield Access("get", name, sizes[name], next(clock))
        for name in itertools.islice(rest, 180):
            yield Access("get", name, sizes[name], next(clock))
        length -= 480


def _loop(length, chance):
    """The same blobs in the same order, again and again, more than the fast tier holds."""
    sizes, clock = _sizes(150, chance), _clock()
    yield from _all_put(sizes, clock)
    for name in itertools.islice(itertools.cycle(sizes), length):
        yield Access("get", name, sizes[name], next(clock))


def _shift(length, chance):
    """A working set that is replaced by another eight times."""
    sizes, clock = _sizes(600, chance), _clock()
    yield from _all_put(sizes, clock)
    for phase in range(8):
        for _ in range(length // 8):
            name = f"z{phase * 70 + int(70 * chance.random() ** 2)}"
            yield Access("get", name, sizes[name], next(clock))


def _checkpoint(length, chance):
    """Steps write 24 pieces each; the last three are kept; after every tenth step the job starts again and reads the last."""
    sizes, clock = _sizes(24, chance), _clock()
    for step in itertools.count():
        for piece, nbytes in enumerate(sizes.values()):
            yield Access("put", f"s{step}/{piece}", nbytes, next(clock))
        for piece in range(24 if step >= 3 else 0):
            yield Access("delete", f"s{step - 3}/{piece}", 0, next(clock))
        length -= 72
        if step % 10 == 9:
            for piece, nbytes in enumerate(sizes.values()):
                yield Access("get", f"s{step}/{piece}", nbytes, next(clock))
        if length <= 0:
            return


_MADE = {"zipf": _zipf, "scan": _scan, "loop": _loop, "shift": _shift, "checkpoint": _checkpoint}


def _sizes(count, chance):
    """{name: nbytes}: log-normal around 1 MiB."""
    return {f"z{number}": min(4 * MIB, max(MIB // 16, int(MIB * math.exp(chance.gauss(-0.3, 0.8))))) for number in range(count)}


def _all_put(sizes, clock):
    for name, nbytes in sizes.items():
        yield Access("put", name, nbytes, next(clock))


def _clock():
    return (number / _RATE for number in itertools.count())


def _popularity(count, exponent, chance):
    """A function that draws a number below `count`, the smaller the likelier; which number is popular is drawn too."""
    sums = list(itertools.accumulate(1 / rank ** exponent for rank in range(1, count + 1)))
    numbers = list(range(count))
    chance.shuffle(numbers)
    return lambda: numbers[bisect.bisect(sums, chance.random() * sums[-1])]


def read(path, limit=0):
    """The Accesses of a published trace; at most `limit` unless it is 0.

    NAME.csv : MSR Cambridge: time in 100 ns, host, disk, Read or Write, offset, nbytes, response time. A blob is 1 MiB of a disk.
    others   : ARC (N. Megiddo, D. Modha): first block, number of blocks, 0, number of the request; blocks of 512 bytes, all read.
    """
    with open(path, encoding="ascii") as file:
        lines = itertools.islice(file, limit) if limit else file
        yield from _msr(lines) if str(path).endswith(".csv") else _arc(lines)


def _msr(lines):
    first = None
    for line in lines:
        time, host, disk, kind, offset, nbytes, _ = line.split(",")
        first = int(time) if first is None else first
        for page in range(int(offset) // MIB, (int(offset) + max(int(nbytes), 1) - 1) // MIB + 1):
            yield Access("put" if kind.lower() == "write" else "get", f"{host}.{disk}/{page}", MIB, (int(time) - first) * 1e-7)


def _arc(lines):
    for number, line in enumerate(lines):
        start, count, *_ = (int(word) for word in line.split())
        for block in range(start, start + count):
            yield Access("get", str(block), 512, number / _RATE)
