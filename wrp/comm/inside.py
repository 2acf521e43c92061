"""Who is in the middle of a call of the library: memory stays mapped while a thread may still look at it. Whoever closes refuses new calls first.

A thread whose name begins with `wrp-` is one of the library's own: who made it has ended it before the memory goes.
"""
import os
import sys
import threading
import time

_TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NAP_S = 0.001
_PATIENCE_S = 3.0           # what has closed refuses each next step of a call, so that most end at once


def wait_out(patience_s=_PATIENCE_S):
    """Wait until no other thread of this process is in a call of the library; False if one still is after `patience_s`. Local."""
    deadline = time.monotonic() + patience_s
    while _others():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_NAP_S)
    return True


def _others():
    """True if another thread has a frame of the library on its stack."""
    own = {thread.ident for thread in threading.enumerate() if thread.name.startswith("wrp-")} | {threading.get_ident()}
    return any(ident not in own and _is_inside(frame) for ident, frame in sys._current_frames().items())


def _is_inside(frame):
    while frame is not None:
        if frame.f_code.co_filename.startswith(_TOP):
            return True
        frame = frame.f_back
    return False
