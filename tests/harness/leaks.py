"""What a test may leave behind by mistake: threads, descriptors, child processes, names in shared memory."""

import gc
import os
import threading
import time
from pathlib import Path

from wrp.comm import names, passing
from wrp.comm.ranks.launcher import launcher

_GRACE_S = 3.0


def snapshot(with_descriptors=True):
    """Dictionary of sets: what this process holds now."""
    found = {"threads": _threads(), "child processes": _children(), "names in shared memory": _names()}
    if with_descriptors:
        found["file descriptors"] = _descriptors()
    return found


def leaks(before, grace_s=_GRACE_S):
    """Sentences for what is there now and wasn't before; waits a short grace for things that are on their way out."""
    deadline = time.monotonic() + grace_s
    extra = _extra(before)
    if extra:
        gc.collect()
    while extra and time.monotonic() < deadline:
        time.sleep(0.02)
        extra = _extra(before)
    return extra


def _extra(before):
    now = snapshot("file descriptors" in before)
    return [f"{what} left behind: {', '.join(map(str, sorted(now[what] - before[what], key=str)))}"
            for what in before if now[what] - before[what]]


def _threads():
    return {f"{thread.name} ({thread.native_id})" for thread in threading.enumerate()
            if not thread.name.startswith(("pytest_timeout", "watchdog"))}


def _descriptors():
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue            # the one that listed the folder
        if target not in ("/dev/null", "/dev/urandom"):
            found.add(f"{number} -> {target}")
    return found


def _children():
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            pids = (task / "children").read_text().split()
        except OSError:
            continue            # the thread ended, or the kernel doesn't tell
        found.update(pid for pid in pids if "resource_tracker" not in _command(pid))
    return found


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _names():
    """Files in this session's folder of shared memory."""
    return {str(path) for path in _folder().rglob("*") if not path.is_dir()} if _folder().exists() else set()


def _folder():
    return Path(os.environ.get("WRP_SHM_DIR", "/dev/shm/wrp"))


def own_folder():
    """Give this session, all ranks of it, a folder of shared memory of its own: others may be at work on this machine.

    It lasts as long as the session; what killed sessions have left goes away.
    """
    for path in passing.left():
        if ".test-" in path:
            passing.remove(path)
    session = os.getppid() if launcher() is not None else os.getpid()       # ranks have one parent
    folder = passing.PassingFolder(f"test-{session}", "/dev/shm" if Path("/dev/shm").is_dir() else None)
    os.environ["WRP_SHM_DIR"] = os.path.join(folder.path, "names")          # programs may lock it
    names.folder()
    return folder
