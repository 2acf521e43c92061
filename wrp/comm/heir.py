"""Taking a token that its holder may have died with, for those who can mend what it protects, or needn't. The token is lock.py's."""

from wrp.comm import atomics
from wrp.comm.lock import DEFAULT_TIMEOUT_S, DeadHolder, is_alive, this_thread


def inherited(token, timeout_s=DEFAULT_TIMEOUT_S):
    """Hold a Token; what `with` names is True where its last holder died inside. One heir alone is told so. Raises as `acquire` does, but for the dead."""
    return _Inherited(token, timeout_s)


class _Inherited:
    # a class, for the sake of its `__exit__`: see Token.leaving
    __slots__ = ("_token", "_timeout_s", "__exit__")

    def __init__(self, token, timeout_s):
        self._token, self._timeout_s = token, timeout_s
        self.__exit__ = token.leaving()

    def __enter__(self):
        while True:
            try:
                self._token.acquire(timeout_s=self._timeout_s)
                return False
            except DeadHolder:
                if self._is_heir():
                    return True

    def _is_heir(self):
        # another one may have been quicker: from one who lives nothing is taken
        address = self._token.address
        seen = atomics.load(address)
        try:
            return seen != 0 and not is_alive(seen >> 32) and atomics.swap(address, seen, this_thread()) == seen
        except BaseException:
            self._token.let_go()
            raise
