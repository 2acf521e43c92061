"""Processes as words: a pid with the moment its process began, so that a pid that is used again isn't taken for the old one."""

import os

_PID_BITS = 22                  # Linux: pids end below 4 Mi
_MASK = (1 << _PID_BITS) - 1
_STARTED = 22                   # field of /proc/PID/stat, counted from 1; the state is field 3


def identity(pid=None):
    """One positive word for a living process (this one by default); 0 when there is none of that pid.

    The pid in its low 22 bits, the clock ticks from the machine's start to the process's above them.
    """
    fields = _fields(os.getpid() if pid is None else pid)
    if fields is None or fields[0] in (b"Z", b"X"):
        return 0
    return int(fields[_STARTED - 3]) << _PID_BITS | (os.getpid() if pid is None else pid)


def pid_of(word):
    """The pid in an identity."""
    return word & _MASK


def lives(word):
    """True while the process of this identity runs."""
    return word != 0 and identity(pid_of(word)) == word


def namespace():
    """The pid namespace of this process as a word: a pid means nothing in another one."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:             # no /proc: all pids are of one namespace then
        return 0


def _fields(pid):
    """Fields of /proc/PID/stat from the state on, or None."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
