"""The arithmetic of GF(256), against bits, and that any k columns give all others."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrp.runtime.devices.safe import galois

FACTOR = st.integers(0, 255)


def by_bits(a, b):
    """The product, as polynomials are multiplied and divided by hand."""
    product = 0
    for bit in range(8):
        product ^= (a << bit) if b >> bit & 1 else 0
    for bit in range(15, 7, -1):
        product ^= 0x11D << bit - 8 if product >> bit & 1 else 0
    return product


@given(FACTOR, FACTOR)
def test_products_and_inverses(a, b):
    assert galois.times(a, b) == by_bits(a, b)
    if a:
        assert galois.times(a, galois.inverse(a)) == 1


@settings(max_examples=40, deadline=None)
@given(FACTOR, st.integers(1, 5000), st.integers(0, 2**32))
def test_the_kernel_multiplies_every_byte(factor, nbytes, seed):
    rng = np.random.default_rng(seed)
    source, target = rng.integers(0, 256, nbytes, np.uint8), rng.integers(0, 256, nbytes, np.uint8)
    wanted = target ^ np.array([by_bits(factor, value) for value in range(256)], np.uint8)[source]
    galois.add_times(target, source, np.uint8(factor))
    assert np.array_equal(target, wanted)


@pytest.mark.parametrize("data, parity", [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (2, 4)])
def test_any_columns_give_all_others(data, parity):
    rng = np.random.default_rng(data * 10 + parity)
    sources = rng.integers(0, 256, (2, data, 5000), np.uint8)
    targets = np.empty((parity, 2, 5000), np.uint8)
    galois.multiply(galois.factors(data, parity), sources, targets)
    columns = [sources[:, column] for column in range(data)] + list(targets)
    assert np.array_equal(targets[0], np.bitwise_xor.reduce(sources, axis=1))
    for present in itertools.combinations(range(data + parity), data):
        wanted = tuple(column for column in range(data + parity) if column not in present)
        found = np.empty((len(wanted), 2, 5000), np.uint8)
        galois.multiply(galois.rebuilding(data, parity, present, wanted), np.ascontiguousarray(np.stack([columns[column] for column in present], 1)), found)
        assert all(np.array_equal(found[number], columns[column]) for number, column in enumerate(wanted))


def test_the_largest_set_can_be_inverted_too():
    assert np.count_nonzero(galois.factors(60, 2)) == 120
    assert galois.rebuilding(60, 2, tuple(range(2, 62)), (0, 1)).shape == (2, 60)


def test_factors_do_not_depend_on_the_width():
    assert np.array_equal(galois.factors(9, 3)[:, :4], galois.factors(4, 3))
    with pytest.raises(ZeroDivisionError):
        galois.inverse(0)
