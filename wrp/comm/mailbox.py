"""Mailboxes: between every two nodes a bounded ring of fixed-size slots for each direction and box. Knows no slot's content.

A ring lies in the segment of the node that reads it and is written by one other node alone, with puts of MPI. Several slots go
in one put. Nothing orders the bytes of a put, so every slot carries its turn and a checksum over both: who reads takes a slot
when it is whole, and needs neither a flush nor a second put of a tail. How many slots were taken goes back, into the segment of
the node that writes, in the same way: a ring is never overwritten. No word here is touched by atomics of another process or
by accumulate operations. Nothing ever waits: what finds no room is refused or stays in the ring.
"""

from contextlib import contextmanager

import numpy as np

from wrp.comm import ways
from wrp.comm.ways import SLOT, WAY_WORDS, WORDS
from wrp.errors import UsageError

POLL_NS = 20_000_000            # for so long after a knock who was asked polls for who waits: an end of that which is never heard costs no more
TASKS, REPLIES = 0, 1           # boxes: replies never queue behind tasks
_BOXES = 2
_TRIED = 50                     # tests of a knock that hasn't gone
_LINE = 64
_HEAD = _LINE * _BOXES          # of a source: one credit in each line


def nbytes_of(nodes, ranks, capacity):
    """Bytes of a node's mail in its segment."""
    return -(-8 * ranks // _LINE) * _LINE + nodes * _source_nbytes(capacity)


def _source_nbytes(capacity):
    return _HEAD + -(-_BOXES * capacity * SLOT // _LINE) * _LINE


class Mailboxes:
    """The boxes of one node, used by one thread. `offset`: of its mail in its segment, `offsets` of that of every node.

    window : a RemoteWindow over the segments
    Attributes: `names`, (node, box) of each way; for kernels `address` of the first of `count` ways (see `ways`), box by box of the other nodes in order; `calls`, the
    address of MPI's calls (see `onesided`), 0 where it can be called from Python alone.
    """

    def __init__(self, window, segment, offsets, ranks, capacity):
        if capacity < 2:
            raise UsageError(f"A mailbox holds 2 slots or more, not {capacity}.")
        own, first = offsets[window.node], -(-8 * ranks // _LINE) * _LINE
        self.knocks = np.frombuffer(segment.buffer, np.int64, ranks, own)
        self.heard = self.knocks.copy()
        others = [node for node in range(len(offsets)) if node != window.node]
        self.count = _BOXES * len(others)
        self._words = np.zeros((self.count, WAY_WORDS), np.int64)
        self._found, self._calls = np.zeros(self.count, np.int64), window.calls
        self.address, self.calls = self._words.ctypes.data, 0 if self._calls is None else self._calls.ctypes.data
        self._all = []
        for node in others:
            here = segment.address + own + first + node * _source_nbytes(capacity)
            there = offsets[node] + first + window.node * _source_nbytes(capacity)
            self._all += [_Way(window, (node, here, there), box, capacity, self._words[len(self._all) + box]) for box in range(_BOXES)]
        self._ways = {node: self._all[_BOXES * number:_BOXES * (number + 1)] for number, node in enumerate(others)}
        self.names = [(node, box) for node in others for box in range(_BOXES)]

    @property
    def nodes(self):
        """The other nodes."""
        return list(self._ways)

    def post(self, node, box, words):
        """Put a letter of up to WORDS integers into the ring; False when it is full. `send` makes it go."""
        return self._ways[node][box].post(words)

    def send(self):
        """Begin the puts that can begin; True while there is more to be put."""
        if self.calls:
            return ways.ways_send(self.calls, self.address, self.count)
        waits = False
        for way in self._all:
            waits |= way.send()
        return waits

    def arrived(self):
        """[(node, box)] of those that have a letter, or are getting one."""
        count = ways.ways_come(self.address, self.count, self._found.ctypes.data)
        return [self.names[number] for number in self._found[:count].tolist()] if count else ()

    def look(self, node, box):
        """The oldest letter, a list of WORDS integers, or None. It stays until `drop`."""
        return self._ways[node][box].look()

    def drop(self, node, box):
        """Done with the letter that `look` gave."""
        ways.way_drop(self._ways[node][box].address)

    def knocked(self):
        """True when a rank of another node has knocked since."""
        if (self.knocks == self.heard).all():
            return False
        self.heard[:] = self.knocks
        return True

    @property
    def waited_for(self):
        """True when one of those that have knocked waits for many bytes, see `Knocker.waiting`."""
        return bool((self.heard & 1).any())

    def close(self):
        """Local."""
        self.knocks = self.heard = None


class Knocker:
    """Tells another node's postman that somebody waits for its memory: a count per rank, in that node's segment, odd while it is `waiting`. Any thread."""

    def __init__(self, window, rank, offsets):
        self._window, self._rank, self._offsets = window, rank, offsets
        self._counts, self._requests, self._waiting = {}, {}, {}

    def __call__(self, node):
        if not self._is_free(node):
            return
        count = self._counts.setdefault(node, np.zeros(1, np.int64))
        count[0] = (count[0] | 1) + (2 if self._waiting.get(node) else 1)
        self._requests[node] = self._window.start_put(node, self._offsets[node] + 8 * self._rank, count.view(np.uint8))

    def _is_free(self, node):
        """True when the last knock has gone."""
        request = self._requests.get(node)
        return request is None or self._window.is_done(request)

    @contextmanager
    def waiting(self, node):
        """While it lasts, and no longer than POLL_NS after the last knock that is heard, that postman naps no more: many bytes move only while both sides call MPI, and
        a knock in their midst may come behind them."""
        waiting, token = self._waiting.setdefault(node, set()), object()
        try:
            waiting.add(token)
            self(node)
            yield
        finally:
            waiting.discard(token)
            for _ in range(_TRIED):
                if self._is_free(node):
                    break
            self(node)


class _Way:
    """One box between this node and another, its words in `words`."""

    def __init__(self, window, ends, box, capacity, words):
        self._window, self._words, self.address = window, words, words.ctypes.data
        self._node, here, there = ends
        ring = _HEAD + box * capacity * SLOT
        # what is on its way, slot by slot as in the ring
        self._slots = np.zeros(capacity * SLOT, np.uint8)
        self._letter = np.zeros(WORDS, np.int64)
        self._letter_address = self._letter.ctypes.data
        self._put = self._telling = None
        for place, word in ((ways.RANK, window.rank(self._node)), (ways.OUTGOING, there + ring), (ways.CREDIT_THERE, there + box * _LINE),
                            (ways.INCOMING, here + ring), (ways.CREDIT_HERE, here + box * _LINE), (ways.SLOTS, self._slots.ctypes.data),
                            (ways.CAPACITY, capacity)):
            self._words[place // 8] = word

    def post(self, words):
        self._letter[:len(words)] = words
        return ways.way_post(self.address, self._letter_address, len(words))

    def look(self):
        return self._letter.tolist() if ways.way_look(self.address, self._letter_address) else None

    def send(self):
        """As the kernel `way_send`, by MPI in Python."""
        window, words = self._window, self._words
        if self._put is not None and ways.way_waits(self.address) and window.is_done(self._put):
            self._put, words[ways.PUTTING // 8] = None, 0
        first = int(words[ways.SENT // 8] % words[ways.CAPACITY // 8]) * SLOT
        count = ways.way_due(self.address)
        if count:
            self._put = window.start_put(self._node, int(words[ways.OUTGOING // 8]) + first, self._slots[first:first + count * SLOT])
        if self._telling is not None and ways.way_lags(self.address) and window.is_done(self._telling):
            self._telling, words[ways.TELLING // 8] = None, 0
        if ways.way_owes(self.address):
            credit = words[ways.CREDIT // 8:][:2].view(np.uint8)
            self._telling = window.start_put(self._node, int(words[ways.CREDIT_THERE // 8]), credit)
        return ways.way_waits(self.address)
