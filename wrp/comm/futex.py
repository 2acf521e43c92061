"""Waking processes that sleep on a word in shared memory, without loading Numba: for processes that are to start quickly. No waiting."""

import ctypes
import os
import platform

_NUMBERS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}
_WAKE = 1
_ALL = 0x7FFFFFFF
_libc = ctypes.CDLL(None, use_errno=True)
_number = _NUMBERS.get(platform.machine(), -1)


def address_of(mapping):
    """The address of a writable mmap."""
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))


def wake(address, count=_ALL):
    """Wake at most `count` sleepers on the 32-bit word at the address; returns how many woke. OSError where the kernel refuses."""
    woken = _libc.syscall(ctypes.c_long(_number), ctypes.c_void_p(address), _WAKE, count, None, None, 0)
    if woken < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return woken
