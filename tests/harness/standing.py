"""A process that stands still: a signal stops its first thread, and the others when that one gets a core. STANDING: the same for programs of tests that are texts."""

import inspect
import os
import signal
import time


def stands(pid):
    """True when all its threads are stopped."""
    try:
        stats = [open(f"/proc/{pid}/task/{thread}/stat").read() for thread in os.listdir(f"/proc/{pid}/task")]
    except OSError:                 # a thread has ended meanwhile
        return False
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def stop(*pids):
    """Stop all threads of processes, and know that they are."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + 20
    while not all(map(stands, pids)):
        assert time.monotonic() < until, f"processes {pids} don't stop"
        time.sleep(0.001)


STANDING = "\n".join(["import os, signal, time", inspect.getsource(stands), inspect.getsource(stop)])
