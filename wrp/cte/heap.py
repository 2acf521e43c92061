"""The heap of records: taken and given back by size class, in a few instructions, whatever its size. Whoever changes it has the token."""

from wrp.comm.atomics import load, store
from wrp.comm.jit import kernel
from wrp.cte.layout import (BACKED, FREE, FULL, HEAP_NBYTES, KEY0, KEY1, LINKS, NEXT, SEQUENCE, SHAPE, UNBACKED, UNIT, class_at, class_of,
                            class_units, record_at)


@kernel
def heap_take(at, nbytes):
    """Number of a record of at least `nbytes` bytes; FULL, or UNBACKED when the heap needs memory up to NEXT + 2 * nbytes first."""
    kind = class_of((nbytes + UNIT - 1) // UNIT)
    number = load(at + FREE + 8 * kind)
    if number != 0:
        store(at + FREE + 8 * kind, load(record_at(at, number) + LINKS))
        return number
    start = load(at + NEXT)
    end = start + class_units(kind) * UNIT
    if end > load(at + HEAP_NBYTES):
        return FULL
    if end > load(at + BACKED):
        return UNBACKED
    number = start // UNIT
    store(record_at(at, number) + SHAPE, kind << 48)
    store(at + NEXT, end)
    return number


@kernel
def heap_give(at, number):
    """Make a record free; who reads it meanwhile sees that it changed."""
    record = record_at(at, number)
    kind = class_at(record)
    sequence = load(record + SEQUENCE)
    store(record + SEQUENCE, sequence + 1)
    store(record + KEY0, 0)
    store(record + KEY1, 0)
    store(record + SHAPE, kind << 48)
    store(record + LINKS, load(at + FREE + 8 * kind))
    store(record + SEQUENCE, sequence + 2)
    store(at + FREE + 8 * kind, number)
