"""doctor: what of MPI, shared memory, limits and caches is wrong on this node, and the removal of what dead daemons left."""

import os
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from wrp.comm import jit, memory, names, passing, reserve
from wrp.comm.ranks.launcher import launcher, without_launcher
from wrp.comm.sizes import format_size
from wrp.errors import WrpError
from wrp.runtime.commands.output import show
from wrp.runtime.daemon import leftovers

_MPI_S = 60
_LEAST_SHARED = 256 << 20
_LEAST_FILES = 256


class Finding(NamedTuple):
    """`ok`: nothing has to be done."""

    topic: str
    ok: bool
    text: str


def doctor(args):
    """Print all findings; the exit code is 1 when something is wrong. Local."""
    findings = [*_mpi(), *_shared_memory(), *_leftovers(args.clean), *_limits(), *_caches()]
    lines = [f"{'ok   ' if found.ok else 'WRONG'} {found.topic}: {found.text}" for found in findings]
    show([found._asdict() for found in findings], lines, args.json)
    return 0 if all(found.ok for found in findings) else 1


def _mpi():
    code = "from mpi4py import MPI; print(MPI.Get_library_version().split(chr(10))[0].split(chr(0))[0])"
    try:
        done = subprocess.run([sys.executable, "-c", code], env=without_launcher(os.environ), capture_output=True, text=True, timeout=_MPI_S)
        text = done.stdout.strip() if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        yield Finding("MPI", done.returncode == 0, text if done.returncode == 0 else f"can't be loaded ({text}): install wrp with its MPI extra")
    except subprocess.TimeoutExpired:
        yield Finding("MPI", False, f"doesn't start within {_MPI_S} s: look at its settings")
    beside = Path(sys.executable).parent / "mpirun"
    found = str(beside) if beside.exists() else shutil.which("mpirun") or shutil.which("srun")
    yield Finding("launcher", bool(found), found or "no mpirun or srun on PATH: jobs of several ranks can't be started")
    inside = launcher()
    if inside is not None:
        yield Finding("job", True, f"started by {inside.kind} as rank {inside.rank} of {inside.size or 'an unknown number'}")


def _shared_memory():
    free = reserve.free_bytes()
    if free is None:
        yield Finding("shared memory", False, "there is no /dev/shm: jobs of several ranks can't share memory")
    else:
        ok = free >= _LEAST_SHARED
        yield Finding("shared memory", ok, f"{format_size(free)} free in /dev/shm" + ("" if ok else ": remove what other programs left there"))
    available = memory.available()
    if available is not None:
        yield Finding("memory", available >= _LEAST_SHARED, f"{format_size(available)} available")
    try:
        yield Finding("folder", True, names.folder())
    except WrpError as error:
        yield Finding("folder", False, str(error))


def _leftovers(clean):
    try:
        found = leftovers.find()
    except WrpError:
        return                          # the folder can't be used: said above
    for left in found:
        if left.pid:
            yield Finding("segment", True, f"{left.name}: in use by process {left.pid}")
        elif clean and leftovers.remove(left):
            yield Finding("leftover", True, f"{left.name}: removed, {format_size(left.nbytes)}")
        else:
            yield _left(left.name, left.nbytes)
    for path in passing.left():
        nbytes = _nbytes(Path(path))
        yield Finding("leftover", True, f"{path}: removed, {format_size(nbytes)}") if clean and passing.remove(path) else _left(path, nbytes)


def _left(name, nbytes):
    return Finding("leftover", False, f"{name}: {format_size(nbytes)} of a process that has ended; 'wrp-runtime doctor --clean' removes it")


def _limits():
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    ok = files == resource.RLIM_INFINITY or files >= _LEAST_FILES
    yield Finding("open files", ok, _limit(files) + ("" if ok else f": raise it to {_LEAST_FILES} (ulimit -n)"))
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    ok = space == resource.RLIM_INFINITY
    yield Finding("address space", ok, _limit(space) + ("" if ok else ": segments need more than they use, lift the limit (ulimit -v unlimited)"))


def _limit(value):
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def _caches():
    folder = jit.lasting_root()
    why = jit.trouble(folder)
    yield Finding("compiled kernels", not why, f"{folder} can't be used ({why}): every job compiles anew; set WRP_CACHE_DIR to a folder that you can write" if why else f"{folder}: {format_size(_nbytes(folder))}")


def _nbytes(folder):
    """Of its files; those that somebody removes meanwhile don't count."""
    found = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            found += path.stat().st_blocks * 512
    return found
