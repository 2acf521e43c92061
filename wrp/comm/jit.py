"""The one decorator of jitted functions, and the folder their machine code is cached in.

A kernel is compiled without the GIL, with NumPy's error model, without bounds checks, and cached on disk. Numba's own
cache looks only at the file of the function itself; here the folder carries a hash over every file of the floors that hold kernels,
so a changed callee recompiles its callers, and two versions of wrp never share a cache.
"""
import hashlib
import os
import platform
import tempfile
from pathlib import Path

import numba
from numba import config

_FLOORS = ("comm", "runtime", "cte")
_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


def _fingerprint():
    """Hash of the floors that hold kernels and of the versions of Numba and Python: 16 hex digits.

    Every file counts, not only those with kernels: a kernel freezes the constants that it imports.
    """
    digest = hashlib.sha256(f"{numba.__version__} {platform.python_version()} {platform.machine()}".encode())
    root = Path(__file__).resolve().parent.parent
    for floor in _FLOORS:
        for path in sorted((root / floor).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _is_own_folder(folder):
    """True if `folder` is there or can be made, belongs to this user and can be written: its code will be run."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def _cache_folder():
    """The folder for this version's kernels: under WRP_CACHE_DIR or ~/.cache/wrp, else a private one that is lost."""
    parent = os.environ.get("WRP_CACHE_DIR") or os.path.join(os.path.expanduser("~"), ".cache", "wrp")
    folder = Path(parent) / f"kernels-{_fingerprint()}"
    return str(folder) if _is_own_folder(folder) else tempfile.mkdtemp(prefix="wrp-kernels-")


CACHE_DIR = _cache_folder()


def kernel(function):
    """Jit `function`; as ``@kernel`` compiled at its first call, as ``@kernel("int64(int64)")`` when it is defined.

    Python integers arrive as int64. Kernels of the library are written with the bare form, so that importing them costs
    nothing; they can be called from Python and from other kernels.
    """
    if isinstance(function, (str, list, tuple)):
        return lambda body: _compiled(body, function)
    return _compiled(function, None)


def _compiled(function, signature):
    # Numba reads the folder while the decorator runs: other users of Numba in this process keep their own
    before, config.CACHE_DIR = config.CACHE_DIR, CACHE_DIR
    try:
        decorator = numba.njit(**_OPTIONS) if signature is None else numba.njit(signature, **_OPTIONS)
        return decorator(function)
    finally:
        config.CACHE_DIR = before
