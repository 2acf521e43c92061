"""Blocks of ram against a plain list: none is given twice, all space comes back."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from wrp.comm.streaming import address_of
from wrp.cte.blocks import LARGEST, PAGE, Blocks, block_of, blocks_nbytes, class_for
from wrp.errors import OutOfSpace, WrpError

PAGES = 12


class Device:
    """Space only, first fit, as a ram device leases it: from the lowest free 64 bytes."""

    capacity = PAGES * PAGE

    def __init__(self, skew=0):
        self._taken = np.zeros(self.capacity // 64, bool)
        self._taken[:skew // 64] = True

    @property
    def free(self):
        return int(np.count_nonzero(~self._taken)) * 64

    def lease(self, nbytes):
        count = nbytes // 64
        for start in range(len(self._taken) - count + 1):
            if not self._taken[start:start + count].any():
                self._taken[start:start + count] = True
                return start * 64
        raise OutOfSpace("full")

    def give_back(self, offset, nbytes, held=()):
        if held:
            del held[-1]
        part = self._taken[offset // 64:(offset + nbytes) // 64]
        assert part.all()
        part[:] = False


def made(device):
    """Empty tables for the device; the Blocks keep their memory."""
    memory = np.zeros(blocks_nbytes(device.capacity) + 64, np.uint8)
    at = address_of(memory)
    Blocks.format(at, device.capacity)
    blocks = Blocks(at, device, 5)
    blocks.memory = memory
    return blocks


def test_classes_hold_what_they_are_for():
    sizes = [block_of(class_for(nbytes)) for nbytes in range(1, LARGEST + 1)]
    assert all(nbytes <= size and (size <= 128 or size < 1.5 * nbytes + 1) for nbytes, size in enumerate(sizes, 1))
    assert block_of(class_for(4096)) == 4096 and block_of(class_for(LARGEST)) == LARGEST


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.integers(1, LARGEST), st.just(0)), max_size=200), st.sampled_from([0, 64, PAGE - 64]), st.randoms())
def test_none_is_given_twice_and_all_comes_back(steps, skew, random):
    device = Device(skew)
    before, blocks, held = device.free, made(device), {}
    for nbytes in steps:
        if nbytes == 0 and held:
            offset = random.choice(list(held))
            del held[offset]
            assert blocks.give(offset)
        elif nbytes:
            try:
                offset = blocks.take(nbytes)
            except OutOfSpace:
                continue
            assert all(offset + nbytes <= other or other + size <= offset for other, size in held.items())
            assert skew <= offset and offset + nbytes <= device.capacity
            held[offset] = nbytes
    used = sum(block_of(class_for(nbytes)) for nbytes in held.values())
    assert device.free + blocks.unused == before - used
    for offset in held:
        assert blocks.give(offset)
    assert device.free + blocks.unused == before
    blocks.shrink()
    assert blocks.unused == 0 and device.free == before and not blocks.shrink()


def test_wrong_gives_are_refused():
    device = Device()
    blocks = made(device)
    offset = blocks.take(100)
    assert blocks.give(offset)
    with pytest.raises(WrpError, match="free already"):
        blocks.give(offset)
    assert not blocks.give(5 * PAGE) and not blocks.give(10**12)
