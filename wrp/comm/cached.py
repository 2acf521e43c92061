"""Ranges of files that lie in the page cache, taken into memory with their checksums in one pass. No leases, no names, no waiting for storage.

An ordinary read moves the bytes twice: the kernel to their place, and the checksum from there through the cache. A mapping is read once. But a
mapped file that is cut, or whose storage fails, ends its reader with SIGBUS: so files are mapped at one place only, where a handler that knows
it lays zeros under the reader's feet. The reader learns of it when it is done, and leaves the range to an ordinary read, which says what is wrong.
"""

import ctypes
import mmap
import os
import signal
import threading
from contextlib import contextmanager

import numpy as np
from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils, sigutils
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from wrp.comm import atomics
from wrp.comm.compiling import SharedCache
from wrp.comm.jit import cache_folder, kernel
from wrp.comm.streaming import copy_checked

LARGEST = 64 << 20              # bytes that are taken at once, at most

_PAGE = mmap.PAGESIZE
_PAGES = 2 << 20                # what the page cache holds in one piece of this size can be mapped in one piece: at a multiple of it
_PLACE_NBYTES = LARGEST + 2 * _PAGES
_NONE, _READ = 0, 1
_SHARED, _NOTHING, _POPULATE = 0x1 | 0x10, 0x2 | 0x10 | 0x20 | 0x4000, 0x8000   # MAP_SHARED and _FIXED; _PRIVATE, _FIXED, _ANONYMOUS and _NORESERVE

# The guard, byte offsets: the place, how often the handler stepped in, a byte to read to, the struct sigaction that was there before
_LOW, _HIGH, _HITS, _SCRATCH, _BEFORE, _GUARD_NBYTES = 0, 8, 16, 24, 32, 256
_NAME = "wrp_guard"
_CODE, _ADDRESS = 8, 16         # of a siginfo_t; a code above 0 is a fault, any other was sent
_SIGINFO, _ONSTACK = 0x4, 0x08000000

_mmap = types.ExternalFunction("mmap", types.int64(types.int64, types.int64, types.int32, types.int32, types.int32, types.int64))
_sigaction = types.ExternalFunction("sigaction", types.int32(types.int32, types.int64, types.int64))
_raise = types.ExternalFunction("raise", types.int32(types.int32))
_lock = threading.Lock()


@intrinsic
def _guard(typingctx):
    """Address of the guard: by a name that is the same in every process, as the C functions of `digests`."""
    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.VoidType(), [])
        return builder.ptrtoint(cgutils.get_or_insert_function(builder.module, kind, _NAME), ir.IntType(64))
    return types.int64(), generate


def _handle(number, info, context):
    """The handler of SIGBUS, compiled: only calls that are allowed in one, and no Python."""
    guard, fault = _guard(), atomics.load(info + _ADDRESS)
    code = atomics.load(info + _CODE) << 32 >> 32
    if code > 0 and atomics.load(guard + _LOW) <= fault and fault < atomics.load(guard + _HIGH):
        page = fault // _PAGE * _PAGE
        _mmap(page, atomics.load(guard + _HIGH) - page, _READ, _NOTHING, -1, 0)
        atomics.store(guard + _HITS, atomics.load(guard + _HITS) + 1)
        return
    # not ours: whoever was there before hears of it when the instruction is tried again, or is sent it again
    _sigaction(number, guard + _BEFORE, 0)
    if code <= 0:
        _raise(number)


@kernel
def _is_cached(guard, fd, offset, nbytes):
    """Whether both ends of a range can be read without waiting; what lies between nearly always can then."""
    scratch = guard + _SCRATCH
    return atomics.pread_now(fd, scratch, 1, offset) == 1 and atomics.pread_now(fd, scratch, 1, offset + nbytes - 1) == 1


@kernel
def _mapped(guard, fd, offset, nbytes):
    """The address of a range that is mapped, from a large page's beginning to its end where it can be; -1 when it can't be mapped."""
    first = offset // _PAGES * _PAGES
    low = atomics.load(guard + _LOW)
    place = _mmap(low, offset + nbytes - first, _READ, _SHARED | _POPULATE, fd, first)
    return low + offset - first if place == low else -1


@kernel
def _copy(guard, source, sizes, places, crcs, count):
    """Copy ranges from where they are mapped: how many were still there afterwards."""
    hits = atomics.load(guard + _HITS)
    for number in range(count):
        crcs[number] = copy_checked(places[number], source, sizes[number])
        if atomics.load(guard + _HITS) != hits:
            return number
        source += sizes[number]
    return count


@kernel
def _take(guard, fd, offset, sizes, places, crcs):
    count, nbytes = 0, 0
    while count < len(sizes) and 0 < sizes[count] <= LARGEST - nbytes and _is_cached(guard, fd, offset + nbytes, sizes[count]):
        nbytes += sizes[count]
        count += 1
    source = _mapped(guard, fd, offset, nbytes) if count > 0 else -1
    return _copy(guard, source, sizes, places, crcs, count) if source >= 0 else 0


class _Action(ctypes.Structure):
    """The C library's struct sigaction."""

    _fields_ = [("handler", ctypes.c_void_p), ("mask", ctypes.c_uint64 * 16), ("flags", ctypes.c_int), ("restorer", ctypes.c_void_p)]


class _Guard:
    """The place and the handler of this process, made once."""

    def __init__(self):
        self.words = (ctypes.c_int64 * (_GUARD_NBYTES // 8))()
        self.address = ctypes.addressof(self.words)
        binding.add_symbol(_NAME, self.address)
        compiled = CFunc(_handle, sigutils.normalize_signature("void(int32, intp, intp)"), {}, {"error_model": "numpy", "boundscheck": False})
        compiled._cache = SharedCache(_handle, cache_folder(__name__), is_plain=True)
        with global_compiler_lock:          # which the cache relies on
            compiled.compile()
        self._compiled, self._action = compiled, _Action(handler=compiled.address, flags=_SIGINFO | _ONSTACK)
        self._set = ctypes.CDLL(None, use_errno=True).sigaction
        self._place = mmap.mmap(-1, _PLACE_NBYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        low = -(-np.frombuffer(self._place, np.uint8).ctypes.data // _PAGES) * _PAGES
        self.words[_LOW // 8], self.words[_HIGH // 8] = low, low + LARGEST + _PAGES

    @contextmanager
    def standing(self):
        """The handler stands in the block; afterwards nothing is mapped at the place."""
        before, found = ctypes.c_void_p(self.address + _BEFORE), _Action()
        self._set(signal.SIGBUS, None, ctypes.byref(found))
        if found.handler != self._action.handler:           # else Ctrl-C came between: what was there before that is known
            ctypes.memmove(before, ctypes.byref(found), ctypes.sizeof(found))
        try:
            self._set(signal.SIGBUS, ctypes.byref(self._action), None)
            yield self.address
        finally:
            try:
                _clear(self.address)
            finally:
                self._set(signal.SIGBUS, before, None)


@kernel
def _clear(guard):
    low = atomics.load(guard + _LOW)
    _mmap(low, atomics.load(guard + _HIGH) - low, _NONE, _NOTHING, -1, 0)


_made = None


def take(fd, offset, sizes, places, crcs):
    """Fill places with ranges that lie one behind the other in a file: how many, counted from the first; the others want an ordinary read.

    fd, offset : an open regular file, and where the first range begins
    sizes : int64 array, bytes of each range
    places : int64 array, the addresses that they are copied to
    crcs : int64 array that is filled with their crc32

    It stops at the first range that isn't in the page cache, after `LARGEST` bytes, and when the file is cut or fails meanwhile; it takes
    nothing on file systems that can't tell, while another thread of the process does, or without the JIT. It raises no errors of files. Of a
    file that is written meanwhile the bytes may not be those of the checksum: compare its stamps, as after an ordinary read.
    """
    global _made
    if config.DISABLE_JIT or not _lock.acquire(blocking=False):
        return 0
    try:
        status = os.fstat(fd)
        if status.st_blocks * 512 < status.st_size:         # a hole of a file in memory would get a page when it is looked at
            return 0
        if _made is None:
            _made = _Guard()
        with _made.standing() as guard:
            return _take(guard, fd, offset, sizes, places, crcs)
    finally:
        _lock.release()
