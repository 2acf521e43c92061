"""Board: what the processes of a node that use one safe device tell each other, as words in the segment. Moves no bytes of the device; who asks for changes: asking.py."""

import ctypes
import json
import os
from contextlib import contextmanager

import numpy as np

from wrp.comm import atomics
from wrp.comm.heir import inherited
from wrp.comm.lock import Token, is_alive
from wrp.errors import StoreError
from wrp.runtime import bdev
from wrp.runtime.devices.safe import asking
from wrp.runtime.devices.safe.layout import MOST, SLOTS

_SLOT = 128                     # of each slot: a token, the number of its last write, that of the last one that a sync waited for
_SEQ, _SYNCED = 64, 72
_SET = SLOTS * _SLOT            # a token, for who changes labels
_VERSION, _OUT, _JOINING, _BROKEN, _USERS = (_SET + 64 + 8 * number for number in range(5))
_TURNS = _SET + 128             # a word of each position: how often another file came to stand there
_WORKERS = _TURNS + 8 * MOST    # a pid for each position: of who recovers its member; then those of who looks at all rows
_LOOKS = 32
_EDITION = _WORKERS + 8 * (MOST + _LOOKS)           # of the paths: odd while they are written
_PATHS = _EDITION + 8           # their bytes, then JSON
_PATHS_NBYTES = 32 << 10
ASKING = _PATHS + 8 + _PATHS_NBYTES
NBYTES = ASKING + asking.NBYTES

# counters: words among the facts of the device, by their distance from the first
UNDER_WAY, RECOVERED, LOST, _OUT_TOO, ROWS, _DONE, _NOW, MAX_FAILURES = (word - bdev.UNDER_WAY for word in (
    bdev.UNDER_WAY, bdev.RECOVERED, bdev.LOST, bdev.OUT, bdev.RECOVERY_ROWS, bdev.RECOVERY_DONE, bdev.RECOVERY_NOW, bdev.MAX_FAILURES))
COUNTERS_NBYTES = bdev.FACTS_NBYTES - bdev.UNDER_WAY


class Board:
    """At an address of zeroed memory. counters : address of COUNTERS_NBYTES that anybody may look at

    `out`: bits of members that aren't read; `joining`: those of them that are written already, while they are rebuilt; `version`: changes with the labels
    """

    def __init__(self, address, counters, timeout_s):
        self._address, self._counters, self._timeout_s = address, counters, timeout_s
        self._tokens = [Token(address + slot * _SLOT, f"zone {slot} of a safe device") for slot in range(SLOTS)]
        self._set = Token(address + _SET, "the labels of a safe device")
        self.asking = asking.Asking(address + ASKING)

    @classmethod
    def private(cls):
        """One for an array that nobody else of this process's node has open."""
        words = np.zeros((NBYTES + COUNTERS_NBYTES) // 8, np.int64)
        board = cls(words.ctypes.data, words.ctypes.data + NBYTES, 300.0)
        board._words = words
        return board

    version = property(lambda self: atomics.load(self._address + _VERSION))
    out = property(lambda self: atomics.load(self._address + _OUT))
    joining = property(lambda self: atomics.load(self._address + _JOINING))
    is_broken = property(lambda self: atomics.load(self._address + _BROKEN) != 0)

    is_under_way = property(lambda self: atomics.load(self._counters + UNDER_WAY) != 0)

    def set(self, out, joining=0):
        """Who isn't read, and who of them is written. With the labels' token held."""
        # first: who sees one of the others sees that labels and files have changed
        atomics.add(self._address + _VERSION, 1)
        atomics.store(self._address + _JOINING, joining)
        atomics.store(self._address + _OUT, out)
        atomics.store(self._counters + _OUT_TOO, out)

    def turn(self, position):
        """Another file stands at a position. With the labels' token held, before `set`."""
        atomics.add(self._address + _TURNS + 8 * position, 1)

    def turns(self):
        return [atomics.load(self._address + _TURNS + 8 * position) for position in range(MOST)]

    def break_off(self):
        """No more writes: rows may lie between two of them."""
        atomics.store(self._address + _BROKEN, 1)

    def begin_counting(self, failures):
        """An earlier device may have had the counters."""
        for word in (UNDER_WAY, RECOVERED, LOST, _OUT_TOO, ROWS, _DONE, _NOW):
            atomics.store(self._counters + word, 0)
        atomics.store(self._counters + MAX_FAILURES, failures)

    def count(self, counter, change=1):
        atomics.add(self._counters + counter, change)

    def counted(self, counter):
        return atomics.load(self._counters + counter)

    def begin_work(self, position=None):
        """Let be seen that this process recovers the member at a position, or looks at all rows: what `end_work` takes. With the labels' token held."""
        place = next((place for place in range(MOST, MOST + _LOOKS) if not self.is_at_work(place)), None) if position is None else position
        if place is None:
            raise StoreError(f"safe device: {_LOOKS} looks at all its rows are under way: wait for one of them")
        if not self._at_work:
            for word in (ROWS, _DONE, _NOW):           # one that was killed has left them as they were
                atomics.store(self._counters + word, 0)
        atomics.store(self._address + _WORKERS + 8 * place, os.getpid())
        return place

    def end_work(self, place):
        atomics.store(self._address + _WORKERS + 8 * place, 0)

    def is_at_work(self, place):
        """True while a process that lives recovers the member at a position."""
        pid = atomics.load(self._address + _WORKERS + 8 * place)
        return pid != 0 and is_alive(pid)

    @property
    def _at_work(self):
        return sum(map(self.is_at_work, range(MOST + _LOOKS)))

    @contextmanager
    def part(self, rows):
        """Let be seen that so many rows are just gone through."""
        self.count(_NOW, rows)
        try:
            yield
            self.count(_DONE, rows)
        finally:
            self.count(_NOW, -rows)

    @property
    def recovery_ops(self):
        """(how many recoveries are under way, rows that they go through, rows done, rows they are at)."""
        return (self._at_work, *map(self.counted, (ROWS, _DONE, _NOW)))

    # which members there are, for who has none of them open

    def name(self, paths):
        """With the labels' token held."""
        data = json.dumps(paths).encode()
        atomics.store(self._address + _EDITION, atomics.load(self._address + _EDITION) | 1)
        atomics.store(self._address + _PATHS, len(data))
        ctypes.memmove(self._address + _PATHS + 8, data, min(len(data), _PATHS_NBYTES))
        atomics.add(self._address + _EDITION, 1)

    @property
    def paths(self):
        """Of the members by position, "" of those that were removed; none where they are just being written."""
        edition = atomics.load(self._address + _EDITION)
        data = ctypes.string_at(self._address + _PATHS + 8, min(atomics.load(self._address + _PATHS), _PATHS_NBYTES))
        return json.loads(data) if edition and not edition & 1 and atomics.load(self._address + _EDITION) == edition else []

    @contextmanager
    def zone(self, slot, after_death):
        """Hold a slot's token. `after_death(slot)` is called first where its last holder died inside; nobody writes any more if it fails."""
        with inherited(self._tokens[slot], self._timeout_s) as died:
            if died:
                self._called(after_death, slot)
            yield

    def _called(self, after_death, slot):
        try:
            after_death(slot)
        except BaseException:
            self.break_off()
            raise

    @contextmanager
    def labels(self):
        """Hold the labels' token."""
        # who died in the middle, or was stopped by an error, may have left labels that are newer than all know
        with inherited(self._set, self._timeout_s) as died:
            if died:
                atomics.add(self._address + _VERSION, 1)
            try:
                yield
            except BaseException:
                atomics.add(self._address + _VERSION, 1)
                raise

    def next(self, slot):
        """The number of a new write; its low 32 bits aren't 0."""
        seq = atomics.add(self._address + slot * _SLOT + _SEQ, 1) + 1
        return seq if seq & 0xFFFFFFFF else self.next(slot)

    def last(self, slot):
        """The number of the last write."""
        return atomics.load(self._address + slot * _SLOT + _SEQ)

    def begin(self, slot, seq):
        """Numbers of a slot go on behind this one, and all up to it count as synced."""
        atomics.store(self._address + slot * _SLOT + _SEQ, seq)
        atomics.store(self._address + slot * _SLOT + _SYNCED, seq)

    def seqs(self):
        return [atomics.load(self._address + slot * _SLOT + _SEQ) for slot in range(SLOTS)]

    def synced(self, seqs):
        """A sync waited for writes up to these numbers."""
        for slot, seq in enumerate(seqs):
            if seq > atomics.load(self._address + slot * _SLOT + _SYNCED):
                atomics.store(self._address + slot * _SLOT + _SYNCED, seq)

    def is_synced(self, slot, word):
        """True when a sync may have promised a chunk whose entry has this number (the low 32 bits of one)."""
        return (atomics.load(self._address + slot * _SLOT + _SYNCED) - word) & 0xFFFFFFFF < 1 << 31

    def join(self):
        atomics.add(self._address + _USERS, 1)

    def leave(self):
        """True for the last process of the node that leaves."""
        return atomics.add(self._address + _USERS, -1) == 1
