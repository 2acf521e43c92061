"""The table of slots that the server and the programs of a node share: one for each file that is written and read at the same time, or complete."""

import mmap
import os
import struct
import zlib
from collections import deque

from wrp.capio import wire
from wrp.comm import futex

_COUNTER, _STATE, _WAITERS, _GENERATION = range(4)      # words of 32 bits in a slot
_DEVICE, _FILE = 2, struct.Struct("=QQQq")              # words of 64 bits: device, inode, bytes, mtime
_NEXT, _PATH_NBYTES, _IS_WHOLE = 12, 26, 27             # of 32, and twice of 16


class Table:
    """Slots by path. The server gives them out, marks them committed and wakes those who sleep on them. When all are in use, that of the file
    that was completed first is another's: who still has it sees another generation, and that the end of a complete file is its end.

    Programs find a slot by its path below `root`: lists of slots with the same hash begin in `heads`. Only the server writes them; who reads
    them meanwhile may miss a slot, and asks then."""

    def __init__(self, path, root=""):
        self._root = len(os.fsencode(root)) + 1
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, wire.TABLE_NBYTES)
            os.posix_fallocate(file, 0, wire.RINGS_AT)  # a full /dev/shm is an error here, not SIGBUS later; a ring's place is taken with it
            self._map = mmap.mmap(file, wire.TABLE_NBYTES)
        except BaseException:
            os.close(file)
            raise
        self._file, self.bytes = file, memoryview(self._map)
        self._halves, self._words, self._longs = self.bytes.cast("H"), self.bytes.cast("I"), self.bytes.cast("Q")
        self._address = futex.address_of(self._map)
        self._slots, self._free, self._done = {}, deque(range(wire.SLOTS)), deque()
        self._heads = {}                # slot: the word that its list begins in

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
            self._unlink(found)
            self._words[word + _GENERATION] = self._words[word + _GENERATION] + 1 & 0xFFFFFFFF
            self._words[word + _STATE] = wire.OPEN         # after the generation: who sees this looks whether the slot is still its own
            self._link(found, word, os.fsencode(path)[self._root:])
        return found

    def growing(self, path):
        """As `slot`, of a file that isn't complete: not the slot of one that was, and had this name."""
        found = self._slots.get(path)
        if found is not None and self._words[self._word(found) + _STATE] != wire.OPEN:
            self.forget(path)
        return self.slot(path)

    def _link(self, slot, word, name):
        """Make a slot to be found by its path."""
        nbytes = len(name)
        if not 0 < nbytes <= wire.SLOT_PATH:
            return
        at = 4 * word + wire.SLOT_PATH_AT
        self.bytes[at:at + nbytes] = name
        self._halves[2 * word + _PATH_NBYTES] = nbytes
        head = self._heads[slot] = wire.TABLE_HEAD // 4 + zlib.crc32(name) % wire.HEADS
        self._words[word + _NEXT] = self._words[head]
        self._words[head] = slot + 1

    def _unlink(self, slot):
        head = self._heads.pop(slot, None)
        if head is None:
            return
        word = self._word(slot)
        self._halves[2 * word + _IS_WHOLE] = self._halves[2 * word + _PATH_NBYTES] = 0
        at = head
        while self._words[at] != slot + 1:
            at = self._word(self._words[at] - 1) + _NEXT
        self._words[at] = self._words[word + _NEXT]

    def _reused(self):
        path, found = self._done.popleft()
        if self._slots.get(path) == found:
            del self._slots[path]
        return found

    def know(self, slot, status):
        """Say which file the slot stands for (an os.stat_result)."""
        at = self._word(slot) // 2 + _DEVICE
        self._longs[at], self._longs[at + 1] = status.st_dev, status.st_ino

    def publish(self, path, status):
        """The committed path is the file with this status: who finds it there as it is now needn't ask."""
        slot = self.slot(path)
        if slot < 0:
            return
        word = self._word(slot)
        if self._words[word + _STATE] == wire.OPEN:
            self._words[word + _STATE] = wire.COMMITTED
            self._done.append((path, slot))
        _FILE.pack_into(self.bytes, 4 * word + 8 * _DEVICE, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        self._halves[2 * word + _IS_WHOLE] = 1

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
        slot = self._slots.pop(path, None)
        if slot is not None:
            self._unlink(slot)

    def forget_below(self, folder):
        """The folder has another name, or is gone, with all that lay in it."""
        for path in [path for path in self._slots if path.startswith(folder + "/")]:
            self.forget(path)

    def reserve(self, offset, nbytes):
        """Back a part of the table with memory; OSError when there is none. Returns the map as words of 64 bits."""
        os.posix_fallocate(self._file, offset, nbytes)
        return self._longs

    @staticmethod
    def _word(slot):
        return (wire.SLOTS_AT + slot * wire.SLOT_NBYTES) // 4

    def close(self):
        for view in (self._halves, self._words, self._longs, self.bytes):
            view.release()
        self._map.close()
        os.close(self._file)
