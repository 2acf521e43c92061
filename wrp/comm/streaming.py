"""Copies past the cache: for large blocks that the copier won't read again. No locks, no checksums.

An ordinary store to memory that isn't cached first reads the line it overwrites, and pushes others out. A non-temporal store does neither:
1 MiB into uncached memory took 48 us instead of the 107 us of memcpy on the machine where this was written.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from wrp.comm import atomics
from wrp.comm.jit import kernel

_LINE = 64


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


def address_of(buffer):
    """Address of a contiguous buffer of bytes, read-only or not; the caller keeps the buffer alive."""
    return np.frombuffer(buffer, np.uint8).ctypes.data
