"""What the system refuses, told from what a handler of a signal raises in the middle of a call: an alarm's TimeoutError is an OSError, too, and so are some errors of wrp."""


def is_refusal(error):
    """True for an OSError that a call of the system has ended with: it has a number."""
    return isinstance(error, OSError) and error.errno is not None


def is_handlers(error):
    """True for an OSError that has none."""
    return isinstance(error, OSError) and error.errno is None


class tolerant:
    """`with tolerant():` what the system refuses inside ends the block and is forgotten; what a handler raises is not, unlike with suppress(OSError)."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return is_refusal(error)
