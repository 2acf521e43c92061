"""Checksums and hashes inside kernels: the values of checksum.py, by the same C libraries. No GIL, no Python objects.

A kernel finds a C function by a name that is the same in every process (`add_symbol`); an address would make its cache useless.
"""
import ctypes
import zlib

import llvmlite.binding as llvm
import xxhash._xxhash
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from wrp.comm.jit import kernel

try:
    from isal import isal_zlib as _fast
except ImportError:             # no wheel for this machine: the same values, at zlib's speed
    _fast = None

_WORD = ir.IntType(64)
CRC, _HASH = "wrp_crc32", "wrp_hash128"        # names of C functions; the first is (crc so far, address, nbytes) -> crc32


def _add_symbols():
    crc = ctypes.CDLL(_fast.__file__).crc32_gzip_refl if _fast is not None else _of_zlib()
    hashing = ctypes.CDLL(xxhash._xxhash.__file__).XXH128
    for name, function in ((CRC, crc), (_HASH, hashing)):
        llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)


def _of_zlib():
    """crc32_z of the zlib that Python uses; it has the arguments of ISA-L's function."""
    for path in (getattr(zlib, "__file__", None), "libz.so.1"):
        try:
            return ctypes.CDLL(path).crc32_z
        except (OSError, AttributeError):
            continue
    raise ImportError("neither ISA-L (pip install isal) nor zlib's shared library is there: checksums need one of them")


_add_symbols()
_crc32 = types.ExternalFunction(CRC, types.int64(types.int64, types.int64, types.int64))


@intrinsic
def _hash128(typingctx, address, nbytes):
    """XXH128 returns a pair of words, low and high, in two registers."""
    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.LiteralStructType([_WORD, _WORD]), [_WORD] * 3)
        call = cgutils.get_or_insert_function(builder.module, kind, _HASH)
        pair = builder.call(call, [*arguments, _WORD(0)])
        return context.make_tuple(builder, signature.return_type, [builder.extract_value(pair, 1), builder.extract_value(pair, 0)])
    return types.UniTuple(types.int64, 2)(types.int64, types.int64), generate


@kernel
def crc32_at(address, nbytes, value):
    """CRC-32 (0 to 2**32 - 1) of `nbytes` bytes at `address`, continued from `value`."""
    return _crc32(value, address, nbytes) & 0xFFFFFFFF


@kernel
def hash128_at(address, nbytes):
    """xxh3 of `nbytes` bytes as two signed words, the high one first."""
    return _hash128(address, nbytes)
