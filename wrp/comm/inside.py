"""Who is in the middle of a call of the library: memory stays mapped while a thread may still look at it. Whoever closes refuses new calls first.

A thread whose name begins with `wrp-` is one of the library's own: who made it has ended it before the memory goes.
"""
import os
import sys
import threading
import time
from types import MethodType

_TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NAP_S = 0.001
_PATIENCE_S = 3.0           # what has closed refuses each next step of a call, so that most end at once


def wait_out(segment, patience_s=_PATIENCE_S):
    """Wait until no other thread of this process is in a call that may look at `segment`; False if one still is after `patience_s`. Local."""
    deadline = time.monotonic() + patience_s
    while _is_looked_at(segment):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_NAP_S)
    return True


def _is_looked_at(segment):
    own = {thread.ident for thread in threading.enumerate() if thread.name.startswith("wrp-")} | {threading.get_ident()}
    return any(_leads(_in_hand(frame), segment) for ident, frame in sys._current_frames().items() if ident not in own)


def _in_hand(frame):
    """What the calls of the library on a thread's stack have in their variables."""
    found = []
    while frame is not None:
        if frame.f_code.co_filename.startswith(_TOP):
            found += frame.f_locals.values()
        frame = frame.f_back
    return found


def _leads(things, wanted):
    """True if one of the things is `wanted`, or has it as an attribute of an attribute of ... it: whoever has an address has its owner, too."""
    left, seen = list(things), set()
    while left:
        thing = left.pop()
        if isinstance(thing, MethodType):
            thing = thing.__self__
        if thing is wanted:
            return True
        if type(thing).__module__.startswith("wrp.") and id(thing) not in seen:
            seen.add(id(thing))
            left += vars(thing).values() if type(thing).__dictoffset__ else ()
    return False
