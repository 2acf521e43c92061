"""What a door says whose package isn't installed."""

from contextlib import contextmanager

from wrp.comm import installing


@contextmanager
def wanting(extra):
    """An import in the block that fails says how to install the extra."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{error}: install it with {installing.extra(extra)}", name=error.name) from None
