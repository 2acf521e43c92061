"""Commands that end with the process that started them, however it ends: a test run that is killed leaves no daemon behind.

    python bound.py PARENT COMMAND...
    python bound.py until PID COMMAND...

The first becomes the command, with the same pid, after asking the kernel for SIGTERM at the end of the thread that started it. The
second stays as the command's parent and sends it SIGTERM when process PID ends: for commands whose parent is gone early, as a shell's `&`.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

_SET_PARENT_DEATH_SIGNAL = 1        # of prctl


def bound(argv):
    """The command line that runs `argv` and ends with this process. Start it in the main thread: the kernel means the thread."""
    return [sys.executable, "-IS", __file__, str(os.getpid()), *map(str, argv)]


def bound_from_afar(argv):
    """The command line that runs `argv` and ends with this process, whoever starts it."""
    return [sys.executable, "-IS", __file__, "until", str(os.getpid()), *map(str, argv)]


def main():
    if sys.argv[1] == "until":
        return _until(int(sys.argv[2]), sys.argv[3:])
    parent, argv = int(sys.argv[1]), sys.argv[2:]
    _end_with_parent(parent)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.exit(f"{argv[0]}: {error.strerror}")


def _end_with_parent(parent):
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0):
        sys.exit(f"bound: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:          # it ended before
        sys.exit(128 + signal.SIGTERM)


def _until(pid, argv):
    """Run the command until it or process `pid` ends: its exit code. A signal to end goes on to it; killed, this takes it along."""
    watched, me = os.pidfd_open(pid), os.getpid()
    passed_on = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)        # one that comes before the handlers are there waits for them

    def begin():
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _end_with_parent(me)

    child = subprocess.Popen(argv, preexec_fn=begin)
    for number in passed_on:
        signal.signal(number, lambda number, _: child.send_signal(number))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    ending = select.poll()
    for descriptor in (watched, os.pidfd_open(child.pid)):
        ending.register(descriptor, select.POLLIN)
    if watched in dict(ending.poll()):
        child.terminate()
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
