"""Locks among the threads of this process with which no thread waits for itself, and what a thread keeps for its next call.

Python calls a handler of a signal between any two steps of the main thread, so also in the middle of a call of the library; what
the handler calls must neither wait for the call that it has interrupted nor touch what that has in hand.
"""
import _thread
import threading

from wrp.errors import UsageError


class Turn(_thread.RLock):
    """A lock: ``with turn.of("the journal"):``. Its taking is one step, so that no handler's error leaves it taken."""

    def of(self, what):
        """Itself, for `with`. UsageError if this thread has it: a handler of a signal came in the middle."""
        if self._is_owned():
            raise UsageError(nested(what))
        return self


def nested(what):
    """The sentence for a thread that would wait for itself."""
    return (f"This thread is in the middle of a call that has {what} already, and would wait for itself. In a handler of a signal, set a flag "
            "and let the program make the call.")


class Spares(threading.local):
    """Things that a call has to itself, such as a buffer, kept for the next call of the same thread; `make()` makes one.

    A call that comes in the middle of another one finds others. What isn't given back is forgotten.
    """

    def __init__(self, make):
        self._make, self._free = make, []

    def take(self):
        try:
            return self._free.pop()
        except IndexError:
            return self._make()

    def give(self, thing):
        self._free.append(thing)
