"""Numba's cache of one kernel, made for jobs of many ranks: one process compiles, the others load what it has compiled."""
import fcntl
import os
import pickle
import time
from functools import cached_property, partial

from numba import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.runtime import rtsys

from wrp.comm import caches

_WAIT_S = 900.0             # longer than any kernel of wrp compiles on a machine with thirty times as many ranks as cores
_NAP_S, _LONGEST_NAP_S = 0.01, 0.25     # who waits leaves the cores to the one that compiles


class _Turn:
    """A lock file that one process has while it compiles; by depth, because compiling a kernel compiles its callees.

    Who can't have it within the time limit, or on a file system without locks, compiles without it from then on: the
    lock saves work, nothing is wrong without it.
    """

    def __init__(self, path):
        self._path, self._fd, self._depth, self._is_used = path, None, 0, True

    def enter(self):
        self._depth += 1
        if self._depth == 1 and self._is_used:
            self._is_used = self._lock()

    def leave(self):
        self._depth -= 1
        if self._depth == 0 and self._fd is not None:
            os.close(self._fd)          # the lock goes with it
            self._fd = None

    def _lock(self):
        deadline, nap_s = time.monotonic() + _WAIT_S, _NAP_S
        try:
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            while not self._try():
                if time.monotonic() >= deadline:
                    return False
                time.sleep(nap_s)
                nap_s = min(1.25 * nap_s, _LONGEST_NAP_S)
            return True
        except OSError:                 # no locks on this file system
            return False

    def _try(self):
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class _Place(_CacheLocator):
    """Where a kernel of wrp is kept: its folder says all about its source, so neither path nor time of the file count."""

    def __init__(self, folder, function):
        self._folder, self._line = folder, function.__code__.co_firstlineno

    def from_function(self, *_):
        return self

    def get_cache_path(self):
        return self._folder

    def get_source_stamp(self):
        return ""

    def get_disambiguator(self):
        return str(self._line)


class _PlainImpl(CompileResultCacheImpl):
    def __init__(self, place, function):
        self._locator_classes = [place]
        super().__init__(function)


class _PlainCache(FunctionCache):
    def __init__(self, function, folder):
        self._impl_class = partial(_PlainImpl, _Place(folder, function))
        super().__init__(function)


_turns = {}                 # folder -> its _Turn


class SharedCache:
    """The cache of one kernel in `folder`. A folder that fails (no space, no rights) costs time, never the program.

    Made in a microsecond: a process makes hundreds and looks into few. `is_plain`: the kernel is one of wrp's, which use nothing
    but arrays and numbers; then Numba's tables of types and functions, a fifth of a second, are made when something is compiled,
    and `folder` is of this very source: clones of the same version share what one has compiled.
    """

    def __init__(self, function, folder, is_plain=False):
        self._function, self._folder, self._is_plain = function, folder, is_plain
        self._turn = _turns.setdefault(folder, _Turn(os.path.join(folder, "compiling.lock")))

    @cached_property
    def files(self):
        """Numba's own cache of this kernel."""
        if self._is_plain:
            return _PlainCache(self._function, self._folder)
        # Numba reads the folder while the cache is made: other users of Numba in this process keep their own
        before, config.CACHE_DIR = config.CACHE_DIR, self._folder
        try:
            return FunctionCache(self._function)
        finally:
            config.CACHE_DIR = before

    @property
    def cache_path(self):
        return self.files.cache_path

    def load_overload(self, sig, target_context):
        """The machine code for a signature, or None: then Numba compiles, and calls `save_overload` with the turn held."""
        caches.mark(self._folder)
        found = self._load(sig, target_context)
        if found is None:
            self._turn.enter()
            found = self._load(sig, target_context)     # another process may have compiled it meanwhile
            if found is not None:
                self._turn.leave()
        return found

    def save_overload(self, sig, data):
        try:
            self.files.save_overload(sig, data)
        except OSError:
            self.files.disable()        # the code is in memory; only the next process has to compile again
        finally:
            self._turn.leave()

    def guard(self, compiler):
        """Give the turn back when this compiler raises too: then Numba never comes to `save_overload`."""
        compile_kernel = compiler.compile

        def guarded(*arguments):
            try:
                return compile_kernel(*arguments)
            except BaseException:
                self._turn.leave()
                raise
        compiler.compile = guarded

    def _load(self, sig, target_context):
        try:
            if not self._is_plain:
                return self.files.load_overload(sig, target_context)
            rtsys.initialize(target_context)        # what machine code with arrays calls
            return self.files._load_overload(sig, target_context)
        except (OSError, EOFError, pickle.UnpicklingError):
            return None                 # damaged or unreadable: it is compiled again and written anew
