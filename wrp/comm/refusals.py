"""What the system refuses, told from what a handler of a signal raises in the middle of a call: an alarm's TimeoutError is an OSError, too, and so are some errors of wrp."""

import sys

_OWN = {"wrp", *sys.stdlib_module_names}


def is_refusal(error):
    """True for an OSError that a call of the system has ended with: it has a number."""
    return isinstance(error, OSError) and error.errno is not None


def is_handlers(error):
    """True for an OSError that has none."""
    return isinstance(error, OSError) and error.errno is None


def let_out(error):
    """Raise an error of wrp again that a handler of a signal has raised, by itself or by what it called: on its way here it has come through what isn't wrp's.

    For who takes such an error for a refusal, in an `except`.
    """
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] not in _OWN:
            raise error
        trace = trace.tb_next


class tolerant:
    """`with tolerant():` what the system refuses inside ends the block and is forgotten; what a handler raises is not, unlike with suppress(OSError)."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return is_refusal(error)
