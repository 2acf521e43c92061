"""An error raised in the middle of a call, as a handler of a signal (Ctrl-C, an alarm) may: at a step that is counted, not at a time."""
import itertools
import sys


class Interrupted(BaseException):
    """What is raised."""


def interrupted_at(step, work):
    """Call `work()`, and raise Interrupted at its step of this number, from 1; False when it has fewer.

    Steps are where Python calls handlers of signals: where a function of its own begins, and where one of C has ended. What is raised where Python
    drops errors (in a generator that goes) has happened, too.
    """
    left, before, dropped = itertools.count(step - 1, -1), sys.getprofile(), sys.unraisablehook
    is_raised = False

    def look(_frame, event, _):
        nonlocal is_raised
        if event in ("call", "c_return") and not next(left):
            sys.setprofile(before)
            is_raised = True
            raise Interrupted
    sys.unraisablehook = lambda found: None if found.exc_type is Interrupted else dropped(found)
    sys.setprofile(look)
    try:
        work()
    except Interrupted:
        pass
    finally:
        sys.setprofile(before)
        sys.unraisablehook = dropped
    return is_raised
