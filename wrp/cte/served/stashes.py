"""Stashes: what is too long for one piece of memory, and travels in several, and batches: kept by the daemon until they are complete, or who they are for has gone."""

import logging
import secrets
import threading
from contextlib import contextmanager
from itertools import count

from wrp.errors import StoreError
from wrp.runtime.daemon import processes

_log = logging.getLogger("wrp.runtime")


class Stash:
    """`view`: the bytes; `owner`: identity of the attached process; `whole`: the Reservation that they fill, or a Batch, which has none."""

    def __init__(self, owner, view, whole=None):
        self.owner, self.view, self.whole = owner, view, whole
        self._users, self.is_gone, self._change = 0, False, threading.Condition()

    @contextmanager
    def used(self):
        """Nobody gives back what it has within the block. StoreError where somebody has."""
        with self._change:
            _there(self)
            self._users += 1
        try:
            yield self
        finally:
            with self._change:
                self._users -= 1
                self._change.notify_all()

    def rest(self, timeout_s):
        """True once nobody uses it, and never again: its process may have been ended, or interrupted, while a thread here does what that asked. False where one
        still does at the end of the time."""
        with self._change:
            self.is_gone = True
            return self._change.wait_for(lambda: not self._users, timeout_s)

    def abandon(self):
        """What it has is free, nobody uses it any more: see `rest`."""
        if self.whole is not None:
            self.whole.abandon()
        self.view = self.whole = None


class Stashes:
    """Those of a rank, by number. Any thread."""

    def __init__(self):
        self._kept, self._numbers = {}, count(1 + secrets.randbits(60))        # no number of the daemon before

    def __len__(self):
        return len(self._kept)

    def keep(self, stash):
        """Its number."""
        number = next(self._numbers)
        self._kept[number] = stash
        return number

    def put_back(self, number, stash):
        """One that was taken is kept under its number again."""
        self._kept[number] = stash

    def of(self, number):
        """The Stash of a number. StoreError, also of one that is to go."""
        return _there(self._kept.get(number))

    def take(self, number):
        """The same, which isn't kept any more."""
        _there(self._kept.get(number))
        return _there(self.pop(number))

    def pop(self, number):
        """The Stash of a number, which isn't kept any more; None where it isn't kept."""
        return self._kept.pop(number, None)

    def sweep(self):
        """Let go of those that are to go, or whose owners have died."""
        for number, stash in list(self._kept.items()):
            if stash.is_gone or not processes.lives(stash.owner):
                self.drop(number)

    def drop(self, number):
        """Let go of one, if it is kept; while somebody uses it nothing happens but that nobody else can, and a later sweep does. May wait for other nodes."""
        stash = self._kept.get(number)
        if stash is None or not stash.rest(0) or self.pop(number) is None:
            return
        try:
            stash.abandon()
        except Exception:               # the others are to go all the same
            _log.exception("what process %d had begun to put can't be given back: its space stays taken until the store is closed", processes.pid_of(stash.owner))

    def clear(self):
        for number in list(self._kept):
            self.drop(number)


def _there(stash):
    if stash is None or stash.is_gone:
        raise StoreError("what this program had begun to put, or to get, isn't in the daemon any more: begin again")
    return stash
