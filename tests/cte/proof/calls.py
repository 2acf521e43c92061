"""The system calls through which a store reaches its disk, counted, and what is made of the Nth: an error, less than asked, or the end.

Python's and the kernels' alike: import it before a kernel is loaded, which then finds these functions in place of those of C.
"""

import ctypes
import errno
import os
import signal
from contextlib import contextmanager

import llvmlite.binding as llvm

WRITES = ("pwrite", "pwritev", "fdatasync", "fsync", "posix_fallocate", "ftruncate", "replace", "unlink", "mkdir", "rmdir")
READS = ("pread", "preadv")
_C = ctypes.CDLL(None, use_errno=True)
_OF_C = {"pwrite": (ctypes.c_int64, ctypes.c_int32, *(ctypes.c_int64,) * 3), "pread": (ctypes.c_int64, ctypes.c_int32, *(ctypes.c_int64,) * 3),
         "fdatasync": (ctypes.c_int32, ctypes.c_int32)}
_entered, _kept = [], []                # Calls that are entered; functions that kernels have the addresses of


class Calls:
    """Stands before these calls of this process while it is entered. `count`: calls until now.

    number : the call that fares ill, from 1; 0: none, they are only counted
    how : "ENOSPC" and so on: that error; "short": half of the bytes; "killed", "torn", "killed behind it": kill -9 before it, in the
    middle, after it
    lasting : every call of its kind from then on fares ill, as on a full disk
    reads : count what reads, too, and openings of what is there
    """

    def __init__(self, number=0, how="EIO", lasting=False, reads=False):
        self._number, self._how, self._lasting = number, how, lasting
        self._names, self._reads = WRITES + READS * reads, reads
        self.count, self.hit, self._original = 0, None, {}
        self._rests = False

    def __enter__(self):
        for name in (*self._names, "open"):
            self._original[name] = getattr(os, name)
            setattr(os, name, self._wrapped(name, self._original[name]))
        _entered.append(self)
        return self

    def __exit__(self, *error):
        _entered.remove(self)
        for name, function in self._original.items():
            setattr(os, name, function)

    @contextmanager
    def resting(self):
        """Nothing counts and nothing fares ill meanwhile."""
        self._rests = True
        yield
        self._rests = False

    def _wrapped(self, name, original):
        return lambda *args, **kwargs: self.made(name, original, args, kwargs)

    def made(self, name, original, args, kwargs):
        """What a call gives, or the OSError that is made of it."""
        is_reading = name in READS or name == "open" and not args[1] & os.O_CREAT
        if self._rests or is_reading and not self._reads:
            return original(*args, **kwargs)
        self.count += 1
        if self.count == self._number or self._lasting and self.hit == name:
            self.hit = name
            return self._ill(name, original, args, kwargs)
        return original(*args, **kwargs)

    def _ill(self, name, original, args, kwargs):
        if self._how == "short":
            return original(*_half(name, args), **kwargs)
        if self._how in ("killed", "torn", "killed behind it"):
            if self._how == "torn":
                half = _half(name, args)
                if half != args:
                    original(*half)
            elif self._how == "killed behind it":
                original(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        number = errno.EIO if name in READS else getattr(errno, self._how)
        raise OSError(number, os.strerror(number))


def _half(name, args):
    """The arguments of a call that moves half of the bytes; of another, all of them."""
    if name not in ("pwrite", "pwritev", "pread", "preadv"):
        return args
    if len(args) == 4:                  # of C: descriptor, address, bytes, offset
        return args[0], args[1], max(1, args[2] // 2), args[3]
    what = args[1]
    if isinstance(what, int):
        return args[0], max(1, what // 2), *args[2:]
    view = memoryview(what[0] if isinstance(what, list) else what).cast("B")
    view = view[:max(1, len(view) // 2)]
    return args[0], [view] if isinstance(what, list) else view, *args[2:]


def _for_kernels(name, gives, *takes):
    """Let kernels that are loaded from now on find this function by the name of that of C."""
    original = ctypes.CFUNCTYPE(gives, *takes, use_errno=True)((name, _C))

    def call(*args):
        if not _entered:
            return original(*args)
        try:
            return _entered[-1].made(name, original, args, {})
        except OSError as error:
            ctypes.set_errno(error.errno)
            return -1

    function = ctypes.CFUNCTYPE(gives, *takes, use_errno=True)(call)
    _kept.append(function)
    llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)


for _name, _kinds in _OF_C.items():
    _for_kernels(_name, *_kinds)
