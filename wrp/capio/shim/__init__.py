"""The shim: a small C library that programs of a step are started with (LD_PRELOAD). Here it is compiled, once for each version of it."""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from wrp.comm import caches
from wrp.errors import StoreError

NAME = "libcapio_posix.so"
_HERE = Path(__file__).parent
_OPTIONS = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,now")
_LIBRARIES = ("-ldl", "-lpthread")
_LIMIT_S = 120


def sources():
    return sorted(path for path in _HERE.iterdir() if path.suffix in (".c", ".h"))


def compiler():
    """The command of a C compiler, or None."""
    given = os.environ.get("CC", "").split()
    return next((found for name in [*given[:1], "cc", "gcc", "clang"] if (found := shutil.which(name))), None)


def path():
    """The path of the library, compiled into ~/.cache/wrp (or WRP_CACHE_DIR) when it isn't there; StoreError where it can't be."""
    digest = hashlib.sha256(" ".join((platform.machine(), *platform.libc_ver(), *_OPTIONS)).encode())
    for source in sources():
        digest.update(source.read_bytes())
    folder = caches.root() / f"shim-{digest.hexdigest()[:16]}"
    caches.mark(folder)
    if not (folder / NAME).exists():
        _compile(folder)
    return folder / NAME


def _compile(folder):
    command = compiler()
    if command is None:
        raise StoreError("the shim can't be compiled: there is no C compiler (cc, gcc, clang, or CC); install one, or use another way: "
                         "capio doctor says which work here")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=folder, suffix=".so")
    except OSError as error:
        raise StoreError(f"the shim can't be kept in {folder}: {error.strerror}; set WRP_CACHE_DIR to a folder that you can write") from error
    os.close(handle)
    try:
        done = subprocess.run([command, *_OPTIONS, "-o", made, *map(str, (source for source in sources() if source.suffix == ".c")), *_LIBRARIES],
                              capture_output=True, text=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise StoreError(f"the shim can't be compiled with {command}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'it failed'}")
        os.chmod(made, 0o755)
        os.replace(made, folder / NAME)         # another process may compile at the same time: the last one stays
    finally:
        if os.path.exists(made):
            os.unlink(made)
