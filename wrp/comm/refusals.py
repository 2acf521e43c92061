"""What the system refuses, told from what a handler of a signal raises in the middle of a call: an alarm's TimeoutError is an OSError, too, and so are some errors of wrp."""

import sys
from types import FrameType

_OWN = {"wrp", *sys.stdlib_module_names}


def is_refusal(error):
    """True for an OSError that a call of the system has ended with: it has a number."""
    return isinstance(error, OSError) and error.errno is not None


def is_handlers(error):
    """True for an OSError that has none."""
    return isinstance(error, OSError) and error.errno is None


def let_out(error):
    """Raise an error of wrp again that a handler of a signal has raised, by itself or by what it called: on its way here it has come through that handler.

    For who takes such an error for a refusal, in an `except`. One that comes through other code of a user, as a class of his in front of a store's, is one.
    """
    trace = error.__traceback__
    while trace is not None:
        if _is_of_handler(trace.tb_frame):
            try:
                raise error
            finally:
                del error, trace        # else they keep each other, and all that is in the frames
        trace = trace.tb_next


def _is_of_handler(frame):
    """True for a function that isn't wrp's and has been given a frame, as Python gives one to handlers."""
    if frame.f_globals.get("__name__", "").partition(".")[0] in _OWN:
        return False
    return any(isinstance(each, FrameType) for value in frame.f_locals.values() for each in (value if type(value) is tuple else (value,)))


class tolerant:
    """`with tolerant():` what the system refuses inside ends the block and is forgotten; what a handler raises is not, unlike with suppress(OSError)."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return is_refusal(error)
