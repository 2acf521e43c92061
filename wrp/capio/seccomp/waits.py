"""Held calls that wait, at most one of each thread. One that a signal interrupts waits on when it is made anew; one that isn't made anew is given up.

Answers no question itself: it is told what each call waits for, and asks the server for it.
"""

import threading
from contextlib import contextmanager
from dataclasses import dataclass

from wrp.capio.client import Client
from wrp.capio.seccomp import kernel

_LOOK_S = 1.0                   # how often it is looked whether a call still waits


class Left(Exception):
    """Nobody waits any more."""


@dataclass(eq=False, slots=True)
class Wait:
    """A call that waits: the Notice of it, another one whenever it is made anew, and what is asked for it, in words too; `client`: which asks now;
    `process`: of the thread, once somebody has asked."""

    notice: kernel.Notice
    asked: object
    words: str
    client: Client | None = None
    process: int = 0
    is_left: bool = False


class Waits:
    """The waits of one listener, by thread: it makes one call at a time."""

    def __init__(self, listener):
        self._listener, self._of, self._lock = listener, {}, threading.Lock()

    def take_up(self, notice, asked):
        """The wait that begins with this call, None where an earlier one goes on, as the call was interrupted and made anew. What else its thread waited for
        is given up. `asked` that is empty waits for nothing: None too."""
        with self._lock:
            before = self._of.get(notice.thread)
            if before is None and not asked:
                kernel.answer(self._listener, notice)
                return None
            words = f"{notice.what} {notice.arguments} {asked}"
            if before is not None and before.words == words:
                before.notice = notice
                return None
            if before is not None:
                self._leave(before)
            if not asked:
                kernel.answer(self._listener, notice)
                return None
            wait = self._of[notice.thread] = Wait(notice, asked, words)
            return wait

    def ask(self, wait, client, request):
        """The server's Reply. Left, RuntimeGone."""
        with self._lock:
            if wait.is_left:
                raise Left
            wait.client = client
        try:
            client.tell(request)
            while not client.is_ready(_LOOK_S):
                self.look(wait)
            return client.answer()
        finally:
            with self._lock:
                wait.client = None
            if wait.is_left:            # the connection may have been hung up
                raise Left

    def look(self, wait):
        """Left when the call isn't held any more."""
        with self._lock:
            if not wait.is_left and not kernel.is_held(self._listener, wait.notice):
                self._leave(wait)
            if wait.is_left:
                raise Left

    @contextmanager
    def answering(self, wait):
        """The Notice to answer, which is no other one meanwhile; the wait is over with it, unless that raises."""
        with self._lock:
            yield wait.notice
            self._forget(wait)

    def _leave(self, wait):
        wait.is_left = True
        self._forget(wait)
        if wait.client is not None:
            wait.client.hang_up()       # which ends the wait at the server, before the thread can ask for anything else

    def _forget(self, wait):
        if self._of.get(wait.notice.thread) is wait:
            del self._of[wait.notice.thread]
