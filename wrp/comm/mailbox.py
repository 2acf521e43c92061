"""Mailboxes: between every two nodes a bounded ring of fixed-size slots for each direction and box. Knows no slot's content.

A ring lies in the segment of the node that reads it and is written by one other node alone, with puts of MPI. Several slots go
in one put. Nothing orders the bytes of a put, so every slot carries its turn and a checksum over both: who reads takes a slot
when it is whole, and needs neither a flush nor a second put of a tail. How many slots were taken goes back, into the segment of
the node that writes, in the same way: a ring is never overwritten. No word here is touched by atomics of another process or
by accumulate operations. Nothing ever waits: what finds no room is refused or stays in the ring.
"""

import numpy as np

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.errors import UsageError

WORDS = 18                      # of a slot's content
TASKS, REPLIES = 0, 1           # boxes: replies never queue behind tasks
_BOXES = 2
_SLOT = 8 * (WORDS + 2)         # turn and checksum, then the content
_CREDIT = 16                    # count and checksum
_LINE = 64
_HEAD = _LINE * _BOXES          # of a source: one credit in each line
_MULTIPLIER = -7046029254386353131
_SALT = 0x5BD1E995


@kernel
def _checked(address, count, turn):
    """A checksum of `count` words and a turn, never 0."""
    total = (turn ^ _SALT) * _MULTIPLIER
    for number in range(count):
        total = (total ^ atomics.load(address + 8 * number)) * _MULTIPLIER
        total ^= total >> 29
    return total | 1


@kernel
def slot_seal(slot, turn):
    """Make the slot whose content is in place the one of this turn."""
    atomics.store(slot, turn)
    atomics.store(slot + 8, _checked(slot + 16, WORDS, turn))


@kernel
def slot_take(slot, turn, out):
    """Copy the content to `out`, an address, if the slot is the one of this turn and whole."""
    if atomics.load(slot) != turn:
        return False
    total = atomics.load(slot + 8)
    atomics.copy(out, slot + 16, 8 * WORDS)
    return _checked(out, WORDS, turn) == total


@kernel
def credit_seal(credit, count):
    """Note a count."""
    atomics.store(credit, count)
    atomics.store(credit + 8, _checked(credit, 1, 0))


@kernel
def credit_read(credit, before):
    """The count, or `before` while its bytes are on their way."""
    pair = atomics.load(credit), atomics.load(credit + 8)
    if atomics.load(credit) != pair[0] or _checked(credit, 1, 0) != pair[1]:
        return before
    return max(before, pair[0])


@kernel
def slots_come(places, found):
    """Numbers of those of `places`, rows of (address of a slot, its turn), that have begun to come; how many `found` got."""
    count = 0
    for number in range(len(places)):
        if atomics.load(places[number, 0]) == places[number, 1]:
            found[count] = number
            count += 1
    return count


def nbytes_of(nodes, ranks, capacity):
    """Bytes of a node's mail in its segment."""
    return -(-8 * ranks // _LINE) * _LINE + nodes * _source_nbytes(capacity)


def _source_nbytes(capacity):
    return _HEAD + -(-_BOXES * capacity * _SLOT // _LINE) * _LINE


class Mailboxes:
    """The boxes of one node, used by one thread. `offset`: of its mail in its segment, `offsets` of that of every node.

    window : a RemoteWindow over the segments
    """

    def __init__(self, window, segment, offsets, ranks, capacity):
        if capacity < 2:
            raise UsageError(f"A mailbox holds 2 slots or more, not {capacity}.")
        self._window, self._capacity = window, capacity
        own, first = offsets[window.node], -(-8 * ranks // _LINE) * _LINE
        self._knocks = np.frombuffer(segment.buffer, np.int64, ranks, own)
        self._heard = self._knocks.copy()
        others = [node for node in range(len(offsets)) if node != window.node]
        self._places = np.zeros((_BOXES * len(others), 2), np.int64)
        self._found = np.zeros(_BOXES * len(others), np.int64)
        self._all = []
        for node in others:
            here = segment.address + own + first + node * _source_nbytes(capacity)
            there = offsets[node] + first + window.node * _source_nbytes(capacity)
            self._all += [_Way(window, (node, here, there), box, capacity, self._places[len(self._all) + box]) for box in range(_BOXES)]
        self._ways = {node: self._all[_BOXES * number:_BOXES * (number + 1)] for number, node in enumerate(others)}
        self._names = [(node, box) for node in others for box in range(_BOXES)]

    @property
    def nodes(self):
        """The other nodes."""
        return list(self._ways)

    def post(self, node, box, words):
        """Put a letter of up to WORDS integers into the ring; False when it is full. `send` makes it go."""
        return self._ways[node][box].post(words)

    def send(self):
        """Begin the puts that can begin; True while one is under way."""
        busy = False
        for way in self._all:
            busy |= way.send()
        return busy

    def arrived(self):
        """[(node, box)] of those that have a letter, or are getting one."""
        count = slots_come(self._places, self._found)
        return [self._names[number] for number in self._found[:count].tolist()] if count else ()

    def look(self, node, box):
        """The oldest letter, a list of WORDS integers, or None. It stays until `drop`."""
        return self._ways[node][box].look()

    def drop(self, node, box):
        """Done with the letter that `look` gave."""
        self._ways[node][box].drop()

    def knocked(self):
        """True when a rank of another node has knocked since."""
        if (self._knocks == self._heard).all():
            return False
        self._heard[:] = self._knocks
        return True

    def close(self):
        """Local."""
        self._knocks = self._heard = None


class Knocker:
    """Tells another node's postman that somebody waits for its memory: a count per rank, in that node's segment. Any thread."""

    def __init__(self, window, rank, offsets):
        self._window, self._rank, self._offsets = window, rank, offsets
        self._counts, self._requests = {}, {}

    def __call__(self, node):
        request = self._requests.get(node)
        if request is not None and not self._window.is_done(request):
            return
        count = self._counts.setdefault(node, np.zeros(1, np.int64))
        count += 1
        self._requests[node] = self._window.start_put(node, self._offsets[node] + 8 * self._rank, count.view(np.uint8))


class _Way:
    """One box between this node and another: the ring there that this node writes, and the ring here that it reads."""

    def __init__(self, window, ends, box, capacity, place):
        self._window, self._capacity, self._place = window, capacity, place
        self._node, here, there = ends
        ring = _HEAD + box * capacity * _SLOT
        self._incoming, self._outgoing = here + ring, there + ring
        self._credit_here, self._credit_there = here + box * _LINE, there + box * _LINE
        # what is on its way, slot by slot as in the ring
        self._slots = np.zeros((capacity, WORDS + 2), np.int64)
        self._bytes, self._address = self._slots.view(np.uint8).reshape(-1), self._slots.ctypes.data
        self._posted = self._sent = self._taken = 0         # of the ring there; taken: as far as is known here
        self._seen = self._told = 0                         # of the ring here
        self._letter, self._credit = np.zeros(WORDS, np.int64), np.zeros(2, np.int64)
        self._letter_address = self._letter.ctypes.data
        self._put = self._telling = None
        self._next()

    def post(self, words):
        if self._posted - self._taken >= self._capacity:
            self._taken = credit_read(self._credit_here, self._taken)
            if self._posted - self._taken >= self._capacity:
                return False
        number = self._posted % self._capacity
        self._slots[number, 2:2 + len(words)] = words
        slot_seal(self._address + number * _SLOT, self._posted + 1)
        self._posted += 1
        return True

    def send(self):
        # one put at a time: what is posted meanwhile goes together with the next one
        if self._put is not None and self._window.is_done(self._put):
            self._put = None
        if self._put is None and self._sent < self._posted:
            first = self._sent % self._capacity
            count = min(self._posted - self._sent, self._capacity - first)
            self._put = self._start(self._outgoing + first * _SLOT, self._bytes[first * _SLOT:(first + count) * _SLOT])
            self._sent += count
        if self._telling is not None and self._window.is_done(self._telling):
            self._telling = None
        if self._telling is None and self._seen - self._told > 0 and (self._seen - self._told) * 4 >= self._capacity:
            credit_seal(self._credit.ctypes.data, self._seen)
            self._telling = self._start(self._credit_there, self._credit.view(np.uint8))
            self._told = self._seen
        return self._put is not None or self._telling is not None or self._sent < self._posted

    def look(self):
        slot, turn = self._place.tolist()
        return self._letter.tolist() if slot_take(slot, turn, self._letter_address) else None

    def drop(self):
        self._seen += 1
        self._next()

    def _next(self):
        """Where the next letter comes."""
        self._place[:] = self._incoming + self._seen % self._capacity * _SLOT, self._seen + 1

    def _start(self, offset, data):
        return self._window.start_put(self._node, offset, data)
