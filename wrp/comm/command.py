"""What the commands share: standard output that is written whole, or one sentence why it wasn't."""

import sys
from contextlib import contextmanager

from wrp.comm.ranks.ending import discard
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
        discard(sys.stdout)
        raise WrpError("standard output was closed by its reader before all was written") from None
    except OSError as error:
        discard(sys.stdout)
        raise WrpError(f"standard output can't be written: {error.strerror or error}") from error
