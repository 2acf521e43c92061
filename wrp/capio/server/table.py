"""The table of slots that the server and the programs of a node share: one for each file that is written and read at the same time."""

import mmap
import os
from collections import deque

from wrp.capio import wire
from wrp.comm import futex

_COUNTER, _STATE, _WAITERS, _GENERATION = range(4)      # words of 32 bits in a slot


class Table:
    """Slots by path. The server gives them out, marks them committed and wakes those who sleep on them. When all are in use, that of the file
    that was completed first is another's: who still has it sees another generation, and that the end of a complete file is its end."""

    def __init__(self, path):
        nbytes = wire.HEAD_NBYTES + wire.SLOTS * wire.SLOT_NBYTES
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, nbytes)         # a full /dev/shm is an error here, not SIGBUS later
            self._map = mmap.mmap(file, nbytes)
        finally:
            os.close(file)
        self._words, self._longs = memoryview(self._map).cast("I"), memoryview(self._map).cast("Q")
        self._address = futex.address_of(self._map)
        self._slots, self._free, self._done = {}, deque(range(wire.SLOTS)), deque()

    def slot(self, path):
        """The slot of a path, a fresh one where it had none; -1 when all are those of files that grow."""
        found = self._slots.get(path)
        if found is None:
            if self._free:
                found = self._free.popleft()
            elif self._done:
                found = self._reused()
            else:
                return -1
            self._slots[path] = found
            word = self._word(found)
            self._words[word + _GENERATION] = self._words[word + _GENERATION] + 1 & 0xFFFFFFFF
            self._words[word + _STATE] = wire.OPEN         # after the generation: who sees this looks whether the slot is still its own
        return found

    def _reused(self):
        path, found = self._done.popleft()
        if self._slots.get(path) == found:
            del self._slots[path]
        return found

    def know(self, slot, status):
        """Say which file the slot stands for (an os.stat_result)."""
        at = (wire.HEAD_NBYTES + slot * wire.SLOT_NBYTES) // 8
        self._longs[at + 2], self._longs[at + 3] = status.st_dev, status.st_ino

    def bump(self, path):
        """Wake those who wait for more of a file. Who falls asleep at this moment, unseen, wakes by itself: their naps are short."""
        slot = self._slots.get(path)
        if slot is not None:
            word = self._word(slot)
            self._words[word + _COUNTER] = self._words[word + _COUNTER] + 1 & 0xFFFFFFFF
            if self._words[word + _WAITERS]:
                futex.wake(self._address + 4 * word)

    def commit(self, path):
        """The file is complete: its end is the end. The slot stays as it is, until all others are taken."""
        slot = self._slots.get(path)
        if slot is not None:
            if self._words[self._word(slot) + _STATE] == wire.OPEN:
                self._done.append((path, slot))
            self._words[self._word(slot) + _STATE] = wire.COMMITTED
            self.bump(path)

    def forget(self, path):
        """The name is gone: a later file of this name gets another slot. Readers of the old one find its end."""
        self.commit(path)
        self._slots.pop(path, None)

    @staticmethod
    def _word(slot):
        return (wire.HEAD_NBYTES + slot * wire.SLOT_NBYTES) // 4

    def close(self):
        self._words.release()
        self._longs.release()
        self._map.close()
