"""Standard output and error of a process whose reader may be gone."""

import os
import sys


def flush():
    """Write out what print() still holds."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            discard(stream)     # closed, or its reader is gone: nobody is left to tell


def discard(stream):
    """What Python still holds for this stream goes nowhere: at its end it would try again, and end with code 120. Local."""
    try:
        target = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return                  # not a file
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, target)
    os.close(null)
