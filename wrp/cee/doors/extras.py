"""What a door says whose package isn't installed."""

import sys
from contextlib import contextmanager


@contextmanager
def wanting(extra):
    """An import in the block that fails says how to install the extra."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{error}: install it with {sys.executable} -m pip install 'wrp[{extra}]'", name=error.name) from None
