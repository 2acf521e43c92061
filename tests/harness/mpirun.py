"""mpirun from within a test: start a job, wait with a deadline, leave nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import wrp
from harness.bound import bound
from wrp.comm.ranks.launcher import without_launcher

_SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",                           # Open MPI 4
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",          # Open MPI 5
    "PRTE_MCA_hwloc_default_binding_policy": "none",
}
_KILL_AFTER_S = 3


def find_mpirun():
    """Path of the clone's bin/mpirun where this is the Python of its .venv, else of the mpirun beside this Python or on PATH, else None."""
    beside, wrapped = Path(sys.executable).parent / "mpirun", Path(wrp.__file__).parent.parent / "bin" / "mpirun"
    if beside.exists():
        return str(wrapped if beside.parent == wrapped.parent.parent / ".venv" / "bin" else beside)
    return shutil.which("mpirun")


needs_mpirun = pytest.mark.skipif(find_mpirun() is None, reason="no mpirun beside this Python or on PATH")


def mpirun(n, argv, timeout_s=60, env=None):
    """Run `argv` on n ranks; CompletedProcess with text stdout and stderr. `env` is added to this environment.

    Raises subprocess.TimeoutExpired with what was printed so far, after ending every process of the job.
    """
    command = [find_mpirun(), "-n", str(n), *map(str, argv)]
    process = subprocess.Popen(bound(command), env=job_environment(env), text=True, errors="replace", start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as late:
        late.stdout, late.stderr = _end(process)
        print(late.stdout, late.stderr, sep="\n")
        raise
    finally:
        _kill_session(process.pid)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def run_python(code, n, timeout_s=60, env=None):
    """Run a text of Python on n ranks, see `mpirun`."""
    return mpirun(n, [sys.executable, "-c", code], timeout_s, env)


def job_environment(env=None):
    """Environment of a job: this one less an outer launcher's variables, with wrp importable."""
    found = {**without_launcher(os.environ), **_SETTINGS, **(env or {})}
    root = str(Path(wrp.__file__).parent.parent)
    found["PYTHONPATH"] = os.pathsep.join(filter(None, (root, found.get("PYTHONPATH"))))
    return found


def _end(process):
    """mpirun ends its ranks itself where it can; returns what was printed."""
    process.terminate()
    try:
        return process.communicate(timeout=_KILL_AFTER_S)
    except subprocess.TimeoutExpired:
        _kill_session(process.pid)
        process.kill()
        return process.communicate(timeout=_KILL_AFTER_S)


def _kill_session(session):
    """Ranks have process groups of their own, but all are in the session that mpirun leads."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _session_of(entry) == session:
            try:
                os.kill(int(entry.name), signal.SIGKILL)
            except ProcessLookupError:
                continue        # ended by itself in between


def _session_of(entry):
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, IndexError, ValueError):
        return None             # ended in between
