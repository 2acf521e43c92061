"""Ways: kernels over one box between this node and another: the ring there that this node writes, the ring here that it reads.

A way is a row of words in memory of the process, given by its address and used by one thread. Knows no slot's content, makes
no memory (see `mailbox`).
"""

from wrp.comm import atomics, onesided
from wrp.comm.jit import kernel

WORDS = 18                      # of a slot's content
SLOT = 8 * (WORDS + 2)          # turn and checksum, then the content
_MULTIPLIER = -7046029254386353131
_SALT = 0x5BD1E995

# Byte offsets in a way. Where things lie: there as offsets of the other node's window, here as addresses
RANK, OUTGOING, CREDIT_THERE, INCOMING, CREDIT_HERE, SLOTS, CAPACITY = (8 * number for number in range(7))
# Slots of the ring there, TAKEN as far as is known here, and of the ring here, TOLD as far as is known there
POSTED, SENT, TAKEN, SEEN, TOLD = (8 * number for number in range(7, 12))
# A put of slots and one of a credit that are under way (1), with their requests; the credit: count and checksum
PUTTING, PUT, TELLING, TELL, CREDIT = (8 * number for number in range(12, 17))
WAY_WORDS = 24
WAY_NBYTES, CREDIT_NBYTES = 8 * WAY_WORDS, 16


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
def way_post(way, letter, count):
    """Put `count` words from the address `letter` on into the ring; False when it is full. `way_send` makes them go."""
    if not way_has_room(way):
        return False
    posted = atomics.load(way + POSTED)
    slot = atomics.load(way + SLOTS) + posted % atomics.load(way + CAPACITY) * SLOT
    atomics.copy(slot + 16, letter, 8 * count)
    slot_seal(slot, posted + 1)
    atomics.store(way + POSTED, posted + 1)
    return True


@kernel
def way_has_room(way):
    """True when `way_post` would put a letter into the ring."""
    posted, capacity = atomics.load(way + POSTED), atomics.load(way + CAPACITY)
    if posted - atomics.load(way + TAKEN) >= capacity:
        atomics.store(way + TAKEN, credit_read(atomics.load(way + CREDIT_HERE), atomics.load(way + TAKEN)))
    return posted - atomics.load(way + TAKEN) < capacity


@kernel
def way_comes(way):
    """True when the next letter is there, or has begun to come."""
    return atomics.load(_next(way)) == atomics.load(way + SEEN) + 1


@kernel
def way_look(way, out):
    """Copy the oldest letter to `out`, an address; False when there is none. It stays until `way_drop`."""
    return slot_take(_next(way), atomics.load(way + SEEN) + 1, out)


@kernel
def way_drop(way):
    """Done with the letter that `way_look` gave."""
    atomics.store(way + SEEN, atomics.load(way + SEEN) + 1)


@kernel
def _next(way):
    return atomics.load(way + INCOMING) + atomics.load(way + SEEN) % atomics.load(way + CAPACITY) * SLOT


@kernel
def way_due(way):
    """How many slots, in one piece from number SENT on, are to be put; they count as sent then. One put at a time: what is posted
    meanwhile goes together with the next one."""
    sent, capacity = atomics.load(way + SENT), atomics.load(way + CAPACITY)
    count = min(atomics.load(way + POSTED) - sent, capacity - sent % capacity)
    if count == 0 or atomics.load(way + PUTTING):
        return 0
    atomics.store(way + PUTTING, 1)
    atomics.store(way + SENT, sent + count)
    return count


@kernel
def way_owes(way):
    """True when the credit, which is made then, is to be put."""
    if not way_lags(way) or atomics.load(way + TELLING):
        return False
    seen = atomics.load(way + SEEN)
    credit_seal(way + CREDIT, seen)
    atomics.store(way + TELLING, 1)
    atomics.store(way + TOLD, seen)
    return True


@kernel
def way_lags(way):
    """True when the other node knows of so few slots that were taken that it is to be told."""
    seen, told = atomics.load(way + SEEN), atomics.load(way + TOLD)
    return seen != told and (seen - told) * 4 >= atomics.load(way + CAPACITY)


@kernel
def way_waits(way):
    """True while there is something to be put."""
    return atomics.load(way + SENT) < atomics.load(way + POSTED)


@kernel
def way_send(calls, way):
    """Begin the puts that can begin, see `onesided`; True while there is more to be put.

    MPI isn't asked whether a put is done before there is another one: where it has nothing to do a question may cost a switch to another thread.
    """
    if atomics.load(way + PUTTING) and way_waits(way) and onesided.put_done(calls, way + PUT):
        atomics.store(way + PUTTING, 0)
    sent = atomics.load(way + SENT)
    count, first, rank = way_due(way), sent % atomics.load(way + CAPACITY), atomics.load(way + RANK)
    if count:
        onesided.put_start(calls, atomics.load(way + SLOTS) + first * SLOT, count * SLOT, rank, atomics.load(way + OUTGOING) + first * SLOT, way + PUT)
    if atomics.load(way + TELLING) and way_lags(way) and onesided.put_done(calls, way + TELL):
        atomics.store(way + TELLING, 0)
    if way_owes(way):
        onesided.put_start(calls, way + CREDIT, CREDIT_NBYTES, rank, atomics.load(way + CREDIT_THERE), way + TELL)
    return way_waits(way)


@kernel
def ways_send(calls, ways, count):
    """`way_send` of the `count` ways from the address `ways` on."""
    waits = False
    for number in range(count):
        waits |= way_send(calls, ways + number * WAY_NBYTES)
    return waits


@kernel
def ways_come(ways, count, found):
    """Numbers of the ways whose next letter has begun to come, into words from the address `found` on; how many."""
    places = 0
    for number in range(count):
        if way_comes(ways + number * WAY_NBYTES):
            atomics.store(found + 8 * places, number)
            places += 1
    return places
