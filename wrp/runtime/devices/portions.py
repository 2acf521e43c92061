"""Portions: runs of a device that the node gives to this process and takes back, each by one task. Whose turn it is knows the device.

A handler of a signal may raise an error wherever Python calls something. So what a task has said lies in a note that its kernel writes, and is looked for there
when a call is cut off: nothing that was given is lost, and nothing is given back twice.
"""

import numpy as np

from wrp.comm.atomics import store
from wrp.comm.jit import direct, kernel
from wrp.runtime import bdev
from wrp.runtime.asking import DONE, NO_ROOM, OPEN, ask
from wrp.runtime.future import Future

_NOTHING, _MAYBE = -1, -2       # as a state: nothing was handed over; perhaps something was
_WORDS = 6                      # of a note: the state, the code or the offset of the task's record, four results


@kernel
def ask_noted(way, note, method, count, a0, a1, a2):
    """As `asking.ask`, with what that gives in a note."""
    state, code, values = ask(way, method, count, a0, a1, a2, 0, 0, 0)
    store(note + 8, code)
    for number in range(4):
        store(note + 16 + 8 * number, values[number])
    store(note, state)
    return state


class Portions:
    """Of one device; one call at a time. `late`: a deque that gets (offset, nbytes, 0) of what came for calls that were cut off."""

    def __init__(self, pool, late):
        self._pool, self._late = pool, late
        memory = np.full(_WORDS, _NOTHING, np.int64)
        self._note, self._at = memoryview(memory), memory.ctypes.data
        self._open = []         # Futures of runs that are under way, mostly to nobody
        self._ask = direct(ask_noted, 7) if pool._is_plain else None

    def take(self, least, most, begin, held):
        """Ask for a run of `least` bytes or more, up to `most`: the code of the answer. `held`, a list, gets (offset, nbytes) of it."""
        note, before = self._note, self._open[:]
        note[0] = _NOTHING
        try:
            code, offset, nbytes = self._asked(bdev.ALLOCATE_BLOCKS, 3, least, most, begin)
            # nothing is called until the run is somebody's
            self._open[:], note[0] = before, _NOTHING
            if not code:
                held.append((offset, nbytes))
        except BaseException:
            self._cut_off(len(before))
            raise
        return code

    def give(self, offset, nbytes, late=None):
        """Give a run back: the code of the answer. The first of `late` goes when the node has been told."""
        note = self._note
        note[0] = _NOTHING
        try:
            code = self._asked(bdev.FREE_BLOCKS, 2, offset, nbytes, 0)[0]
        finally:
            if late is not None and note[0] not in (_NOTHING, NO_ROOM):
                del late[0]
        return code

    def _asked(self, method, count, *words):
        note = self._note
        if self._ask is not None and self._pool._node.is_open:
            way, at, (a0, a1, a2) = self._pool._ask, self._at, words
            self._ask(way, at, method, count, a0, a1, a2)
            if note[0] == DONE:
                return note[1], note[2], note[3]
            if note[0] == OPEN:
                reply = self._future(method).wait()
                return reply.code, *reply.values[:2]
        # a client of a daemon, whose leases go with it at the latest; or a full lane. Whether a call that is cut off has reached the node nobody knows:
        # what it gives back isn't given twice
        note[0] = _MAYBE
        reply = self._pool.call(method, *words[:count])
        return reply.code, *reply.values[:2]

    def _future(self, method):
        """Of the task in the note: kept, where it is to bring something, until that has come."""
        future = Future(self._pool, None, method)
        future.offset = self._note[1]
        if method == bdev.ALLOCATE_BLOCKS:
            self._open.append(future)
        return future

    def _cut_off(self, before):
        """What the node has given, or is about to, for a call that goes no further, is given back with the next one. `before`: Futures that were open when it began."""
        note = self._note
        state, note[0] = note[0], _NOTHING
        if state == DONE and not note[1]:
            self._late.append((note[2], note[3], 0))
        elif state == OPEN and len(self._open) == before:
            self._future(bdev.ALLOCATE_BLOCKS)

    def collect(self):
        """Runs that have come for calls that were cut off are in `late`."""
        for future in self._open[:]:
            if future.reply is None and future.offset is not None and not future.is_done:
                continue
            reply = future.wait() if future.reply is not None or future.offset is not None else None
            found = [(*reply.values[:2], 0)] if reply is not None and not reply.code else []
            place = self._open.index(future)
            del self._open[place]
            self._late.extend(found)
