"""HDF5's shuffle and deflate on whole chunks, without the HDF5 library, and the names of other filters."""

import zlib

import numpy as np

from wrp.comm.jit import kernel
from wrp.errors import SourceError

try:
    import deflate
except ImportError:
    deflate = None

DEFLATE, SHUFFLE, FLETCHER32, SZIP, NBIT, SCALEOFFSET, LZF = 1, 2, 3, 4, 5, 6, 32000


def are_gzip(filters):
    """True for exactly [shuffle,] deflate; `filters` as in `layout.Dataset`."""
    return [code for code, *_ in filters] in ([DEFLATE], [SHUFFLE, DEFLATE])


def decode(raw, filters, mask, out, itemsize):
    """Decode one stored chunk into the uint8 array `out`, which has the chunk's full size.

    Bit i of `mask` says that filter i was skipped. SourceError when the bytes aren't what the filters make.
    """
    for number in reversed(range(len(filters))):
        if mask >> number & 1:
            continue
        if filters[number][0] == DEFLATE:
            raw = _inflated(raw, out.nbytes)
        elif itemsize > 1:
            _unshuffle(np.frombuffer(raw, np.uint8), out, itemsize)
            raw = out
    if len(raw) != out.nbytes:
        raise SourceError(f"a chunk holds {len(raw)} bytes instead of {out.nbytes}")
    if raw is not out:
        out[:] = np.frombuffer(raw, np.uint8)


def encode(data, filters, mask, itemsize):
    """The inverse of `decode`: bytes to store for one chunk's uint8 array `data`, with the level in the filters."""
    for number, (code, *values) in enumerate(filters):
        if mask >> number & 1:
            continue
        if code == DEFLATE:
            level = values[0] if values else 6
            data = deflate.zlib_compress(data, level) if deflate else zlib.compress(data, level)
        elif itemsize > 1:
            data = np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(-1, itemsize).T).reshape(-1)
    return bytes(data)


def _inflated(raw, nbytes):
    try:
        return deflate.zlib_decompress(raw, nbytes) if deflate else zlib.decompress(raw, bufsize=nbytes)
    except (ValueError, zlib.error, *([deflate.DeflateError] if deflate else [])) as error:
        raise SourceError(f"a chunk can't be decompressed ({error})") from error


def _unshuffle(planes, out, itemsize):
    if len(planes) != len(out):
        raise SourceError(f"a chunk holds {len(planes)} bytes instead of {len(out)}")
    aligned = out.ctypes.data % 8 == 0
    if itemsize % 8 == 0 and aligned:
        _join8(planes, out.view(np.uint64), itemsize // 8)
    elif itemsize == 4 and aligned:
        _join4(planes, out.view(np.uint32))
    elif itemsize == 2 and aligned:
        _join2(planes, out.view(np.uint16))
    else:
        out.reshape(-1, itemsize)[:] = planes.reshape(itemsize, -1).T


# One whole word per step, without an inner loop, lets the compiler use vector registers: 10 GB/s where a loop over bytes gave 1.3.

@kernel
def _join8(planes, out, words):
    count = len(out) // words
    for word in range(words):
        a, b, c, d, e, f, g, h = _eight(planes[8 * word * count:], count)
        for i in range(count):
            out[i * words + word] = (np.uint64(a[i]) | np.uint64(b[i]) << np.uint64(8) | np.uint64(c[i]) << np.uint64(16)
                                     | np.uint64(d[i]) << np.uint64(24) | np.uint64(e[i]) << np.uint64(32)
                                     | np.uint64(f[i]) << np.uint64(40) | np.uint64(g[i]) << np.uint64(48)
                                     | np.uint64(h[i]) << np.uint64(56))


@kernel
def _eight(planes, count):
    return (planes[:count], planes[count:2 * count], planes[2 * count:3 * count], planes[3 * count:4 * count],
            planes[4 * count:5 * count], planes[5 * count:6 * count], planes[6 * count:7 * count], planes[7 * count:8 * count])


@kernel
def _join4(planes, out):
    count = len(out)
    a, b, c, d = planes[:count], planes[count:2 * count], planes[2 * count:3 * count], planes[3 * count:4 * count]
    for i in range(count):
        out[i] = (np.uint32(a[i]) | np.uint32(b[i]) << np.uint32(8) | np.uint32(c[i]) << np.uint32(16)
                  | np.uint32(d[i]) << np.uint32(24))


@kernel
def _join2(planes, out):
    count = len(out)
    low, high = planes[:count], planes[count:2 * count]
    for i in range(count):
        out[i] = np.uint16(low[i]) | np.uint16(high[i]) << np.uint16(8)


def warm():
    """Compile the kernels, in this process and into the cache."""
    for itemsize in (2, 4, 8):
        out = np.zeros(itemsize, np.uint8)
        for raw in (bytes(itemsize), bytearray(itemsize)):
            _unshuffle(np.frombuffer(raw, np.uint8), out, itemsize)
