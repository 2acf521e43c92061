"""Copies past the cache, for large blocks that the copier won't read again; with their checksum in the same pass, or without. No locks.

An ordinary store to memory that isn't cached first reads the line it overwrites, and pushes others out. A non-temporal store does neither:
1 MiB into uncached memory took 48 us instead of the 107 us of memcpy on the machine where this was written.
"""

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from wrp.comm import atomics, plain
from wrp.comm.digests import crc32_at
from wrp.comm.folding import BLOCK, can_fold, fold, fold_asking, fold_streaming
from wrp.comm.jit import kernel

_LINE = 64
_STEP = 2048                    # checked, then copied: 25 GB/s instead of 13 with steps of 16 KiB
_PAGE = 4096
_PAGES = 8192                   # folded at once
_STREAM = 256 << 10             # shorter copies may be wanted in the cache soon
_LONG = 4 << 20                 # what a reader wants of these is no longer in his cache when he comes to it


@intrinsic
def _stream_line(typingctx, dst, src):
    """Copy 64 bytes from any address to one that is a multiple of 64, with a non-temporal store."""
    def generate(context, builder, signature, arguments):
        line = ir.VectorType(ir.IntType(64), 8).as_pointer()
        value = builder.load(builder.inttoptr(arguments[1], line), align=1)
        stored = builder.store(value, builder.inttoptr(arguments[0], line), align=_LINE)
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()
    return types.void(types.int64, types.int64), generate


@intrinsic
def _fence(typingctx):
    """Streamed bytes are seen before what is stored after this; on x86 a locked instruction, which drains the write buffers."""
    def generate(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()
    return types.void(), generate


@intrinsic
def prefetch(typingctx, address):
    """Ask for the line at an address; any address will do."""
    def generate(context, builder, signature, arguments):
        place, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place, word, word, word])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(call, [builder.inttoptr(arguments[0], place), word(0), word(3), word(1)])
        return context.get_dummy_value()
    return types.void(types.int64), generate


if config.DISABLE_JIT:
    _stream_line, _fence, prefetch = plain.stream_line, plain.fence, plain.prefetch


@kernel
def copy_streaming(dst, src, nbytes):
    """Copy `nbytes` bytes past the cache; the two ranges must not overlap."""
    head = min(-dst % _LINE, nbytes)
    atomics.copy(dst, src, head)
    lines = (nbytes - head) // _LINE * _LINE
    for done in range(head, head + lines, _LINE):
        _stream_line(dst + done, src + done)
    atomics.copy(dst + head + lines, src + head + lines, nbytes - head - lines)
    _fence()


@kernel
def _stream_checked(dst, src, nbytes, crc):
    """Copy a multiple of _STEP bytes past the cache to a multiple of 64; their crc32, continued from `crc`."""
    for start in range(0, nbytes, _STEP):
        # not for the line, but for the page: where it is must be known when its first line is stored
        prefetch(dst + start + _PAGE)
        crc = crc32_at(src + start, _STEP, crc)
        for done in range(start, start + _STEP, _LINE):
            _stream_line(dst + done, src + done)
    return crc


@kernel
def _stream_folded(dst, src, nbytes, crc):
    """The same in wide registers, of a multiple of BLOCK bytes. Asking for pages two ahead took a fifth off the time of copies between places in memory."""
    for start in range(0, nbytes, _PAGES):
        for page in range(start + _PAGES, start + 2 * _PAGES, _PAGE):
            prefetch(dst + page)
        crc = fold_streaming(dst + start, src + start, min(_PAGES, nbytes - start), crc)
    return crc


@kernel
def _keep_checked(dst, src, nbytes, crc):
    """The same by way of the cache. Lines are asked for a page before they are copied."""
    for start in range(0, nbytes, _STEP):
        for line in range(start + _PAGE, start + _PAGE + _STEP, _LINE):
            prefetch(src + line)
        crc = crc32_at(src + start, _STEP, crc)
        atomics.copy(dst + start, src + start, _STEP)
    return crc


@kernel
def _checked(dst, src, nbytes, crc, streams, asks):
    """Copy `nbytes` bytes, past the cache or not, and return their crc32, continued from `crc`; see folding.py for `asks`."""
    head = min(-dst % _LINE, nbytes)
    crc = crc32_at(src, head, crc)
    atomics.copy(dst, src, head)
    step = BLOCK if can_fold() else _STEP
    whole = (nbytes - head) // step * step
    if whole > 0:
        to, start = dst + head, src + head
        if can_fold():
            crc = _stream_folded(to, start, whole, crc) if streams else fold_asking(to, start, whole, crc) if asks else fold(to, start, whole, crc)
        else:
            crc = _stream_checked(to, start, whole, crc) if streams else _keep_checked(to, start, whole, crc)
    if streams:
        _fence()
    done = head + whole
    crc = crc32_at(src + done, nbytes - done, crc)
    atomics.copy(dst + done, src + done, nbytes - done)
    return crc


@kernel
def copy_checked(dst, src, nbytes):
    """Copy `nbytes` bytes, long ones past the cache, and return their crc32; the two ranges must not overlap."""
    return _checked(dst, src, nbytes, 0, nbytes >= _STREAM, False)


@kernel
def fetch_checked(dst, src, nbytes):
    """The same into memory of who reads it, by way of his cache as long as that can hold it."""
    return _checked(dst, src, nbytes, 0, nbytes >= _LONG, nbytes >= _STREAM)


@kernel
def keep_checked(dst, src, nbytes, crc):
    """The same by way of the cache, of what was in it or is looked at at once; the crc32 is continued from `crc`."""
    return _checked(dst, src, nbytes, crc, False, False)


def address_of(buffer):
    """Address of a contiguous buffer of bytes, read-only or not; the caller keeps the buffer alive."""
    return np.frombuffer(buffer, np.uint8).ctypes.data
