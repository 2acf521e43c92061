"""Inside: how a participant meets others in the memory of its node, where other nodes' arrivals come too. What happens there is in `rooms`."""

import itertools
import os
import time
from functools import partial

import numpy as np

from wrp.comm import atomics
from wrp.comm.jit import direct
from wrp.comm.lock import is_alive
from wrp.errors import UsageError
from wrp.runtime import asking, lanes
from wrp.runtime.future import Watch
from wrp.runtime.meeting import rooms
from wrp.runtime.meeting.point import MEET

_NAP_S = 200e-6
_serials = itertools.count(1)


class Inside:
    """The rounds of one participant, a Who. `table`: address of the rooms. `come()`: to a barrier, 0 when it has ended."""

    def __init__(self, who, table):
        self._who, self._node = who, who.pool._node
        self._values, self._words = np.zeros(who.participants, np.int64), np.zeros(rooms.WORDS, np.int64)
        self._ask, self._address = memoryview(self._words), self._words.ctypes.data
        holder = os.getpid() << 32 | next(_serials) & 0x7FFFFFFF
        for place, word in ((rooms.TABLE, table), (rooms.HOLDER, holder), (rooms.KEY, who.key), (rooms.PARTICIPANT, who.participant), (rooms.NUMBER, -1),
                            (rooms.PARTICIPANTS, who.participants), (rooms.SPIN, self._node.spin_ns), (rooms.OUT, self._values.ctypes.data)):
            self._ask[place] = word
        self._set_limit(None)
        self.come = partial(direct(rooms.meet, 1), self._address)
        if self._node.count > 1:
            self._tell_others(who.pool)

    def _tell_others(self, pool):
        """Prepare what tells the other nodes: a word to this node's postman, that of a task without a container."""
        self._postman = pool._turned(pool._slot.number, self._node.layout.postman, None)
        self._ask[rooms.TELLS] = 1
        if not pool._is_attached:
            self._way = asking.way_of(self._postman, self._node.driver)
            self._ask[rooms.WAY] = self._way.ctypes.data

    def meet(self, kind, value, timeout_s):
        """Come to the next round and wait for its end: its result, of a gathering the list of all values."""
        self._node.check_open()
        self._ask[rooms.WHICH], self._ask[rooms.VALUE] = kind, value
        self._set_limit(timeout_s)
        try:
            code = self.come()
            if code:
                self.go_on(code)
        finally:
            self._ask[rooms.WHICH], self._ask[rooms.VALUE] = rooms.BARRIER, 0
            self._set_limit(None)
        return self._values.tolist() if kind == rooms.GATHER else self._ask[rooms.RESULT]

    def _set_limit(self, timeout_s):
        self._limit_s = self._who.limit_s(timeout_s)
        self._ask[rooms.TIMEOUT] = int(self._limit_s * 1e9)
        self._ask[rooms.SLICE] = max(0, min(lanes.SLICE_US, int(self._limit_s * 1e6)))

    def go_on(self, code):
        """Wait on until the round has ended that `come` gave this code of, not 0, or raise why it doesn't."""
        watch, number = Watch(self._limit_s), self._ask[rooms.NUMBER]
        while code in (rooms.LOCKED, rooms.NO_ROOM):
            self._let_go(code)
            if watch.is_over():
                raise self._who.no_room(number, self._limit_s)
            time.sleep(_NAP_S)
            code = rooms.come(self._address)
        while code in (rooms.OPEN, rooms.LOCKED):
            self._node.check_open()
            if self._ask[rooms.UNTOLD]:
                self._tell(rooms.COME)
                self._ask[rooms.UNTOLD] = 0
                code = rooms.wait(self._address, self._node.spin_ns)
                continue
            if watch.is_due():
                self._who.pool._check_worker(MEET)
            self._let_go(code)
            code = rooms.give_up(self._address) if watch.is_over() else rooms.wait(self._address, 0)
        if code == rooms.LATE:
            if self._ask[rooms.TELLS]:
                self._tell(rooms.GONE)
            raise self._who.late(number, self._limit_s)
        if code == rooms.MISMATCH:
            raise self._who.other(number)

    def _tell(self, what):
        """Have the postman tell the other nodes, waiting for room where there is none."""
        ask = self._ask
        self._postman.post(what, ask[rooms.KEY], ask[rooms.NUMBER], ask[rooms.WHICH], ask[rooms.PARTICIPANT] << 32 | ask[rooms.PARTICIPANTS],
                           ask[rooms.VALUE], ask[rooms.TIMEOUT], timeout_s=self._limit_s)

    def _let_go(self, code):
        """Free the token of a participant that was killed while it had it."""
        if code == rooms.LOCKED and not is_alive(self._ask[rooms.SEEN] >> 32):
            atomics.swap(self._ask[rooms.TABLE], self._ask[rooms.SEEN], 0)
