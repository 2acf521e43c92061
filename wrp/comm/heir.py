"""Taking a token that its holder may have died with, for those who can mend what it protects, or needn't. The token is lock.py's."""

from contextlib import contextmanager

from wrp.comm import atomics
from wrp.comm.lock import DEFAULT_TIMEOUT_S, DeadHolder, is_alive, this_thread


@contextmanager
def inherited(token, timeout_s=DEFAULT_TIMEOUT_S):
    """Hold a Token; what `with` names is True where its last holder died inside. One heir alone is told so. Raises as `acquire` does, but for the dead."""
    died = _take(token, timeout_s)
    try:
        yield died
    finally:
        token.release()


def _take(token, timeout_s):
    while True:
        try:
            token.acquire(timeout_s=timeout_s)
            return False
        except DeadHolder:
            # another heir may have been quicker: from one who lives nothing is taken
            seen = atomics.load(token.address)
            if seen and not is_alive(seen >> 32) and atomics.swap(token.address, seen, this_thread()) == seen:
                return True
