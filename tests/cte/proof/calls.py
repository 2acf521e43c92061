"""The system calls through which a store reaches its disk, counted, and what is made of the Nth: an error, less than asked, or the end."""

import errno
import os
import signal

WRITES = ("pwrite", "fdatasync", "fsync", "posix_fallocate", "ftruncate", "replace", "unlink", "open")


class Calls:
    """Wraps the functions of `os` in this process while it is entered. `count`: calls until now.

    number : the call that fares ill, from 1; 0: none, they are only counted
    how : "ENOSPC" and so on: that error; "short": half of the bytes; "killed", "torn", "killed behind it": kill -9 before it, in the
    middle, after it
    lasting : every call of its kind from then on fares ill, as on a full disk
    """

    def __init__(self, number=0, how="EIO", lasting=False):
        self._number, self._how, self._lasting = number, how, lasting
        self.count, self.hit, self._original = 0, None, {}

    def __enter__(self):
        for name in WRITES:
            self._original[name] = getattr(os, name)
            setattr(os, name, self._wrapped(name, self._original[name]))
        return self

    def __exit__(self, *error):
        for name, function in self._original.items():
            setattr(os, name, function)

    def _wrapped(self, name, original):
        def call(*args, **kwargs):
            if name == "open" and not args[1] & os.O_CREAT:
                return original(*args, **kwargs)
            self.count += 1
            if self.count == self._number or self._lasting and self.hit == name:
                self.hit = name
                return self._ill(name, original, args, kwargs)
            return original(*args, **kwargs)
        return call

    def _ill(self, name, original, args, kwargs):
        if self._how == "short":
            return original(args[0], _half(args[1]), *args[2:]) if name == "pwrite" else original(*args, **kwargs)
        if self._how in ("killed", "torn", "killed behind it"):
            if self._how == "torn" and name == "pwrite":
                original(args[0], _half(args[1]), *args[2:])
            elif self._how == "killed behind it":
                original(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, self._how)
        raise OSError(number, os.strerror(number))


def _half(data):
    view = memoryview(data).cast("B")
    return view[:max(1, len(view) // 2)]
