"""The one decorator of jitted functions, and the folders their machine code is cached in.

A kernel is compiled without the GIL, with NumPy's error model, without bounds checks, and cached on disk. Numba's own
cache looks only at the file of the function itself; here the folder carries a hash over every file that the kernel's module
reaches by imports, so a changed callee recompiles its callers and nothing else, and two versions of wrp never share a cache
but for what is the same in both.
"""
import atexit
import os
import platform
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import numba
from numba import config, types

from wrp.comm import caches, sources
from wrp.comm.compiling import SharedCache
from wrp.comm.passing import PassingFolder
from wrp.errors import StoreError

_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}


def kernel(function):
    """Jit `function`; as ``@kernel`` compiled at its first call, as ``@kernel("int64(int64)")`` when it is defined.

    Python integers arrive as int64. Kernels of the library are written with the bare form, so that importing them costs
    nothing; they can be called from Python and from other kernels.
    """
    if isinstance(function, (str, list, tuple)):
        return lambda body: _compiled(body, function)
    return _compiled(function, None)


def _compiled(function, signature):
    if config.DISABLE_JIT:
        return function                     # its twin: the same lines as plain Python, see `wrp.comm.plain`
    dispatcher = numba.njit(**_OPTIONS)(function)
    module = function.__module__
    dispatcher._cache = SharedCache(function, cache_folder(module), is_plain=module.startswith("wrp."))
    dispatcher._cache.guard(dispatcher._compiler)
    if signature is not None:
        dispatcher.compile(signature)
        dispatcher.disable_compile()
    return dispatcher


def direct(kernel, words, unread=0):
    """A kernel of `words` plain integers, to be called from Python without Numba's look at their types, which takes as long as the rest of a call.

    unread : so many more arguments, of any kind, which the kernel may not look at
    """
    if config.DISABLE_JIT:
        return kernel
    signature = (types.int64,) * words + (types.none,) * unread
    kernel.compile(signature)
    return kernel.overloads[signature].entry_point


class Directly:
    """Kernels by name, each called as `direct` gives it and loaded when it is called first: ``Directly(name=(kernel, words))``."""

    def __init__(self, **kernels):
        self._kernels = kernels

    def __getattr__(self, name):
        if name not in self._kernels:
            raise AttributeError(f"there is no kernel {name!r}")
        found = direct(*self._kernels[name])
        setattr(self, name, found)
        return found


def cache_folder(module):
    """The folder for the kernels of a module, made when something is compiled."""
    return os.path.join(cache_root(), f"{module}-{sources.digest(module) if module.startswith('wrp.') else sources.digest_of_all()}")


@lru_cache(maxsize=None)
def cache_root():
    """The folder of those folders: `lasting_root`, else one that goes with the last process of this user's on this node that uses it."""
    folder = lasting_root()
    why = trouble(folder)
    return _passing_root(folder, why) if why else str(folder)


def lasting_root():
    """Where compiled kernels are to be kept, as a Path: below WRP_CACHE_DIR or ~/.cache/wrp. Each version of Numba and Python has its own."""
    return caches.root() / _version()


def _version():
    return f"kernels-{numba.__version__}-{platform.python_version()}-{platform.machine()}"


def _passing_root(wanted, why):
    """The folder `wrp-UID.kernels` for temporary files, or in /dev/shm; where neither can be used each process has one of its own."""
    shared = _passing()
    path = _own() if shared is None else shared.path
    caches.note(f"compiled kernels can't be kept in {wanted} ({why}): they are compiled anew into {path}, which goes with the last process that uses it; "
                "set WRP_CACHE_DIR to a folder that you can write")
    return os.path.join(path, _version())


def _own():
    path = tempfile.mkdtemp(prefix="wrp-kernels-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _passing():
    for parent in (None, "/dev/shm"):
        try:
            folder = PassingFolder("kernels", parent)
        except StoreError:
            continue
        if not trouble(Path(folder.path)):
            atexit.register(_close, folder, os.getpid())
            return folder
        folder.close()
    return None


def _close(folder, pid):
    if os.getpid() == pid:          # a forked child shares the lock, and leaves the folder to its parent
        folder.close()


def trouble(folder):
    """"" if `folder`, a Path, is there or can be made, takes files, and only this user can write to it: its code will be run. Else why not."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        with tempfile.TemporaryFile(dir=folder) as probe:       # home folders are often full
            probe.write(bytes(4096))
        return "" if found.st_uid == os.getuid() and not found.st_mode & 0o022 else "others can write to it"
    except OSError as error:
        return error.strerror
