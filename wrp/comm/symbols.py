"""C functions of libraries that kernels call, by names that are the same in every process: an address would make a kernel's cache useless. No GIL.

`CRC` is (crc so far, address, nbytes) -> crc32, `HASH` (address, nbytes, seed) -> a pair of words.
"""
import ctypes
import zlib

import llvmlite.binding as llvm
import xxhash._xxhash

try:
    from isal import isal_zlib as _fast
except ImportError:             # no wheel for this machine: the same values, at zlib's speed
    _fast = None

CRC, HASH = "wrp_crc32", "wrp_hash128"


def _add():
    crc = ctypes.CDLL(_fast.__file__).crc32_gzip_refl if _fast is not None else _of_zlib()
    hashing = ctypes.CDLL(xxhash._xxhash.__file__).XXH128
    for name, function in ((CRC, crc), (HASH, hashing)):
        llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)


def _of_zlib():
    """crc32_z of the zlib that Python uses; it has the arguments of ISA-L's function."""
    for path in (getattr(zlib, "__file__", None), "libz.so.1"):
        try:
            return ctypes.CDLL(path).crc32_z
        except (OSError, AttributeError):
            continue
    raise ImportError("neither ISA-L (pip install isal) nor zlib's shared library is there: checksums need one of them")


_add()
