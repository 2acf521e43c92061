"""Latest: the newest changes of the names of tags, in memory that all ranks of a node share, for who knows the names as they were before. What a change is: table.py.

Two words, the number of the newest change and the bytes in use, then the changes, each with its length behind it. Whoever reads or adds holds the catalog's token.
"""

import ctypes

import msgpack

NBYTES = 32 << 10
_HEAD, _LENGTH = 16, 4


class Latest:
    """At an address of zeroed memory (NBYTES bytes)."""

    def __init__(self, address):
        self._words = (ctypes.c_int64 * 2).from_address(address)
        self._bytes = memoryview((ctypes.c_ubyte * (NBYTES - _HEAD)).from_address(address + _HEAD)).cast("B")

    def add(self, number, change):
        """The change of this number; what was before another one than that before it is forgotten, and so is, when there is no room, the older half."""
        data = msgpack.packb(change)
        data += len(data).to_bytes(_LENGTH, "little")
        if number != self._words[0] + 1 or len(data) > len(self._bytes) // 2:
            self.forget(number)
            return
        if self._words[1] + len(data) > len(self._bytes):
            self._halve()
        used = self._words[1]
        self._bytes[used:used + len(data)] = data
        self._words[:] = number, used + len(data)

    def forget(self, number):
        """None of the changes up to this number is known."""
        self._words[:] = number, 0

    def since(self, seen, number):
        """The changes after `seen` up to `number`, in their order; None where one of them isn't known."""
        found, end = [], self._words[1]
        if self._words[0] != number:
            return None
        for _ in range(number - seen):
            if end == 0:
                return None
            begin = self._begin(end)
            found.append(msgpack.unpackb(self._bytes[begin:end - _LENGTH]))
            end = begin
        return found[::-1]

    def _begin(self, end):
        """Where the change begins that ends there."""
        return end - _LENGTH - int.from_bytes(self._bytes[end - _LENGTH:end], "little")

    def _halve(self):
        used = begin = self._words[1]
        while used - self._begin(begin) <= len(self._bytes) // 2:
            begin = self._begin(begin)
        kept = bytes(self._bytes[begin:used])
        self._bytes[:len(kept)] = kept
        self._words[1] = len(kept)
