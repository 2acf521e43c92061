"""A token: a word in a segment that one thread of one process of the node holds at a time.

The word is 0 while the token is free, else (pid << 32 | thread id) of its holder. Linux gives every thread of the machine its
own id, so threads of one process exclude each other too. A second word counts the sleepers, so that giving a token nobody
waits for is two instructions.
"""
import ctypes
import os
import threading
import time
from functools import lru_cache, partial

from wrp.comm import atomics, forking
from wrp.comm.jit import direct, kernel
from wrp.comm.turn import nested
from wrp.errors import UsageError, WaitTimeout

NBYTES = 64
DEFAULT_TIMEOUT_S = 300.0
_WAITERS = 8
_SPINS = 200
_SLICE_US = 50_000              # a sleeper looks this often whether the holder lives and whether its deadline is over


@kernel
def token_take(address, holder):
    """Try to take the token for `holder`, spinning a bounded count: 0 when taken, else the word of who has it."""
    seen = atomics.swap(address, 0, holder)
    for _ in range(_SPINS):
        if seen == 0 or seen == holder:
            break
        atomics.pause()
        seen = atomics.load(address)
        if seen == 0:
            seen = atomics.swap(address, 0, holder)
    return seen


@kernel
def token_give(address):
    """Free the token and wake one sleeper, if there is one."""
    # the exchange is a full barrier: the count is read after the token is free, so no sleeper is overlooked
    atomics.exchange(address, 0)
    if atomics.load(address + _WAITERS) > 0:
        atomics.futex_wake(address, 1)


@kernel
def _token_sleep(address, seen):
    atomics.add(address + _WAITERS, 1)
    atomics.futex_wait(address, seen, _SLICE_US)
    atomics.add(address + _WAITERS, -1)


@kernel
def _token_leave(address, counted, _kind, _error, _trace):
    """What `__exit__` is called with, behind the token and a word that counts how often it was given back, or 0."""
    if counted != 0:
        atomics.store(counted, atomics.load(counted) + 1)
    token_give(address)


@lru_cache(maxsize=None)
def _directly():
    return direct(token_take, 2), direct(token_give, 1), direct(_token_leave, 2, unread=3)


class _Word(threading.local):
    def __init__(self):
        self.word = os.getpid() << 32 | threading.get_native_id()


class _Words:
    """The words of this process's threads. To ask the system for its two numbers each time takes longer than taking a token."""

    def __init__(self):
        self._begin()
        forking.listen(self._begin)         # here first: who listens, too, may ask for its word then

    def _begin(self):
        self.mine = _Word()


_words = _Words()


def this_thread():
    """The word of this thread as a holder of tokens."""
    return _words.mine.word


class DeadHolder(WaitTimeout):
    """The process that held the token died inside; what the token protects may be half changed."""


class Token:
    """The token at an address of zeroed memory (NBYTES bytes; zero is "free"). `what` it protects is for messages."""

    def __init__(self, address, what="the token"):
        self.address = address
        self.what = what
        self._take, self._give, self._leave = _directly()
        self._word = ctypes.c_int64.from_address(address)

    def acquire(self, what=None, timeout_s=DEFAULT_TIMEOUT_S):
        """Take the token. WaitTimeout after `timeout_s` or if its holder is dead, UsageError if this thread has it. On any error, also one that a handler of a signal raises, it isn't taken."""
        holder = this_thread()
        if self._word.value == holder:
            raise UsageError(nested(self.what))
        try:
            seen = self._take(self.address, holder)
            if seen:
                self._wait(what or self.what, holder, seen, timeout_s)
        except BaseException:
            self.let_go()
            raise

    def let_go(self):
        """Give the token back if this thread has it."""
        if self._word.value == this_thread():
            self._give(self.address)

    def leaving(self, counted=0):
        """The `__exit__` of a context manager that gives the token back; `counted`: the address of a word that is one more then, or 0.

        Not a function of Python: at the first step of one, where a handler of a signal may raise an error, the token would stay taken.
        """
        return partial(self._leave, self.address, counted)

    def release(self):
        """Give the token back; only its holder may."""
        self._give(self.address)

    def held(self, what=None, timeout_s=DEFAULT_TIMEOUT_S):
        """A context manager that holds the token inside its block; raises as `acquire` does."""
        return _Held(self, what, timeout_s)

    @property
    def is_own(self):
        """True when this thread holds the token."""
        return self._word.value == this_thread()

    @property
    def holder(self):
        """The pid of the process that holds the token, or 0."""
        return atomics.load(self.address) >> 32

    def _wait(self, what, holder, seen, timeout_s):
        started = time.monotonic()
        while seen:
            pid = seen >> 32
            if not is_alive(pid):
                self._refuse_dead(what, seen)
            waited = time.monotonic() - started
            if waited >= timeout_s:
                raise WaitTimeout(f"Waited {waited:.1f} s for {what}, which process {pid} of this node holds; look at what "
                                  "that process does, or allow more time.")
            _token_sleep(self.address, seen)
            seen = self._take(self.address, holder)

    def _refuse_dead(self, what, seen):
        # the holder may have given the token just before it ended
        if atomics.load(self.address) == seen:
            raise DeadHolder(f"Process {seen >> 32} died while it held {what}; what it was changing may be half done, so it "
                             "can't be used any more: end this job and open its data again.")


class _Held:
    # a class, because contextlib's generator costs more than taking the token
    __slots__ = ("_token", "_what", "_timeout_s", "__exit__")

    def __init__(self, token, what, timeout_s):
        self._token, self._what, self._timeout_s = token, what, timeout_s
        self.__exit__ = token.leaving()

    def __enter__(self):
        self._token.acquire(self._what, self._timeout_s)
        return self._token


def is_alive(pid):
    """False if process `pid` of this machine is gone, or has ended and only its parent doesn't know yet."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return _answers(pid)


def _answers(pid):
    # without /proc, or where it hides the processes of others
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
