"""Meets: what other nodes tell of participants of meetings, where the kernel can't note it: the pool isn't made yet, or its rooms are taken."""

import time
from collections import deque

import numpy as np

from wrp.comm import atomics
from wrp.comm.lock import is_alive
from wrp.runtime import pools
from wrp.runtime.meeting import rooms

_FIRST = 4              # word of a letter


class Meets:
    """`slot_of(key)`: the Slot of a pool that is made, or None; `holder`: who notes it, as holder of the rooms' token."""

    def __init__(self, node, slot_of, holder, net_timeout_s):
        self._node, self._slot_of, self._holder, self._net_timeout_s = node, slot_of, holder, net_timeout_s
        self._waiting, self._news = deque(), np.zeros(rooms.NEWS_WORDS, np.int64)

    @property
    def is_calm(self):
        """True when nothing waits to be noted."""
        return not self._waiting

    def take(self, words):
        """A letter has come."""
        least_s = min(self._net_timeout_s, words[_FIRST + rooms.NEWS_TIMEOUT] / 1e9)
        if not self._is_noted(words):
            self._waiting.append((words, time.monotonic() + least_s))

    def turn(self):
        """Try again; what nobody waits for any more is left."""
        for _ in range(len(self._waiting)):
            words, over_at = self._waiting.popleft()
            if not self._is_noted(words) and time.monotonic() < over_at:
                self._waiting.append((words, over_at))

    def _is_noted(self, words):
        slot = self._slot_of((words[2], words[3]))
        place = 0 if slot is None else atomics.load(slot.address + pools.PARAMS)
        if not place:
            return False
        self._news[:] = words[_FIRST:_FIRST + rooms.NEWS_WORDS]
        table = self._node.address + place
        seen = rooms.arrive(table, self._holder, self._news.ctypes.data, atomics.now_ns())
        if seen >> 32 and not is_alive(seen >> 32):
            atomics.swap(table, seen, 0)        # killed while it had the token
        return seen == 0
