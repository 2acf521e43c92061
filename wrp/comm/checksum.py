"""Checksums and hashes: crc32 of extents (ISA-L where its wheel is, else zlib), xxh3 of names."""
import zlib
from functools import lru_cache

import xxhash

try:
    from isal import isal_zlib as _fast
except ImportError:             # no wheel for this machine: the same values, at zlib's speed
    _fast = None

_POLYNOMIAL = 0xEDB88320        # CRC-32 of zlib, bits reflected
_ONE = 1 << 31                  # the polynomial 1 in reflected order
_WORD_MASK = 2**64 - 1


def crc32(data, value=0):
    """CRC-32 (unsigned 32 bits) of contiguous bytes-like `data`, continued from `value`; no GIL on large data."""
    return (_fast or zlib).crc32(data, value)


def crc32_combine(a, b, nbytes_b):
    """The CRC-32 of two ranges joined, from theirs: `a` of the first, `b` of the second, which has `nbytes_b` bytes."""
    if _fast is not None:
        return _fast.crc32_combine(a, b, nbytes_b)
    return _combined(a, b, nbytes_b)


def _combined(a, b, nbytes_b):
    # Appending n zero bytes multiplies the CRC by x**(8 n) modulo the polynomial (zlib, crc32.c)
    return _times(power(nbytes_b), a) ^ b


def _times(a, b):
    """The product of two polynomials over GF(2), modulo the CRC's."""
    product, bit = 0, _ONE
    while a:
        if a & bit:
            product ^= b
            a ^= bit
        bit >>= 1
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


@lru_cache(maxsize=1024)
def power(nbytes):
    """x**(8 nbytes) modulo the CRC's polynomial, bits reflected, by repeated squaring; cached, since nearly all extents have one size."""
    result, square = _ONE, _ONE >> 8
    while nbytes:
        if nbytes & 1:
            result = _times(square, result)
        square = _times(square, square)
        nbytes >>= 1
    return result


def _signed(word):
    return word - 2**64 if word >= 2**63 else word


def hash128(data):
    """xxh3 of `data` (bytes) as two signed 64-bit words, the high one first."""
    digest = xxhash.xxh3_128_intdigest(data)
    return _signed(digest >> 64), _signed(digest & _WORD_MASK)


def hash64(data):
    """xxh3 of `data` (bytes) as one signed 64-bit word."""
    return _signed(xxhash.xxh3_64_intdigest(data))
