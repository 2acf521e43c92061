"""Boxes against sets of their indices."""

from itertools import product

import pytest
from hypothesis import given, settings, strategies as st

from wrp.cte.arrays.array import block_name, parsed_name
from wrp.cte.arrays.boxes import Box, check_cover, rows, whole
from wrp.errors import UsageError

AXIS = st.tuples(st.integers(0, 6), st.integers(0, 5))
BOX = st.lists(AXIS, min_size=0, max_size=3).map(lambda axes: Box(tuple(low for low, _ in axes), tuple(count for _, count in axes)))


def indices(box):
    return set(product(*(range(low, high) for low, high in zip(box.offset, box.end))))


@settings(deadline=None)
@given(st.integers(0, 3).flatmap(lambda rank: st.tuples(*(st.lists(AXIS, min_size=rank, max_size=rank),) * 2)))
def test_intersection(pair):
    one, other = (Box(tuple(low for low, _ in axes), tuple(count for _, count in axes)) for axes in pair)
    common = one.intersection(other)
    assert (indices(common) if common else set()) == indices(one) & indices(other)


@settings(deadline=None)
@given(BOX, st.integers(1, 8), st.integers(1, 200))
def test_rows_are_the_box_and_small(box, nbytes, most):
    parts = rows(box, nbytes, most)
    found = [index for part in parts for index in indices(part)]
    assert sorted(found) == sorted(indices(box))
    assert all(part.size * nbytes <= max(most, nbytes) for part in parts)


@settings(deadline=None)
@given(st.lists(st.tuples(AXIS, AXIS).map(lambda axes: Box(tuple(low for low, _ in axes), tuple(count for _, count in axes))), max_size=5))
def test_covers_are_known(found):
    shape = (8, 8)
    elements = [index for box in found for index in indices(box)]
    exact = sorted(elements) == sorted(indices(whole(shape)))
    try:
        check_cover(list(enumerate(found)), shape, "it")
        assert exact
    except UsageError:
        assert not exact


def test_a_grid_covers():
    check_cover([(str(box), box) for box in (Box((x, y), (4, 2)) for x in (0, 4) for y in (0, 2, 4, 6))], (8, 8), "it")


@pytest.mark.parametrize("box", [Box((), ()), Box((0,), (5,)), Box((1, 20), (3, 4))])
def test_names_of_blocks(box):
    assert parsed_name(block_name(box)) == box
