"""The machine's instructions in plain Python, for a process whose JIT is switched off (NUMBA_DISABLE_JIT=1): to debug, and for the tests.

Threads of the process exclude each other here; other processes don't see these words change as a whole.
"""

import ctypes
import threading
import time

_C = ctypes.CDLL(None, use_errno=True)
_lock = threading.Lock()
_pread, _pwrite, _syscall = _C.pread, _C.pwrite, _C.syscall
for _call in (_pread, _pwrite, _syscall):
    _call.restype = ctypes.c_long


def _word(address):
    return ctypes.c_int64.from_address(int(address))


def load(address):
    return _word(address).value


def store(address, value):
    _word(address).value = int(value)


def add(address, value):
    with _lock:
        before = load(address)
        store(address, before + int(value))
    return before


def exchange(address, value):
    with _lock:
        before = load(address)
        store(address, value)
    return before


def swap(address, expected, new):
    with _lock:
        before = load(address)
        if before == expected:
            store(address, new)
    return before


def pause():
    """Nothing to tell."""


def yield_core():
    time.sleep(0)


def nap(duration_us):
    time.sleep(int(duration_us) / 1e6)


def copy(dst, src, nbytes):
    ctypes.memmove(int(dst), int(src), int(nbytes))
    return dst


def clear(address, value, nbytes):
    ctypes.memset(int(address), int(value), int(nbytes))
    return address


def store_byte(address, value):
    ctypes.c_uint8.from_address(int(address)).value = int(value) & 0xFF


def memmem(address, nbytes, wanted, wanted_nbytes):
    place = ctypes.string_at(int(address), int(nbytes)).find(ctypes.string_at(int(wanted), int(wanted_nbytes)))
    return int(address) + place if place >= 0 else 0


def errno_location():
    return 0


def load_half(address):
    """The errno of the last call: `errno_location` gives no address here."""
    return ctypes.get_errno()


def futex(number):
    """The call of futexes with the machine's number of it."""
    def call(address, operation, value, seconds, nanoseconds):
        timeout = (ctypes.c_int64 * 2)(int(seconds), int(nanoseconds))
        return _syscall(number, ctypes.c_long(int(address)), int(operation), ctypes.c_uint32(int(value)), timeout, None, 0)
    return call


def preadv2(number):
    def call(fd, address, nbytes, offset, flags):
        vector = (ctypes.c_int64 * 2)(int(address), int(nbytes))
        return _syscall(number, int(fd), vector, ctypes.c_long(1), ctypes.c_long(int(offset)), ctypes.c_long(0), int(flags))
    return call


def pread(fd, address, nbytes, offset):
    return _pread(int(fd), ctypes.c_void_p(int(address)), ctypes.c_size_t(int(nbytes)), ctypes.c_long(int(offset)))


def pwrite(fd, address, nbytes, offset):
    return _pwrite(int(fd), ctypes.c_void_p(int(address)), ctypes.c_size_t(int(nbytes)), ctypes.c_long(int(offset)))


def fdatasync(fd):
    return _C.fdatasync(int(fd))


def stream_line(dst, src):
    copy(dst, src, 64)


def fence():
    """Stores are in their order already."""


def prefetch(address):
    """No line has to be asked for."""
