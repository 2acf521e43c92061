"""Runs pure kernels on random input and prints what they gave and what the memory holds then. The same lines, jitted or not, print the same.

With NUMBA_DISABLE_JIT=1 every kernel is its own twin in plain Python.
"""

import hashlib
import random

import numpy as np

from wrp.comm import atomics, extents, ring
from wrp.comm.streaming import copy_streaming
from wrp.cte import layout, table
from wrp.cte.heap import heap_give, heap_take
from wrp.runtime import queues, tasks
from wrp.runtime.meter import histogram
from wrp.runtime.waiting import heap, period

_NBYTES = 1 << 17
_RECORDS = 40


def memory():
    """(array, address of its first byte, a multiple of 64)"""
    words = np.zeros(_NBYTES // 8 + 8, np.int64)
    skip = -words.ctypes.data % 64 // 8
    words = words[skip:skip + _NBYTES // 8]
    return words, words.ctypes.data


def ring_steps(at, rng):
    ring.ring_format(at, 16)
    for number in range(600):
        yield ring.ring_push(at, number) if rng.random() < 0.55 else ring.ring_pop(at)
        yield ring.ring_count(at), ring.ring_pushed(at)


def table_steps(at, rng):
    for place, word in ((layout.TABLE, 4096), (layout.HOMES, 64), (layout.LIMIT, 32), (layout.HEAP, 16384), (layout.NEXT, layout.FIRST * layout.UNIT),
                        (layout.BACKED, _NBYTES - 16384), (layout.HEAP_NBYTES, _NBYTES - 16384)):
        atomics.store(at + place, word)
    for _ in range(600):
        k1 = rng.randrange(40)
        k0 = k1 * 0x3C6EF372FE94F82B - (1 << 62)
        k0 = (k0 + (1 << 63)) % (1 << 64) - (1 << 63)
        yield table.table_find(at, k0, k1)
        slot, number = table.table_locate(at, k0, k1)
        kind = rng.randrange(4)
        if kind == 0 and number:
            table.table_drop(at, slot)
            heap_give(at, number)
            table.table_settled(at)
        elif kind == 1 and not number and table.table_has_room(at, 1):
            table.table_add(at, slot, k0, _record(at, k0, k1, rng))
        elif kind == 2 and number:
            table.table_replace(at, slot, k0, _record(at, k0, k1, rng))
            heap_give(at, number)
            table.table_settled(at)
        yield atomics.load(at + layout.LIVE), slot, number


def _record(at, k0, k1, rng):
    number = heap_take(at, rng.randrange(100, 600))
    record = layout.record_at(at, number)
    atomics.store(record + layout.KEY0, k0)
    atomics.store(record + layout.KEY1, k1)
    return number


def extents_steps(at, rng):
    extents.extents_format(at, 1 << 20, 30)
    held = [(0, 1)]
    for _ in range(800):
        kind = rng.randrange(4)
        if kind < 2:
            least = rng.randrange(0, 40_000)
            run = extents.extents_take_run(at, least, least * 2, 64, 0)
            held += [run] if run[0] >= 0 else []
            yield tuple(map(int, run))
        elif kind == 2:
            yield extents.extents_give(at, *held.pop(rng.randrange(len(held)))) if held else 0
        else:
            yield extents.extents_claim(at, rng.randrange(-10, 1 << 20), rng.randrange(1000))
        yield extents.extents_free(at), extents.extents_count(at)


def heap_steps(at, rng):
    base, place = at - 64, at + _RECORDS * tasks.NBYTES
    for _ in range(800):
        offset = 64 + rng.randrange(_RECORDS) * tasks.NBYTES
        heap.heap_put(base, place, offset, rng.randrange(1, 1000)) if rng.random() < 0.6 else heap.heap_remove(base, place, offset)
        yield heap.heap_due(place)


def record_steps(at, rng):
    base, free, held = at - 64, at + _NBYTES - 256, []
    tasks.task_fill(base, free, 64, _RECORDS)
    for _ in range(500):
        if rng.random() < 0.55:
            held.append(tasks.record_take(base, free))
            yield held[-1]
        if held and rng.random() < 0.5:
            offset = held.pop(rng.randrange(len(held)))
            if offset >= 0:
                tasks.task_free(base, free, offset)


def queue_steps(at, rng):
    for number in range(500):
        if rng.random() < 0.6 and queues.queue_count(at) < queues.TASKS_AT_ONCE:
            queues.queue_push(at, 2 * number)
        yield queues.queue_push_word(at, 2 * number + 1) if rng.random() < 0.3 else queues.queue_count(at)


def histogram_steps(at, rng):
    for _ in range(300):
        histogram.histogram_add(at, rng.randrange(3), rng.randrange(4), rng.randrange(1, 1 << 40))
        due, now = rng.randrange(1 << 40), rng.randrange(1 << 41)
        yield period.period_missed(due, 1000, now), period.period_next(due, 1000, now)


def copy_steps(at, rng):
    for number in range(50):
        source = np.frombuffer(rng.randbytes(3000), np.uint8)
        copy_streaming(at + rng.randrange(4000), source.ctypes.data, rng.randrange(3000))
        yield number


STEPS = {function.__name__: function for function in (ring_steps, table_steps, extents_steps, heap_steps, record_steps, queue_steps,
                                                     histogram_steps, copy_steps)}


def digests():
    """{name: (answers, hash of them and of the memory)}"""
    found = {}
    for name, steps in STEPS.items():
        words, at = memory()
        answers = [repr(np.asarray(answer).tolist()) for answer in steps(at, random.Random(name))]
        found[name] = len(answers), hashlib.sha256("".join(answers).encode() + words.tobytes()).hexdigest()
    return found


if __name__ == "__main__":
    for line in digests().items():
        print(*line)
