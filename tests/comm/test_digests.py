"""Checksums and hashes inside kernels: the values of checksum.py."""
import zlib

import numpy as np
import pytest

from wrp.comm import checksum, digests, symbols


@pytest.mark.parametrize("nbytes", [0, 1, 7, 64, 1023, 1024, 1025, 4096, 100_001])
def test_values_are_those_of_checksum(nbytes):
    data = np.random.default_rng(nbytes).integers(0, 256, nbytes + 3, dtype=np.uint8)[3:]
    assert digests.crc32_at(data.ctypes.data, nbytes, 0) == checksum.crc32(data)
    assert digests.crc32_at(data.ctypes.data, nbytes, 12345) == checksum.crc32(data, 12345)
    assert digests.hash128_at(data.ctypes.data, nbytes) == checksum.hash128(data.tobytes())


@pytest.mark.parametrize("nbytes", [0, 100, 65_536, 1_000_003])
def test_any_buffer(nbytes):
    data = np.random.default_rng(nbytes).bytes(nbytes)
    for each in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        assert digests.crc32_of(each) == zlib.crc32(data)


def test_long_rows_of_an_array():
    data = np.arange(40_000, dtype=np.int64).reshape(200, 200)
    assert digests.crc32_of(data) == digests.crc32_of(memoryview(data)) == zlib.crc32(data.tobytes())


def test_zlib_has_the_same_function():
    data = b"where ISA-L has no wheel"
    assert symbols._of_zlib()(5, data, len(data)) & 0xFFFFFFFF == zlib.crc32(data, 5)
