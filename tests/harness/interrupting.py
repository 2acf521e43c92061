"""An error raised in the middle of a call, as a handler of a signal (Ctrl-C, an alarm) may: at a step that is counted, not at a time."""
import dis
import itertools
import sys
import types


class Interrupted(BaseException):
    """What is raised."""


def interrupted_at(step, work, error=Interrupted, dropped=None):
    """Call `work()`, and raise Interrupted at its step of this number, from 1; False when it has fewer.

    Steps are where Python calls handlers of signals: where a function of its own begins, and where one of C has ended. What is raised where Python
    drops errors (in a generator that goes) has happened, too.
    error : what is raised, of that kind
    dropped : a list that gets what Python has dropped
    """
    left, before = itertools.count(step - 1, -1), sys.getprofile()

    def look(frame, event, _):
        # a frame on its own is what Numba shows of a kernel: no handler is called there, and an error of a profiler spoils its memory
        if (event == "c_return" or event == "call" and frame.f_back is not None) and not next(left):
            sys.setprofile(before)
            raised.append(step)
            raise error
    raised = []
    return _interrupted(work, raised, sys.setprofile, look, before, dropped)


def interrupted_behind_any_call(step, work, within="", error=Interrupted):
    """The same, with the steps of `interrupted_at` and those behind compiled kernels and at the end of each turn of a loop, which cost more to find.

    within : only steps of modules whose file has this in its name count
    """
    left, before, lasts = itertools.count(step - 1, -1), sys.gettrace(), {}

    def hit():
        if next(left):
            return
        sys.settrace(before)
        lasts.clear()               # what the frames hold goes with the error
        raised.append(step)
        raise error

    def look_inside(frame, event, _):
        if event == "opcode":
            last, now = lasts.get(frame), frame.f_lasti
            lasts[frame] = now
            if last is not None and (_calls(frame.f_code).get(last) or now < last):
                hit()
        elif event == "return":
            lasts.pop(frame, None)
            if frame.f_back in lasts and not _is_starred(frame.f_back):
                lasts[frame.f_back] = None          # what was called there is one of Python's own: no handler comes behind it
        return look_inside

    def look(frame, event, _):
        if within not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        hit()
        return look_inside
    raised = []
    return _interrupted(work, raised, sys.settrace, look, before)


_known = {}


def _is_starred(frame):
    """True in the middle of a call such as f(*x), behind which Python before 3.12 calls handlers whatever f is."""
    return frame.f_code.co_code[frame.f_lasti] == dis.opmap["CALL_FUNCTION_EX"] and sys.version_info < (3, 12)


def _calls(code: types.CodeType):
    """{offset: True} of the instructions of a function that call something."""
    if code not in _known:
        _known[code] = {each.offset: True for each in dis.get_instructions(code) if each.opname.startswith("CALL")}
    return _known[code]


def _interrupted(work, raised, watch, look, before, dropped=None):
    dropped, hook = [] if dropped is None else dropped, sys.unraisablehook
    sys.unraisablehook = lambda found: (dropped.append(found.exc_type) if issubclass(found.exc_type, Interrupted) else hook(found))
    watch(look)
    try:
        work()
    except Interrupted:
        pass
    finally:
        watch(before)
        sys.unraisablehook = hook
    return bool(raised)
