"""What the commands share: standard output that is written whole, or one sentence why it wasn't."""

import os
import sys
from contextlib import contextmanager

from wrp.errors import WrpError


def say(text):
    """Print the text on standard output, at once. WrpError when it can't be written."""
    with speaking():
        # what the terminal's encoding doesn't have is shown escaped
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


@contextmanager
def speaking():
    """An OSError of the block, which writes standard output, becomes a WrpError; what Python still holds of it is dropped."""
    if sys.stdout is None:
        raise WrpError("standard output is closed: nothing can be printed; send it somewhere")
    try:
        yield
        sys.stdout.flush()
    except WrpError:            # some are an OSError too
        raise
    except BrokenPipeError:
        _drop()
        raise WrpError("standard output was closed by its reader before all was written") from None
    except OSError as error:
        _drop()
        raise WrpError(f"standard output can't be written: {error.strerror or error}") from error


def _drop():
    """What is left in Python's buffer goes nowhere: else its end would fail once more."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
