"""Free space against a set of bytes."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrp.comm.extents import (NOT_TAKEN, OUTSIDE, TABLE_FULL, Extents, extents_claim, extents_give, extents_resize, extents_take, extents_take_run,
                                extents_take_tail)
from wrp.comm.segment import Segment
from wrp.errors import OutOfSpace, UsageError, WrpError

_SIZE, _RUNS = 96, 8
_step = st.tuples(st.sampled_from(["take", "take", "give", "claim"]), st.integers(-2, _SIZE), st.integers(0, 24),
                  st.sampled_from([1, 1, 4, 16]))


def _extents(segment, size=_SIZE, runs=_RUNS):
    offset, _ = segment.place("extents", Extents.nbytes(runs))
    return Extents.create(segment, offset, size, runs)


def _runs_of(free):
    """The maximal runs of a set of byte numbers, by offset."""
    starts = sorted(byte for byte in free if byte - 1 not in free)
    ends = sorted(byte + 1 for byte in free if byte + 1 not in free)
    return [(start, end - start) for start, end in zip(starts, ends)]


@given(st.lists(_step, max_size=60))
@settings(max_examples=150, deadline=None)
def test_is_a_set_of_bytes(steps):
    with Segment.private(1 << 16) as segment:
        extents, free = _extents(segment), set(range(_SIZE))
        for verb, offset, nbytes, align in steps:
            free = _replay(extents, free, verb, offset, nbytes, align)
            assert extents.runs() == _runs_of(free) and extents.free == len(free)


def _replay(extents, free, verb, offset, nbytes, align):
    """One step on both; the set afterwards."""
    if verb == "take":
        found = extents_take(extents.address, nbytes, align)
        if found >= 0:
            block = set(range(found, found + nbytes))
            assert nbytes > 0 and found % align == 0 and block <= free
            return free - block
        assert found == -1 and (nbytes == 0 or not any(_takeable(free, start, nbytes) for start in range(0, _SIZE, align)))
        return free
    block = set(range(offset, offset + nbytes))
    outside = nbytes == 0 or offset < 0 or offset + nbytes > _SIZE
    clash = not block <= free if verb == "claim" else bool(block & free)
    after = free - block if verb == "claim" else free | block
    expected = OUTSIDE if outside else NOT_TAKEN if clash else TABLE_FULL if len(_runs_of(after)) > _RUNS else 0
    kernel = extents_claim if verb == "claim" else extents_give
    assert kernel(extents.address, offset, nbytes) == expected
    return after if expected == 0 else free


def _takeable(free, start, nbytes):
    block = set(range(start, start + nbytes))
    return block <= free and len(_runs_of(free - block)) <= _RUNS


def test_searches_go_on_where_the_last_one_ended(segment):
    extents = _extents(segment)
    blocks = [extents.take(8) for _ in range(12)]
    for block in blocks[::2]:
        extents.give(block, 8)
    assert [extents.take(8) for _ in range(2)] != [blocks[0]] * 2
    assert extents.free == 32


def test_refusals_are_sentences(segment):
    extents = _extents(segment)
    extents.claim(0, 90)
    with pytest.raises(OutOfSpace, match="No free run of 10 bytes: 6 bytes are free in 1 runs"):
        extents.take(10)
    with pytest.raises(WrpError, match="bytes 88 to 92 of the device: they are partly free already"):
        extents.give(88, 4)
    with pytest.raises(WrpError, match="not all free"):
        extents.claim(80, 4)
    with pytest.raises(WrpError, match="outside"):
        extents.give(90, 7)
    with pytest.raises(WrpError, match="outside"):
        extents.give(8, 2**63 - 1)
    with pytest.raises(UsageError):
        extents.take(0)
    assert Extents.attach(segment, segment.find("extents")[0]).runs() == [(90, 6)]


def test_a_device_without_bytes(segment):
    extents = _extents(segment, size=0)
    assert extents.runs() == [] and extents_take(extents.address, 1) == -1


def test_a_lease_looks_from_its_own_place_on_and_then_anywhere():
    with Segment.private(1 << 20) as segment:
        extents = _extents(segment, 1 << 20, 64)
        take = [extents_take_run(extents.address, 65536, 262144, 4096, 524288) for _ in range(4)]
        assert take == [(524288, 262144), (786432, 262144), (0, 262144), (262144, 262144)]
        assert extents_take_run(extents.address, 4096, 4096, 4096, 524288) == (-1, 0)
        extents.give(786432, 8192)
        extents.give(0, 4096)
        assert extents_take_run(extents.address, 8192, 8192, 4096, 1 << 30) == (786432, 8192)
        assert extents_take_run(extents.address, 4096, 4096, 4096, 524288) == (0, 4096)


def test_a_lease_begins_inside_a_run():
    with Segment.private(1 << 20) as segment:
        extents = _extents(segment, 1 << 20, 64)
        assert extents_take_run(extents.address, 4096, 8192, 4096, 500000) == (503808, 8192)
        assert extents.runs() == [(0, 503808), (512000, (1 << 20) - 512000)]
        assert extents_take_run(extents.address, 1 << 19, 1 << 19, 4096, 524289) == (512000, 1 << 19)


def test_a_lease_takes_the_lowest_run_that_is_long_enough():
    with Segment.private(1 << 20) as segment:
        extents = _extents(segment, 1 << 20, 64)
        extents.claim(0, 1 << 20)
        for offset, nbytes in ((4096, 4096), (16384, 12288), (65536, 65536)):
            extents.give(offset, nbytes)
        assert extents_take_run(extents.address, 8192, 32768, 4096, 0) == (16384, 12288)
        assert extents_take_run(extents.address, 8192, 32768, 4096, 0) == (65536, 32768)
        assert extents_take_run(extents.address, 1, 1 << 20, 4096, 0) == (4096, 4096)
        assert extents_take_run(extents.address, 1 << 19, 1 << 20, 4096, 0) == (-1, 0)
        assert extents.free == 32768


def test_a_device_grows_and_shrinks_behind_what_is_leased():
    with Segment.private(1 << 20) as segment:
        extents = _extents(segment, 1 << 20, 64)
        extents.claim(4096, 8192)
        assert extents_take_tail(extents.address) == 12288 and extents.runs() == [(0, 4096)] and extents.free == 4096
        assert extents_resize(extents.address, 12288, 1 << 21) == 0
        assert extents.runs() == [(0, 4096), (12288, (1 << 21) - 12288)]
        assert extents_take_tail(extents.address) == 12288 and extents_take_run(extents.address, 8192, 8192, 4096, 0) == (-1, 0)
        assert extents_resize(extents.address, 12288, 12288) == 0 and extents_take_tail(extents.address) == 12288
        assert extents_give(extents.address, 12288, 4096) == OUTSIDE and extents.runs() == [(0, 4096)]
