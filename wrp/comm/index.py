"""A hash table in a segment: keys and values of two 64-bit words each, one writer at a time, any number of readers.

Open addressing with linear probing, at most half full, without wrap-around: a tail of spare slots follows the last home
slot. The caller serialises writers (a Token); readers take nothing and never wait.

Why a reader's answer is right:

* A slot's generation is odd while the slot is being changed. A reader copies the slot between two equal even generations,
  so it never sees half a record.
* Inserting and replacing leave every other key in its slot, and no slot between a key and its home is ever empty. So a
  reader that meets an empty slot has proof that its key was absent at some moment of its search.
* Removing moves later keys of the run one by one into the gap (Knuth, vol. 3, 6.4 R), so that no tombstones pile up. Such a
  key could slip past a reader. Therefore a word of the table, `moves`, is odd during a removal; a search that found nothing
  counts only if `moves` was even and the same before and after, else it is done again. A hit always counts.
* A scan runs from the last slot to the first. Keys move only towards lower slots, so a scan meets every key that is there all
  the time; one that moves meanwhile may come twice.
"""
import time

import numpy as np

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.errors import OutOfSpace, UsageError, WaitTimeout

# Word offsets (bytes) of the table's header
_HOMES = 0          # number of home slots, a power of two
_LIVE = 8           # keys in the table
_LIMIT = 16         # most keys it takes
_MOVES = 24         # odd while a removal moves keys
_SLOTS = 64

# Word offsets (bytes) of a slot; one cache line, so that it is moved between cores as a whole
_GENERATION = 0     # odd while the slot is being changed
_USED = 8           # 0 empty, 1 holds a key
_KEY = 16           # two words
_VALUE = 32         # two words
_SLOT = 64

_SPARE = 256        # slots after the last home slot; runs in a half full table stay below 100
_TRIES = 2000       # how often a reader looks at a slot that is being changed: some 0.1 ms
BUSY, ABSENT, FOUND, FULL = -1, 0, 1, -1


@kernel
def index_format(address, homes, limit):
    """Set the header of an empty table; the memory of its slots must be zero."""
    atomics.store(address + _LIVE, 0)
    atomics.store(address + _LIMIT, limit)
    atomics.store(address + _MOVES, 0)
    atomics.store(address + _HOMES, homes)


@kernel
def index_count(address):
    """How many keys are in the table."""
    return atomics.load(address + _LIVE)


@kernel
def _home(address, k0, k1):
    # keys are hashes already; k1 is mixed in for callers whose k0 is small
    return ((k0 ^ (k0 >> 32)) + k1 * 31) & (atomics.load(address + _HOMES) - 1)


@kernel
def _slot_at(address, number):
    return address + _SLOTS + number * _SLOT


@kernel
def _slots(address):
    return atomics.load(address + _HOMES) + _SPARE


@kernel
def _read(slot, k0, k1, any_key, out):
    """Compare a slot's key and copy its value to `out` (if not 0): 1 is it, 0 another key, 2 empty, -1 busy."""
    for _ in range(_TRIES):
        before = atomics.load(slot + _GENERATION)
        if before & 1 == 0:
            used = atomics.load(slot + _USED)
            same = any_key or (atomics.load(slot + _KEY) == k0 and atomics.load(slot + _KEY + 8) == k1)
            v0 = atomics.load(slot + _VALUE)
            v1 = atomics.load(slot + _VALUE + 8)
            if atomics.load(slot + _GENERATION) == before:
                if used == 0:
                    return 2
                if same and out != 0:
                    atomics.store(out, v0)
                    atomics.store(out + 8, v1)
                return 1 if same else 0
        atomics.pause()
    return BUSY


@kernel
def _search(address, k0, k1, out):
    for number in range(_home(address, k0, k1), _slots(address)):
        state = _read(_slot_at(address, number), k0, k1, False, out)
        if state != 0:
            return ABSENT if state == 2 else state
    return ABSENT


@kernel
def index_find(address, k0, k1, out_address):
    """Copy the value of a key to the two words at `out_address` (unless 0): 1 found, 0 absent, -1 busy.

    Needs no token. Busy means that a slot or the table was being changed at every one of a bounded number of looks: nap
    and ask again; a writer that died there leaves it busy for ever.
    """
    for _ in range(_TRIES):
        before = atomics.load(address + _MOVES)
        state = _search(address, k0, k1, out_address)
        if state != ABSENT:
            return state
        if before & 1 == 0 and atomics.load(address + _MOVES) == before:
            return ABSENT
        atomics.pause()
    return BUSY


@kernel
def _write(slot, used, k0, k1, v0, v1):
    generation = atomics.load(slot + _GENERATION)
    atomics.store(slot + _GENERATION, generation + 1)
    atomics.store(slot + _USED, used)
    atomics.store(slot + _KEY, k0)
    atomics.store(slot + _KEY + 8, k1)
    atomics.store(slot + _VALUE, v0)
    atomics.store(slot + _VALUE + 8, v1)
    atomics.store(slot + _GENERATION, generation + 2)


@kernel
def _locate(address, k0, k1):
    """The writer's search: (number of the key's slot or -1, number of the empty slot that ends its run or -1)."""
    for number in range(_home(address, k0, k1), _slots(address)):
        state = _read(_slot_at(address, number), k0, k1, False, 0)
        if state == 1:
            return number, -1
        if state == 2:
            return -1, number
    return -1, -1


@kernel
def index_insert(address, k0, k1, v0, v1, out_address):
    """Set the value of a key: 0 new, 1 replaced (the value before goes to `out_address`, unless 0), -1 full. One writer."""
    number, empty = _locate(address, k0, k1)
    if number >= 0:
        slot = _slot_at(address, number)
        if out_address != 0:
            atomics.copy(out_address, slot + _VALUE, 16)
        _write(slot, 1, k0, k1, v0, v1)
        return 1
    live = atomics.load(address + _LIVE)
    if empty < 0 or live >= atomics.load(address + _LIMIT):
        return FULL
    _write(_slot_at(address, empty), 1, k0, k1, v0, v1)
    atomics.store(address + _LIVE, live + 1)
    return 0


@kernel
def index_remove(address, k0, k1, out_address):
    """Take a key out: 1 removed (its value goes to `out_address`, unless 0), 0 absent. One writer."""
    gap, _ = _locate(address, k0, k1)
    if gap < 0:
        return 0
    if out_address != 0:
        atomics.copy(out_address, _slot_at(address, gap) + _VALUE, 16)
    moves = atomics.load(address + _MOVES)
    atomics.store(address + _MOVES, moves + 1)
    for number in range(gap + 1, _slots(address)):
        slot = _slot_at(address, number)
        if atomics.load(slot + _USED) == 0:
            break
        k0 = atomics.load(slot + _KEY)
        k1 = atomics.load(slot + _KEY + 8)
        if _home(address, k0, k1) <= gap:
            # the key is in both slots for a moment; both show the same value
            _write(_slot_at(address, gap), 1, k0, k1, atomics.load(slot + _VALUE), atomics.load(slot + _VALUE + 8))
            gap = number
    _write(_slot_at(address, gap), 0, 0, 0, 0, 0)
    atomics.store(address + _MOVES, moves + 2)
    atomics.add(address + _LIVE, -1)
    return 1


@kernel
def index_scan(address, start, out):
    """Copy values to `out` (int64, n x 2) from step `start` (0 at first): (values copied, next step or -1 at the end).

    (-1, start) if the slot at `start` is busy. A key that is moved meanwhile may come twice; none that stays is missed.
    """
    steps = _slots(address)
    count = 0
    for step in range(start, steps):
        if count == len(out):
            return count, step
        state = _read(_slot_at(address, steps - 1 - step), 0, 0, True, out.ctypes.data + count * 16)
        if state == BUSY:
            return (count, step) if count > 0 else (-1, step)
        if state == 1:
            count += 1
    return count, -1


class Index:
    """The table at an address. `insert` and `remove` need the writers' Token, which the caller holds."""

    def __init__(self, address):
        self.address = address

    @staticmethod
    def nbytes(capacity):
        """The bytes that a table for `capacity` keys takes: 128 to 256 for each key."""
        return _SLOTS + (_homes(capacity) + _SPARE) * _SLOT

    @classmethod
    def create(cls, segment, offset, capacity):
        """Make an empty table for `capacity` keys at `offset` of the segment; backs and clears its memory."""
        segment.reserve(offset, cls.nbytes(capacity))
        atomics.clear(segment.address + offset, cls.nbytes(capacity))
        index_format(segment.address + offset, _homes(capacity), capacity)
        return cls(segment.address + offset)

    @classmethod
    def attach(cls, segment, offset):
        """The table that lies at `offset` already."""
        return cls(segment.address + offset)

    def __len__(self):
        return index_count(self.address)

    def find(self, key, timeout_s=10.0):
        """The value (two ints) of `key` (two ints), or None; WaitTimeout if a writer keeps the slot for `timeout_s`."""
        out = np.empty(2, dtype=np.int64)
        place = out.ctypes.data
        state = index_find(self.address, *key, place)
        if state == BUSY:
            state = self._patient(lambda: index_find(self.address, *key, place), lambda code: code != BUSY, timeout_s)
        return (int(out[0]), int(out[1])) if state == FOUND else None

    def insert(self, key, value):
        """Set the value of `key`; the value before, or None. OutOfSpace if the table is full."""
        out = np.empty(2, dtype=np.int64)
        state = index_insert(self.address, *key, *value, out.ctypes.data)
        if state == FULL:
            raise OutOfSpace(f"The table of {len(self)} keys is full; make it larger when it is created.")
        return (int(out[0]), int(out[1])) if state == 1 else None

    def remove(self, key):
        """Take `key` out; the value it had, or None."""
        out = np.empty(2, dtype=np.int64)
        return (int(out[0]), int(out[1])) if index_remove(self.address, *key, out.ctypes.data) else None

    def values(self, timeout_s=10.0):
        """Every value as an int64 array (n x 2); one that is moved by a removal meanwhile may come twice."""
        parts, step = [], 0
        while step >= 0:
            out = np.empty((4096, 2), dtype=np.int64)
            count, step = self._patient(lambda: index_scan(self.address, step, out), lambda reply: reply[0] >= 0, timeout_s)
            parts.append(out[:count])
        return np.concatenate(parts)

    def _patient(self, ask, is_answer, timeout_s):
        """Ask until the answer isn't "busy"; naps, because the writer may wait for this core."""
        deadline = time.monotonic() + timeout_s
        reply = ask()
        while not is_answer(reply):
            if time.monotonic() >= deadline:
                raise WaitTimeout(f"A slot of the table was being changed for {timeout_s} s: the process that writes it is "
                                  "stopped, or died inside; end this job and start again.")
            atomics.nap(200)
            reply = ask()
        return reply


def _homes(capacity):
    if capacity < 1:
        raise UsageError(f"A table takes at least one key, not {capacity}.")
    return 1 << (2 * capacity - 1).bit_length()
