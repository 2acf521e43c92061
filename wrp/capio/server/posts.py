"""The rings in the table, in which processes write down the files that they are about to make: given out, read, and found again after a kill -9."""

import os
import struct

from wrp.capio import wire

_HEAD_TAIL = struct.Struct("=QQ")


class Rings:
    """The rings of living processes. A ring's tail moves on when what was read is written down elsewhere."""

    def __init__(self, table, root):
        self._table, self._root, self._longs = table, root, None
        self._free, self._of = list(range(wire.RINGS))[::-1], {}
        self._tails = {}                # ring: posts taken

    def give(self, pid):
        """The number of this process's ring, -1 when all are in use."""
        found = self._of.get(pid)
        if found is not None or not self._free:
            return -1 if found is None else found
        try:
            self._longs = self._table.reserve(_begin(self._free[-1]), wire.RING_NBYTES)
        except OSError:
            return -1                   # no memory for it: the process asks
        found = self._of[pid] = self._free.pop()
        self._tails[found] = self._longs[_begin(found) // 8]
        return found

    def take(self):
        """[(pid, path, post)] of the posts that came since the last call, those of a process in their order. post: names it to `outcome`."""
        found = []
        for pid, ring in self._of.items():
            at, tail = _begin(ring), self._tails[ring]
            head = self._longs[at // 8]
            if head != tail:
                for turn in range(tail, head):
                    _, nbytes, name = wire.POST.unpack_from(self._table.bytes, _place(at, turn))
                    found.append((pid, f"{self._root}/{os.fsdecode(name[:nbytes])}", (at, turn)))
                self._tails[ring] = head
        return found

    def outcome(self, post):
        """What its process says has come of a post: wire.UNTOLD, MADE or NOTHING. It says so before it does anything else, so who isn't known to have
        made a file hasn't closed it. MADE of one that is so old that another one has its room."""
        at, turn = post
        word = wire.POST.unpack_from(self._table.bytes, _place(at, turn))[0]
        return word & wire.OUTCOMES if word >> 2 == turn & wire.TURNS else wire.MADE

    def done(self):
        """What was taken is written down: its room is free again."""
        for ring, tail in self._tails.items():
            self._longs[_begin(ring) // 8 + 1] = tail

    def release(self, pid):
        """The process has ended, and its posts are taken."""
        ring = self._of.pop(pid, None)
        if ring is not None:
            del self._tails[ring]
            self._free.append(ring)


def left(table):
    """Names, below the watched directory, in the posts of a table's file that its server, which is dead, hadn't taken."""
    try:
        data = table.read_bytes()
    except OSError:
        return []
    found = []
    for at in map(_begin, range(wire.RINGS if len(data) == wire.TABLE_NBYTES else 0)):
        head, tail = _HEAD_TAIL.unpack_from(data, at)
        for turn in range(max(tail, head - wire.POSTS), head):
            _, nbytes, name = wire.POST.unpack_from(data, _place(at, turn))
            found.append(os.fsdecode(name[:nbytes]))
    return found


def _begin(ring):
    return wire.RINGS_AT + ring * wire.RING_NBYTES


def _place(at, turn):
    return at + wire.RING_HEAD + turn % wire.POSTS * wire.POST_NBYTES
