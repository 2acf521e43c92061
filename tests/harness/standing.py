"""A process that stands still, for programs of tests that are texts."""

STANDING = """
import os, signal, time
def stands(pid):     # all its threads are stopped
    try:
        stats = [open(f"/proc/{pid}/task/{thread}/stat").read() for thread in os.listdir(f"/proc/{pid}/task")]
    except OSError:                 # a thread has ended meanwhile
        return False
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    while not stands(pid):
        time.sleep(0.001)
"""
