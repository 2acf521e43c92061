"""An error raised in the middle of a call, as a handler of a signal (Ctrl-C, an alarm) may: at a step that is counted, not at a time."""
import itertools
import sys


class Interrupted(BaseException):
    """What is raised."""


def interrupted_at(step, work):
    """Call `work()`, and raise Interrupted at its step of this number, from 1; False when it has fewer.

    Steps are where Python calls handlers of signals: where a function of its own begins, and where one of C has ended.
    """
    left, before = itertools.count(step - 1, -1), sys.getprofile()

    def look(_frame, event, _):
        if event in ("call", "c_return") and not next(left):
            sys.setprofile(before)
            raise Interrupted
    sys.setprofile(look)
    try:
        work()
    except Interrupted:
        return True
    finally:
        sys.setprofile(before)
    return False
