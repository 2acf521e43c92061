"""A worker's heap of timers: pairs of a time and a record, the earliest first; a record knows its place and so can leave."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime.tasks import PLACE

_ENTRY = 16         # time (ns), offset of the record; places count from 1
COUNT = 0           # the first entry's bytes hold the number of entries


def words_of(records):
    """64-bit words of a heap that holds every one of `records` records."""
    return 2 * (records + 1)


@kernel
def heap_due(heap):
    """The earliest time, 0 when the heap is empty."""
    return atomics.load(heap + _ENTRY) if atomics.load(heap + COUNT) else 0


@kernel
def heap_first(heap):
    """The record of the earliest time; the heap isn't empty."""
    return atomics.load(heap + _ENTRY + 8)


@kernel
def heap_put(base, heap, offset, due):
    """Enter the record at `offset`, or move it, to the time `due`."""
    place = atomics.load(base + offset + PLACE)
    if place == 0:
        place = atomics.load(heap + COUNT) + 1
        atomics.store(heap + COUNT, place)
    _settle(base, heap, place, due, offset)


@kernel
def heap_remove(base, heap, offset):
    """Take the record out, if it is in."""
    place = atomics.load(base + offset + PLACE)
    if place == 0:
        return
    atomics.store(base + offset + PLACE, 0)
    last = atomics.load(heap + COUNT)
    atomics.store(heap + COUNT, last - 1)
    if place < last:
        entry = heap + last * _ENTRY
        _settle(base, heap, place, atomics.load(entry), atomics.load(entry + 8))


@kernel
def _settle(base, heap, place, due, offset):
    """Put an entry where it belongs, beginning at the free place `place`."""
    while place > 1 and atomics.load(heap + (place // 2) * _ENTRY) > due:
        _move(base, heap, place // 2, place)
        place //= 2
    count = atomics.load(heap + COUNT)
    while 2 * place <= count:
        child = 2 * place
        if child < count and atomics.load(heap + (child + 1) * _ENTRY) < atomics.load(heap + child * _ENTRY):
            child += 1
        if atomics.load(heap + child * _ENTRY) >= due:
            break
        _move(base, heap, child, place)
        place = child
    atomics.store(heap + place * _ENTRY, due)
    atomics.store(heap + place * _ENTRY + 8, offset)
    atomics.store(base + offset + PLACE, place)


@kernel
def _move(base, heap, source, target):
    offset = atomics.load(heap + source * _ENTRY + 8)
    atomics.store(heap + target * _ENTRY, atomics.load(heap + source * _ENTRY))
    atomics.store(heap + target * _ENTRY + 8, offset)
    atomics.store(base + offset + PLACE, target)
