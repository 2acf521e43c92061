"""Commands that end with the process that started them, however it ends: a test run that is killed leaves no daemon behind.

    python bound.py PARENT COMMAND...

Becomes the command, with the same pid, after asking the kernel for SIGTERM at the end of the thread that started it.
"""

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1        # of prctl


def bound(argv):
    """The command line that runs `argv` and ends with this process. Start it in the main thread: the kernel means the thread."""
    return [sys.executable, "-IS", __file__, str(os.getpid()), *map(str, argv)]


def main():
    parent, argv = int(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0):
        sys.exit(f"bound: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:          # it ended before
        sys.exit(128 + signal.SIGTERM)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.exit(f"{argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
