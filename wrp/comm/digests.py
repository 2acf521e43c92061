"""Checksums and hashes inside kernels: the values of checksum.py, by the same C libraries or in wide registers. No GIL, no Python objects."""
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from wrp.comm.checksum import crc32
from wrp.comm.folding import BLOCK, fold_alone, folds_alone
from wrp.comm.jit import Directly, kernel
from wrp.comm.symbols import CRC, HASH

_WORD = ir.IntType(64)
_FOLDED = 4 * BLOCK             # from so many bytes on in registers
_LONG = 64 << 10                # from so many on by a kernel

_crc32 = types.ExternalFunction(CRC, types.int64(types.int64, types.int64, types.int64))


@intrinsic
def _hash128(typingctx, address, nbytes):
    """XXH128 returns a pair of words, low and high, in two registers."""
    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.LiteralStructType([_WORD, _WORD]), [_WORD] * 3)
        call = cgutils.get_or_insert_function(builder.module, kind, HASH)
        pair = builder.call(call, [*arguments, _WORD(0)])
        return context.make_tuple(builder, signature.return_type, [builder.extract_value(pair, 1), builder.extract_value(pair, 0)])
    return types.UniTuple(types.int64, 2)(types.int64, types.int64), generate


@kernel
def crc32_at(address, nbytes, value):
    """CRC-32 (0 to 2**32 - 1) of `nbytes` bytes at `address`, continued from `value`."""
    whole = nbytes // BLOCK * BLOCK if folds_alone() and nbytes >= _FOLDED else 0
    if whole > 0:
        value = fold_alone(address, whole, value)
        if whole == nbytes:
            return value
    return _crc32(value, address + whole, nbytes - whole) & 0xFFFFFFFF


_kernels = Directly(crc32_at=(crc32_at, 3))


def crc32_of(data):
    """checksum.crc32 of contiguous bytes-like `data`, faster where it is long; no GIL on large data."""
    nbytes = memoryview(data).nbytes
    return crc32(data) if nbytes < _LONG else _kernels.crc32_at(np.frombuffer(data, np.uint8).ctypes.data, nbytes, 0)


@kernel
def hash128_at(address, nbytes):
    """xxh3 of `nbytes` bytes as two signed words, the high one first."""
    return _hash128(address, nbytes)
