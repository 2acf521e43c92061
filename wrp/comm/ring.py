"""A bounded many-to-many ring of int64 in a segment (D. Vyukov's bounded MPMC queue).

Every slot has a turn number beside its value: a pusher takes the slot whose turn is its position, a popper the one whose
turn is its position + 1. No process waits for another, except that the value of one that died between taking a slot and
filling it blocks that slot.
"""
from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.errors import UsageError

# Byte offsets; the positions have cache lines of their own
_MASK = 0           # capacity - 1
_PUSHED = 64        # position of the next push
_POPPED = 128       # position of the next pop
_SLOTS = 192        # capacity slots of two words: turn, value
_SLOT = 16


@kernel
def ring_format(address, capacity):
    """Make an empty ring of `capacity` (a power of two) values at `address`."""
    atomics.store(address + _PUSHED, 0)
    atomics.store(address + _POPPED, 0)
    for position in range(capacity):
        atomics.store(address + _SLOTS + position * _SLOT, position)
    atomics.store(address + _MASK, capacity - 1)


@kernel
def ring_push(address, value):
    """Append `value` (0 or more); False if the ring is full."""
    mask = atomics.load(address + _MASK)
    position = atomics.load(address + _PUSHED)
    while True:
        slot = address + _SLOTS + (position & mask) * _SLOT
        lead = atomics.load(slot) - position
        if lead == 0:
            seen = atomics.swap(address + _PUSHED, position, position + 1)
            if seen == position:
                atomics.store(slot + 8, value)
                atomics.store(slot, position + 1)
                return True
            position = seen
        elif lead < 0:
            return False
        else:                               # another pusher took this slot
            position = atomics.load(address + _PUSHED)


@kernel
def ring_pop(address):
    """The oldest value, taken out; -1 if the ring is empty."""
    mask = atomics.load(address + _MASK)
    position = atomics.load(address + _POPPED)
    while True:
        slot = address + _SLOTS + (position & mask) * _SLOT
        lead = atomics.load(slot) - (position + 1)
        if lead == 0:
            seen = atomics.swap(address + _POPPED, position, position + 1)
            if seen == position:
                value = atomics.load(slot + 8)
                atomics.store(slot, position + mask + 1)
                return value
            position = seen
        elif lead < 0:
            return -1
        else:                               # another popper took this slot
            position = atomics.load(address + _POPPED)


@kernel
def ring_count(address):
    """How many values are in the ring; a moment later it may be another number."""
    position, mask = atomics.load(address + _POPPED), atomics.load(address + _MASK)
    if atomics.load(address + _SLOTS + (position & mask) * _SLOT) == position:
        return 0                            # nobody has filled the next slot: the pushers keep the line of their position
    return max(0, atomics.load(address + _PUSHED) - position)


@kernel
def ring_pushed(address):
    """How many values were ever pushed."""
    return atomics.load(address + _PUSHED)


class Ring:
    """The ring at an address. Every process that maps the segment may push and pop at any time."""

    def __init__(self, address):
        self.address = address

    @staticmethod
    def nbytes(capacity):
        """The bytes that a ring of `capacity` values takes; UsageError unless it is a power of two."""
        if capacity < 2 or capacity & (capacity - 1):
            raise UsageError(f"A ring holds a power of two of values (2 or more), not {capacity}.")
        return _SLOTS + capacity * _SLOT

    @classmethod
    def create(cls, segment, offset, capacity):
        """Format an empty ring of `capacity` values at `offset` of the segment; backs its memory."""
        segment.reserve(offset, cls.nbytes(capacity))
        ring_format(segment.address + offset, capacity)
        return cls(segment.address + offset)

    @classmethod
    def attach(cls, segment, offset):
        """The ring that lies at `offset` already."""
        return cls(segment.address + offset)

    @property
    def capacity(self):
        return atomics.load(self.address + _MASK) + 1

    def push(self, value):
        """Append `value` (0 or more); False if the ring is full."""
        return ring_push(self.address, value)

    def pop(self):
        """The oldest value, taken out; -1 if the ring is empty."""
        return ring_pop(self.address)

    def __len__(self):
        return ring_count(self.address)
