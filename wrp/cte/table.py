"""The catalog's table from names' hashes to records: one word for a slot, one writer at a time (who has the token), readers without a lock.

Open addressing with linear probing, at most half full, without wrap-around: a tail of spare slots follows the last home. A slot is one
word, 32 bits of the hash and the record's number; the key stands in the record: 16 bytes for a name.

Why a reader's answer is right:

* A record's sequence number is odd while it is being changed, and another one after. Who finds a key between two equal even ones has it.
* A new name takes the empty slot that ends its run, and no slot between a name and its home is ever empty. So a reader that meets an
  empty slot has proof that its name was absent at some moment of its search.
* Removing moves later names of the run one by one into the gap (Knuth, vol. 3, 6.4 R), so that nothing piles up. Such a name could slip
  past a reader, and one whose record is replaced too. Therefore the header's word CHANGES is odd meanwhile; a search that found nothing
  counts only if it was even and the same before and after, else it is done again. A hit always counts.
"""

from wrp.comm.atomics import add, load, pause, store
from wrp.comm.jit import kernel
from wrp.cte.layout import (ABSENT, BUSY, CHANGES, HOMES, KEY0, KEY1, LIMIT, LIVE, LOW, SEQUENCE, TABLE, record_at)

SLOT = 8
_SPARE = 256
_TRIES = 2000
_OTHER = -2


def table_nbytes(names):
    return SLOT * (homes_of(names) + _SPARE)


def homes_of(names):
    """Home slots of a table for so many names."""
    return 1 << (2 * names - 1).bit_length()


@kernel
def _mark(k0):
    """32 bits of the hash; their low ones are the home."""
    return (k0 ^ (k0 >> 32)) & LOW


@kernel
def _slot(at, number):
    return at + load(at + TABLE) + number * SLOT


@kernel
def table_home(at, k0):
    """Address of the slot where the search for a key begins."""
    return _slot(at, _mark(k0) & (load(at + HOMES) - 1))


@kernel
def _matches(record, k0, k1):
    """The record's sequence number if it has the key, else another name's (-2) or busy (-1)."""
    for _ in range(_TRIES):
        sequence = load(record + SEQUENCE)
        if sequence & 1 == 0:
            same = load(record + KEY0) == k0 and load(record + KEY1) == k1
            if load(record + SEQUENCE) == sequence:
                return sequence if same else _OTHER
        pause()
    return BUSY


@kernel
def table_find(at, k0, k1):
    """(number, sequence) of the record with this key; (0, 0) absent; (-1, 0) busy: nap and ask again, its writer may have died."""
    mark, homes = _mark(k0), load(at + HOMES)
    home = mark & (homes - 1)
    for _ in range(_TRIES):
        before = load(at + CHANGES)
        for number in range(home, homes + _SPARE):
            word = load(_slot(at, number))
            if word == 0:
                break
            if word >> 32 & LOW == mark:
                sequence = _matches(record_at(at, word & LOW), k0, k1)
                if sequence == BUSY:
                    return BUSY, 0
                if sequence >= 0:
                    return word & LOW, sequence
        if before & 1 == 0 and load(at + CHANGES) == before:
            return ABSENT, 0
        pause()
    return BUSY, 0


@kernel
def table_locate(at, k0, k1):
    """The writer's search: (slot, number of the record) or (the empty slot that ends the run, 0); (-1, 0) when the run is full."""
    mark, homes = _mark(k0), load(at + HOMES)
    for slot in range(mark & (homes - 1), homes + _SPARE):
        word = load(_slot(at, slot))
        if word == 0:
            return slot, 0
        if word >> 32 & LOW == mark:
            record = record_at(at, word & LOW)
            if load(record + KEY0) == k0 and load(record + KEY1) == k1:
                return slot, word & LOW
    return -1, 0


@kernel
def table_has_room(at, count):
    """True when the table takes `count` more names."""
    return load(at + LIVE) + count <= load(at + LIMIT)


@kernel
def table_add(at, slot, k0, number):
    """A new name in an empty slot; its record is complete."""
    store(_slot(at, slot), _mark(k0) << 32 | number)
    add(at + LIVE, 1)


@kernel
def table_replace(at, slot, k0, number):
    """Another record for a name. `table_settled` follows when the old record is free."""
    store(at + CHANGES, load(at + CHANGES) + 1)
    store(_slot(at, slot), _mark(k0) << 32 | number)


@kernel
def table_settled(at):
    store(at + CHANGES, load(at + CHANGES) + 1)


@kernel
def table_drop(at, slot):
    """Take a name out: later names of the run move into the gap, so nothing piles up. `table_settled` follows."""
    store(at + CHANGES, load(at + CHANGES) + 1)
    homes = load(at + HOMES)
    gap = slot
    for number in range(slot + 1, homes + _SPARE):
        word = load(_slot(at, number))
        if word == 0:
            break
        if (word >> 32 & LOW) & (homes - 1) <= gap:
            store(_slot(at, gap), word)         # the name is in two slots for a moment
            gap = number
    store(_slot(at, gap), 0)
    add(at + LIVE, -1)
