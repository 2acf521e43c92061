"""CRCs against zlib and against each other; hashes against xxhash."""
import zlib

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from wrp.comm import checksum


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_crc32_is_that_of_zlib_and_combines(a, b):
    whole = zlib.crc32(a + b)
    assert checksum.crc32(a + b) == whole == checksum.crc32(b, checksum.crc32(a))
    parts = zlib.crc32(a), zlib.crc32(b), len(b)
    assert checksum.crc32_combine(*parts) == whole == checksum._combined(*parts)


@pytest.mark.parametrize("nbytes", [1, 4 << 20, 1 << 40])
def test_both_ways_to_combine_agree_on_long_ranges(nbytes):
    assert checksum._combined(0xDEADBEEF, 0x12345678, nbytes) == checksum.crc32_combine(0xDEADBEEF, 0x12345678, nbytes)


def test_without_isal(monkeypatch):
    data = np.arange(1000)
    with_isal = checksum.crc32(data)
    monkeypatch.setattr(checksum, "_fast", None)
    assert checksum.crc32(data) == with_isal == zlib.crc32(data.tobytes())
    assert checksum.crc32_combine(zlib.crc32(b"ab"), zlib.crc32(b"cde"), 3) == zlib.crc32(b"abcde")


def test_hashes_are_signed_words_of_xxh3():
    for data in (b"", b"tag", b"x" * 1000):
        high, low = checksum.hash128(data)
        assert (high % 2**64) << 64 | low % 2**64 == xxhash.xxh3_128_intdigest(data)
        assert checksum.hash64(data) % 2**64 == xxhash.xxh3_64_intdigest(data)
        assert all(-(2**63) <= word < 2**63 for word in (high, low, checksum.hash64(data)))
