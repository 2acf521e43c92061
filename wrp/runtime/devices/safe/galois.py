"""Reed-Solomon over GF(256): the matrix, what rebuilds lost columns, and the kernel that multiplies bytes. Knows no device.

The field is that of the polynomial x^8 + x^4 + x^3 + x^2 + 1. Parity j is the sum over i of a(j, i) * data i, where a begins as the Cauchy matrix
1 / (x_j + y_i) with x_j = j and y_i = m + i (Bloemer et al., "An XOR-Based Erasure-Resilient Coding Scheme", 1995): each of its square parts can be inverted, so
any k of the k + m columns give the others. Dividing columns and rows by numbers that aren't zero keeps that (Plank and Xu, "Optimizing Cauchy Reed-Solomon
Codes", 2006), and makes the first parity the plain sum. A column's factors don't depend on how many others there are.
"""

from functools import lru_cache

import numpy as np

from wrp.comm.jit import kernel

_POLYNOMIAL = 0x11D
_BLOCK = 4096                   # bytes that stay in the first cache while all columns pass


def _tables():
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value = value << 1 ^ (_POLYNOMIAL if value & 0x80 else 0)
    logs = [0] * 256
    for exponent, value in enumerate(powers):
        logs[value] = exponent
    return tuple(powers), tuple(logs)


_POWERS, _LOGS = _tables()


def times(a, b):
    """The product of two elements (0 to 255)."""
    return _POWERS[(_LOGS[a] + _LOGS[b]) % 255] if a and b else 0


def inverse(a):
    """1 / a; ZeroDivisionError for 0."""
    if not a:
        raise ZeroDivisionError("0 has no inverse in GF(256)")
    return _POWERS[-_LOGS[a] % 255]


@lru_cache(maxsize=64)
def factors(data, parity):
    """uint8 array (parity, data): what each data column is multiplied by for each parity. data + parity is at most 256."""
    def cauchy(j, i):
        return inverse(j ^ (parity + i))
    first = [inverse(cauchy(0, i)) for i in range(data)]
    rows = [[times(cauchy(j, i), first[i]) for i in range(data)] for j in range(parity)]
    return np.array([[times(value, inverse(row[0])) for value in row] for row in rows], np.uint8).reshape(parity, data)


@lru_cache(maxsize=256)
def rebuilding(data, parity, present, wanted):
    """uint8 array (len(wanted), data): `wanted` columns are this times the `present` ones, of which there are `data`.

    Columns are numbered 0 to data - 1, the parities behind them.
    """
    matrix = [[int(i == column) for i in range(data)] if column < data else factors(data, parity)[column - data].tolist() for column in present]
    solved = _inverted(matrix)
    rows = [solved[column] if column < data else _product(factors(data, parity)[column - data].tolist(), solved) for column in wanted]
    return np.array(rows, np.uint8).reshape(len(wanted), data)


def _product(row, matrix):
    found = [0] * len(matrix)
    for value, line in zip(row, matrix):
        found = [a ^ times(value, b) for a, b in zip(found, line)]
    return found


def _inverted(matrix):
    """The inverse of a square matrix (lists) by elimination."""
    size = len(matrix)
    lines = [list(line) + [int(i == number) for i in range(size)] for number, line in enumerate(matrix)]
    for column in range(size):
        pivot = next(number for number in range(column, size) if lines[number][column])
        lines[column], lines[pivot] = lines[pivot], lines[column]
        scale = inverse(lines[column][column])
        lines[column] = [times(scale, value) for value in lines[column]]
        for number in range(size):
            factor = lines[number][column]
            if number != column and factor:
                lines[number] = [a ^ times(factor, b) for a, b in zip(lines[number], lines[column])]
    return [line[size:] for line in lines]


@kernel
def add_times(target, source, factor):
    """target += factor * source, of uint8 arrays of one length.

    The products of a byte with 1, 2, 4 ... 128 are added up where the factor has that bit, all bytes of a register at once: LLVM makes vectors of it. 8 GB/s
    in the cache with AVX2, where looking bytes up in a table gave 2.3; a factor of 1, which every data column has for the first parity, runs at the speed of memory.
    """
    count = target.size
    if factor == 1:
        for n in range(count):
            target[n] ^= source[n]
        return
    # no array of masks: each has to be a register of its own
    one, low, full, none = np.uint8(1), np.uint8(0x1D), np.uint8(255), np.uint8(0)
    m0, m1 = full if factor & 1 else none, full if factor & 2 else none
    m2, m3 = full if factor & 4 else none, full if factor & 8 else none
    m4, m5 = full if factor & 16 else none, full if factor & 32 else none
    m6, m7 = full if factor & 64 else none, full if factor & 128 else none
    for n in range(count):
        x = source[n]
        total = x & m0
        x = np.uint8(np.uint8(x << one) ^ np.uint8(np.uint8(0 - (x >> 7)) & low))
        total ^= x & m1
        x = np.uint8(np.uint8(x << one) ^ np.uint8(np.uint8(0 - (x >> 7)) & low))
        total ^= x & m2
        x = np.uint8(np.uint8(x << one) ^ np.uint8(np.uint8(0 - (x >> 7)) & low))
        total ^= x & m3
        x = np.uint8(np.uint8(x << one) ^ np.uint8(np.uint8(0 - (x >> 7)) & low))
        total ^= x & m4
        x = np.uint8(np.uint8(x << one) ^ np.uint8(np.uint8(0 - (x >> 7)) & low))
        total ^= x & m5
        x = np.uint8(np.uint8(x << one) ^ np.uint8(np.uint8(0 - (x >> 7)) & low))
        total ^= x & m6
        x = np.uint8(np.uint8(x << one) ^ np.uint8(np.uint8(0 - (x >> 7)) & low))
        total ^= x & m7
        target[n] ^= total


@kernel
def multiply(matrix, sources, targets):
    """targets[j, r] = sum over i of matrix[j, i] * sources[r, i]: uint8 arrays (m, k), (rows, k, nbytes), (m, rows, nbytes)."""
    rows, columns, nbytes = sources.shape
    for r in range(rows):
        for begin in range(0, nbytes, _BLOCK):
            end = min(begin + _BLOCK, nbytes)
            for j in range(targets.shape[0]):
                target = targets[j, r, begin:end]
                target[:] = 0
                for i in range(columns):
                    add_times(target, sources[r, i, begin:end], matrix[j, i])
