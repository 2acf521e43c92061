"""What a test may leave behind by mistake: threads, descriptors, child processes, names in shared memory."""

import gc
import os
import threading
import time
from pathlib import Path

_GRACE_S = 3.0
_SHARED = Path("/dev/shm")


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
    now["names in shared memory"] = {name for name in now["names in shared memory"] - before["names in shared memory"]
                                     if not _used_elsewhere(name)}
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
    """Files of ours under names that begin with wrp."""
    found = set()
    for top in _SHARED.glob("wrp*"):
        for path in (top, *top.rglob("*")):
            try:
                if path.is_file() and path.stat().st_uid == os.getuid():
                    found.add(str(path))
            except OSError:
                continue        # removed in between
    return found


def _used_elsewhere(name):
    """Another test session of this user may be at work: what a living process maps or made is its own."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if name in (entry / "maps").read_text():
                    return True
            except OSError:
                continue        # ended, or not ours
    return False
