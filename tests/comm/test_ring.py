"""The ring: order, bounds, and four processes that push and pop at once."""
import time

import numpy as np
import pytest

from wrp.comm import atomics
from wrp.comm.ring import Ring, ring_pop, ring_push
from wrp.errors import UsageError


def _ring(segment, capacity):
    offset, _ = segment.place("ring", Ring.nbytes(capacity))
    return Ring.create(segment, offset, capacity)


def test_keeps_order_and_refuses_when_full_over_many_rounds(segment):
    ring = _ring(segment, 4)
    assert ring.pop() == -1
    for start in range(0, 100, 4):
        assert all(ring.push(value) for value in range(start, start + 4))
        assert not ring.push(99) and len(ring) == 4
        assert [ring.pop() for _ in range(5)] == [*range(start, start + 4), -1]
    assert ring.capacity == 4


@pytest.mark.parametrize("capacity", [0, 1, 3, -4])
def test_capacity_is_a_power_of_two(capacity):
    with pytest.raises(UsageError, match="power of two"):
        Ring.nbytes(capacity)


def test_four_processes_lose_and_double_nothing(segment, fork):
    each = 20_000
    ring = _ring(segment, 64)
    offset, _ = segment.place("seen", 2 * each * 8)
    seen = np.frombuffer(segment.buffer, dtype=np.int64, count=2 * each, offset=offset)
    popped, _ = segment.place("popped", 8)
    deadline = time.monotonic() + 20

    def push(first):
        for value in range(first, first + each):
            while not ring_push(ring.address, value):
                assert time.monotonic() < deadline
                atomics.yield_core()

    def pop():
        while atomics.load(segment.address + popped) < 2 * each:
            value = ring_pop(ring.address)
            if value >= 0:
                atomics.add(segment.address + offset + value * 8, 1)
                atomics.add(segment.address + popped, 1)
            else:
                assert time.monotonic() < deadline
                atomics.yield_core()

    children = [fork(work) for work in (lambda: push(0), lambda: push(each), pop, pop)]
    assert [child.join() for child in children] == [0] * 4
    assert (seen == 1).all() and ring.pop() == -1
