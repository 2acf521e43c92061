"""Kernels over 64-bit words at an address: atomic instructions, copies, futexes, the clock, and file input and output.

An address is an int64. All kernels can be called from Python and from other kernels; none checks its address.
Memory order: `load` acquires, `store` releases, `add`, `swap` and `exchange` are sequentially consistent. Because every
`load` acquires and every `store` releases, loads stay in program order among themselves, and stores likewise; the
sequence numbers of the catalog's records (`wrp.cte.layout`) rest on that.
"""
import platform
import time

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from wrp.comm import plain
from wrp.comm.jit import kernel

_WORD = ir.IntType(64)
_HALF = ir.IntType(32)
_BYTE = ir.IntType(8)
_MACHINE = platform.machine()
_X86 = _MACHINE == "x86_64"
_SYS_FUTEX = {"x86_64": 202, "ppc64le": 221}.get(_MACHINE, 98)      # 98: aarch64, riscv64 and loongarch64 share a table
_SYS_PREADV2 = {"x86_64": 327, "ppc64le": 380}.get(_MACHINE, 286)
_RWF_NOWAIT = 8
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1         # not the PRIVATE forms: the waiters sit in other processes
_CLOCK_REALTIME, _CLOCK_MONOTONIC = 0, 1
_EINTR, _EIO = 4, 5
_PIECE = 1 << 30                        # one pread or pwrite moves at most 2 GiB - 4 KiB on Linux

# C functions by symbol: unlike ctypes pointers they leave a kernel cacheable. Pointers are passed as int64.
_memcpy = types.ExternalFunction("memcpy", types.int64(types.int64, types.int64, types.int64))
_memmem = types.ExternalFunction("memmem", types.int64(types.int64, types.int64, types.int64, types.int64))
_memset = types.ExternalFunction("memset", types.int64(types.int64, types.int32, types.int64))
_pread = types.ExternalFunction("pread", types.int64(types.int32, types.int64, types.int64, types.int64))
_pwrite = types.ExternalFunction("pwrite", types.int64(types.int32, types.int64, types.int64, types.int64))
_fdatasync = types.ExternalFunction("fdatasync", types.int32(types.int32))
_errno_location = types.ExternalFunction("__errno_location", types.int64())
_sched_yield = types.ExternalFunction("sched_yield", types.int32())
_usleep = types.ExternalFunction("usleep", types.int32(types.uint32))


def _pointer(builder, address, kind=_WORD):
    return builder.inttoptr(address, kind.as_pointer())


@intrinsic
def _load(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.load_atomic(_pointer(builder, args[0]), "acquire", 8)
    return types.int64(types.int64), codegen


@intrinsic
def _store(typingctx, address, value):
    def codegen(context, builder, signature, args):
        builder.store_atomic(args[1], _pointer(builder, args[0]), "release", 8)
        return context.get_dummy_value()
    return types.void(types.int64, types.int64), codegen


@intrinsic
def _store_byte(typingctx, address, value):
    def codegen(context, builder, signature, args):
        builder.store(builder.trunc(args[1], _BYTE), _pointer(builder, args[0], _BYTE))
        return context.get_dummy_value()
    return types.void(types.int64, types.int64), codegen


@intrinsic
def _add(typingctx, address, value):
    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], "seq_cst")
    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _exchange(typingctx, address, value):
    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("xchg", _pointer(builder, args[0]), args[1], "seq_cst")
    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _swap(typingctx, address, expected, new):
    def codegen(context, builder, signature, args):
        pair = builder.cmpxchg(_pointer(builder, args[0]), args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 0)
    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def _load_half(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.sext(builder.load(_pointer(builder, args[0], _HALF)), _WORD)
    return types.int64(types.int64), codegen


@intrinsic
def _fence(typingctx):
    def codegen(context, builder, signature, args):
        builder.fence("acquire")
        return context.get_dummy_value()
    return types.void(), codegen


@intrinsic
def _lowest_bit(typingctx, word):
    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(0))
    return types.int64(types.int64), codegen


@intrinsic
def _pause(typingctx):
    def codegen(context, builder, signature, args):
        if _X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()
    return types.void(), codegen


@intrinsic
def _clock_ns(typingctx, clock):
    def codegen(context, builder, signature, args):
        pair = cgutils.alloca_once(builder, ir.ArrayType(_WORD, 2))
        address = builder.ptrtoint(pair, _WORD)
        kind = ir.FunctionType(_HALF, [_HALF, _WORD])
        clock = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        builder.call(clock, [builder.trunc(args[0], _HALF), address])
        seconds = builder.load(_pointer(builder, address))
        nanoseconds = builder.load(_pointer(builder, builder.add(address, _WORD(8))))
        return builder.add(builder.mul(seconds, _WORD(1_000_000_000)), nanoseconds)
    return types.int64(types.int64), codegen


@intrinsic
def _futex(typingctx, address, operation, value, seconds, nanoseconds):
    def codegen(context, builder, signature, args):
        pair = cgutils.alloca_once(builder, ir.ArrayType(_WORD, 2))
        timeout = builder.ptrtoint(pair, _WORD)
        builder.store(args[3], _pointer(builder, timeout))
        builder.store(args[4], _pointer(builder, builder.add(timeout, _WORD(8))))
        kind = ir.FunctionType(_WORD, [_WORD] * 7)
        call = cgutils.get_or_insert_function(builder.module, kind, "syscall")
        return builder.call(call, [_WORD(_SYS_FUTEX), args[0], args[1], args[2], timeout, _WORD(0), _WORD(0)])
    return types.int64(*[types.int64] * 5), codegen


@intrinsic
def _preadv2(typingctx, fd, address, nbytes, offset, flags):
    def codegen(context, builder, signature, args):
        pair = cgutils.alloca_once(builder, ir.ArrayType(_WORD, 2))
        vector = builder.ptrtoint(pair, _WORD)
        builder.store(args[1], _pointer(builder, vector))
        builder.store(args[2], _pointer(builder, builder.add(vector, _WORD(8))))
        kind = ir.FunctionType(_WORD, [_WORD] * 7)
        call = cgutils.get_or_insert_function(builder.module, kind, "syscall")
        return builder.call(call, [_WORD(_SYS_PREADV2), args[0], vector, _WORD(1), args[3], _WORD(0), args[4]])
    return types.int64(*[types.int64] * 5), codegen


if config.DISABLE_JIT:          # kernels are plain Python then, and so is what they call
    _load, _store, _add, _exchange, _swap, _pause = plain.load, plain.store, plain.add, plain.exchange, plain.swap, plain.pause
    _store_byte, _memmem = plain.store_byte, plain.memmem
    _memcpy, _memset, _pread, _pwrite, _fdatasync = plain.copy, plain.clear, plain.pread, plain.pwrite, plain.fdatasync
    _sched_yield, _usleep, _clock_ns = plain.yield_core, plain.nap, time.clock_gettime_ns
    _errno_location, _load_half = plain.errno_location, plain.load_half
    _futex, _preadv2 = plain.futex(_SYS_FUTEX), plain.preadv2(_SYS_PREADV2)


@kernel
def load(address):
    """The word at `address` (acquire)."""
    return _load(address)


@kernel
def store(address, value):
    """Put `value` at `address` (release)."""
    _store(address, value)


@kernel
def add(address, value):
    """Add `value` to the word at `address`; the word before."""
    return _add(address, value)


@kernel
def exchange(address, value):
    """Put `value` at `address`; the word before."""
    return _exchange(address, value)


@kernel
def swap(address, expected, new):
    """Put `new` at `address` if the word there is `expected`; the word before, equal to `expected` on success."""
    return _swap(address, expected, new)


@kernel
def fence():
    """What was read before, by `copy` too, was read before what is read after. Costs nothing on x86."""
    _fence()


@kernel
def lowest_bit(word):
    """Number of the lowest bit of `word` that is 1; 64 where none is."""
    return _lowest_bit(word)


@kernel
def pause():
    """Tell the core that this is a spin loop."""
    _pause()


@kernel
def yield_core():
    """Let another process run on this core."""
    _sched_yield()


@kernel
def nap(duration_us):
    """Sleep for `duration_us` microseconds (below one second)."""
    _usleep(duration_us)


@kernel
def copy(dst, src, nbytes):
    """Copy `nbytes` bytes; the two ranges must not overlap."""
    _memcpy(dst, src, nbytes)


@kernel
def clear(address, nbytes):
    """Set `nbytes` bytes to zero."""
    _memset(address, 0, nbytes)


@kernel
def store_byte(address, value):
    """Put the low byte of `value` at `address`, in memory that nobody else looks at."""
    _store_byte(address, value)


@kernel
def found_at(address, nbytes, wanted, wanted_nbytes):
    """Address of the first place among `nbytes` bytes where the `wanted_nbytes` bytes at `wanted` stand; 0 where they don't."""
    return _memmem(address, nbytes, wanted, wanted_nbytes)


@kernel
def now_ns():
    """The monotonic clock in nanoseconds: the one of `time.monotonic_ns`, the same in all processes of a machine."""
    return _clock_ns(_CLOCK_MONOTONIC)


@kernel
def wall_ns():
    """The time of day in nanoseconds since 1970, as `time.time_ns`; it may be set back."""
    return _clock_ns(_CLOCK_REALTIME)


@kernel
def futex_wait(address, expected, timeout_us):
    """Sleep while the low 32 bits at `address` are those of `expected`: 0 when woken, else a negative errno.

    -ETIMEDOUT after `timeout_us` microseconds, -EAGAIN if the word was another one already, -EINTR at a signal. A
    sleeper may also wake for no reason: check the word. Little-endian machines only.
    """
    low = expected & 0xFFFFFFFF
    code = _futex(address, _FUTEX_WAIT, low, timeout_us // 1_000_000, timeout_us % 1_000_000 * 1000)
    return code if code >= 0 else -_load_half(_errno_location())


@kernel
def futex_wake(address, count):
    """Wake up to `count` sleepers of `address`; how many woke."""
    return _futex(address, _FUTEX_WAKE, count, 0, 0)


@kernel
def pread(fd, address, nbytes, offset):
    """Read `nbytes` at `offset` of the file to `address`: bytes read (fewer only at the end of the file), or -errno."""
    done = 0
    while done < nbytes:
        moved = _pread(fd, address + done, min(nbytes - done, _PIECE), offset + done)
        if moved == 0:
            break
        if moved < 0:
            code = _load_half(_errno_location())
            if code != _EINTR:
                return -code
        else:
            done += moved
    return done


@kernel
def pread_now(fd, address, nbytes, offset):
    """Read what is in memory already, at most 2 GiB: the bytes read, or -errno; -EAGAIN where it would have to wait."""
    moved = _preadv2(fd, address, min(nbytes, _PIECE), offset, _RWF_NOWAIT)
    return moved if moved >= 0 else -_load_half(_errno_location())


@kernel
def fdatasync(fd):
    """What was written to the file is on storage: 0, or a negative errno."""
    return 0 if _fdatasync(fd) == 0 else -_load_half(_errno_location())


@kernel
def pwrite(fd, address, nbytes, offset):
    """Write `nbytes` from `address` at `offset` of the file: `nbytes`, or a negative errno."""
    done = 0
    while done < nbytes:
        moved = _pwrite(fd, address + done, min(nbytes - done, _PIECE), offset + done)
        if moved == 0:
            return -_EIO
        if moved < 0:
            code = _load_half(_errno_location())
            if code != _EINTR:
                return -code
        else:
            done += moved
    return done
