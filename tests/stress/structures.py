"""Stress of what processes share: the ring, the index, the extents, the token. Several processes, one of them killed in the middle.

    python tests/stress/structures.py --minutes M

Every round makes a structure in shared memory, lets processes change it for a moment in jitted loops, kills one of them with
SIGKILL where asked, and checks what must hold then. A process that dies inside a critical section is found by its pid: what it was
changing isn't looked at any more, and that is what is checked.
"""

import argparse
import os
import random
import signal
import sys
import time

from wrp.comm import atomics
from wrp.comm.extents import Extents, extents_give, extents_take
from wrp.comm.index import ABSENT, FOUND, Index, index_find, index_insert, index_remove
from wrp.comm.jit import kernel
from wrp.comm.lock import NBYTES as TOKEN_NBYTES
from wrp.comm.lock import DeadHolder, Token, token_give, token_take
from wrp.comm.ring import Ring, ring_pop, ring_push
from wrp.comm.segment import Segment

_PROCESSES = 4
_KEYS = 512
_UNITS = 1024               # of the device whose extents are stressed, each a page
_UNIT = 4096
_RUNS = 64                  # that a process holds, at most
_STATS = 256                # bytes for each process


@kernel
def _next(seed):
    """A pseudo-random number, the seed of the next (xorshift)."""
    seed ^= (seed << 13) & 0x7FFFFFFFFFFFFFFF
    seed ^= seed >> 7
    return seed ^ ((seed << 17) & 0x7FFFFFFFFFFFFFFF)


@kernel
def _taken(token, holder, until):
    """True when the token is ours; False at the time."""
    while token_take(token, holder) != 0:
        if atomics.now_ns() >= until:
            return False
        atomics.yield_core()
    return True


# the ring: two push, two pop

@kernel
def push_loop(ring, number, until, stats):
    """Push number << 32 | 0, 1, 2, ...; the first word of `stats` counts."""
    done = 0
    while atomics.now_ns() < until:
        if ring_push(ring, number << 32 | done):
            done += 1
            atomics.store(stats, done)
        else:
            atomics.yield_core()


@kernel
def pop_loop(ring, until, stats):
    """Pop; per pusher count, sum, last one; word 12: values that came out of order."""
    while atomics.now_ns() < until:
        value = ring_pop(ring)
        if value < 0:
            atomics.yield_core()
            continue
        place, value = stats + (value >> 32) * 24, value & 0xFFFFFFFF
        if value < atomics.load(place + 16):
            atomics.add(stats + 96, 1)
        atomics.store(place, atomics.load(place) + 1)
        atomics.store(place + 8, atomics.load(place + 8) + value)
        atomics.store(place + 16, value + 1)


def ring(arena, until, number):
    """What process `number` does."""
    if number < 2:
        push_loop(arena.place, number, until, arena.stats(number))
    else:
        pop_loop(arena.place, until + 20_000_000, arena.stats(number))      # the pushers end first


def ring_holds(arena, killed):
    """Nothing was popped twice or out of order; nothing is lost but what a killed process had in its hands."""
    left = Ring.attach(arena.segment, arena.offset)
    drained = [[], []]
    while (value := left.pop()) >= 0:
        drained[value >> 32].append(value & 0xFFFFFFFF)
    blocked = len(left)                     # values behind a slot that the killed process took and didn't fill
    assert blocked == 0 or killed is not None
    for pusher in range(2):
        pushed = atomics.load(arena.stats(pusher))
        counts = [atomics.load(arena.stats(popper) + pusher * 24) for popper in (2, 3)]
        sums = [atomics.load(arena.stats(popper) + pusher * 24 + 8) for popper in (2, 3)]
        popped, total = sum(counts) + len(drained[pusher]), sum(sums) + sum(drained[pusher])
        assert drained[pusher] == sorted(set(drained[pusher]))
        if killed is None:
            assert (popped, total) == (pushed, pushed * (pushed - 1) // 2)
        else:
            assert pushed - blocked - 1 <= popped <= pushed + 1, (pushed, popped, blocked)
    assert all(atomics.load(arena.stats(popper) + 96) == 0 for popper in (2, 3))


# the index: two write, by turns, two read

@kernel
def write_loop(index, token, holder, until, seed, stats):
    """Insert and remove odd keys, replace even ones, which are there all the time; a value is (v, ~v)."""
    while atomics.now_ns() < until and _taken(token, holder, until):
        seed = _next(seed)
        key, value = seed % _KEYS, seed >> 8
        if key % 2 == 1 and seed & 1024:
            index_remove(index, key * 7919, key, 0)
        else:
            index_insert(index, key * 7919, key, value, ~value, 0)
        atomics.store(stats, atomics.load(stats) + 1)
        token_give(token)


@kernel
def read_loop(index, until, seed, stats):
    """Words of `stats`: found, absent, busy, torn values, even keys that weren't there."""
    left = _KEYS            # looks that are made though the time is over
    while atomics.now_ns() < until or left > 0:
        left -= 1
        seed = _next(seed)
        key = seed % _KEYS
        state = index_find(index, key * 7919, key, stats + 64)
        if state == FOUND:
            atomics.add(stats, 1)
            if atomics.load(stats + 64) != ~atomics.load(stats + 72):
                atomics.add(stats + 24, 1)
        elif state == ABSENT:
            atomics.add(stats + 8, 1)
            if key % 2 == 0:
                atomics.add(stats + 32, 1)
        else:
            atomics.add(stats + 16, 1)


def index(arena, until, number):
    if number < 2:
        write_loop(arena.place, arena.token.address, _holder(), until, arena.seed + number, arena.stats(number))
    else:
        read_loop(arena.place, until, arena.seed + number, arena.stats(number))


def index_holds(arena, killed):
    """No reader has seen a torn value or missed a key that was there; the table is whole, unless a writer died while it changed it."""
    for reader in (2, 3):
        assert [atomics.load(arena.stats(reader) + word) for word in (24, 32)] == [0, 0]
        assert reader == killed or atomics.load(arena.stats(reader)) > 0
    table = Index.attach(arena.segment, arena.offset)
    if not arena.is_whole():
        return
    found = [table.find((key * 7919, key), 1.0) for key in range(_KEYS)]
    assert all(value is None or value[0] == ~value[1] for value in found) and None not in found[::2]
    assert len(table) == sum(value is not None for value in found) == len(table.values())


# the extents: everybody takes and gives, by turns, and marks what it has

@kernel
def extents_loop(extents, token, holder, until, seed, marks, number, mine):
    """Take and give runs. Unit u is marked (word u of `marks`) by who has it; `mine`: _RUNS pairs in memory of the process.

    Gives how often a unit was given to two.
    """
    wrong = 0
    while atomics.now_ns() < until and _taken(token, holder, until):
        seed = _next(seed)
        pair = mine + (seed % _RUNS) * 16
        if atomics.load(pair + 8) == 0:
            units = 1 + (seed >> 20) % 16
            offset = extents_take(extents, units * _UNIT, _UNIT)
            if offset >= 0:
                wrong += _mark(marks, offset, units, 0, number)
                atomics.store(pair, offset)
                atomics.store(pair + 8, units)
        else:
            wrong += _mark(marks, atomics.load(pair), atomics.load(pair + 8), number, 0)
            wrong += extents_give(extents, atomics.load(pair), atomics.load(pair + 8) * _UNIT) != 0
            atomics.store(pair + 8, 0)
        token_give(token)
    return wrong


@kernel
def _mark(marks, offset, units, before, after):
    wrong = 0
    for unit in range(offset // _UNIT, offset // _UNIT + units):
        wrong += atomics.swap(marks + 8 * unit, before, after) != before
    return wrong


def extents(arena, until, number):
    mine = arena.stats(_PROCESSES) + number * 16 * _RUNS
    wrong = extents_loop(arena.place, arena.token.address, _holder(), until, arena.seed + number, arena.marks, number + 1, mine)
    if wrong:
        os._exit(9)


def extents_holds(arena, killed):
    """Runs are in order, apart and joined; what is free and what is held is all there is; given back it is one run again."""
    table = Extents.attach(arena.segment, arena.offset)
    if not arena.is_whole():
        return
    runs = table.runs()
    assert all(a + n < b for (a, n), (b, _) in zip(runs, runs[1:]))
    assert table.free == sum(nbytes for _, nbytes in runs)
    marked = [unit for unit in range(_UNITS) if atomics.load(arena.marks + 8 * unit)]
    assert table.free == (_UNITS - len(marked)) * _UNIT
    for unit in marked:
        table.give(unit * _UNIT, _UNIT)
    assert table.runs() == [(0, _UNITS * _UNIT)]


# the token: everybody adds to a counter that isn't atomic

@kernel
def token_loop(token, holder, until, counter, stats):
    while atomics.now_ns() < until and _taken(token, holder, until):
        seen = atomics.load(counter)
        for _ in range(seen % 8):
            atomics.pause()
        atomics.store(counter, seen + 1)
        atomics.store(stats, atomics.load(stats) + 1)
        token_give(token)


def token(arena, until, number):
    token_loop(arena.token.address, _holder(), until, arena.place, arena.stats(number))


def token_holds(arena, killed):
    """The counter is the sum of what everybody counted; who dies between the two counts at most one more."""
    total = sum(atomics.load(arena.stats(number)) for number in range(_PROCESSES))
    assert atomics.load(arena.place) - total in ((0,) if killed is None else (0, 1)) and total > 0
    arena.is_whole()


KINDS = {"ring": (ring, ring_holds), "index": (index, index_holds), "extents": (extents, extents_holds), "token": (token, token_holds)}


def _holder():
    return os.getpid() << 32 | os.getpid()


class Arena:
    """The memory of one round. `place`: address of the structure; `offset`: the same in the segment."""

    def __init__(self, segment, kind, seed):
        self.segment, self.seed = segment, seed
        words = segment.place("words", TOKEN_NBYTES + _PROCESSES * (_STATS + 16 * _RUNS) + 8 * _UNITS)[0]
        segment.reserve(words, TOKEN_NBYTES + _PROCESSES * (_STATS + 16 * _RUNS) + 8 * _UNITS)
        self.token = Token(segment.address + words, "the structure under stress")
        self._stats = segment.address + words + TOKEN_NBYTES
        self.marks = self._stats + _PROCESSES * (_STATS + 16 * _RUNS)
        makers = {"ring": (Ring, 256), "index": (Index, 2 * _KEYS), "extents": (Extents, 4096)}
        if kind in makers:
            cls, count = makers[kind]
            self.offset = segment.place("structure", cls.nbytes(count))[0]
            cls.create(segment, self.offset, *((_UNITS * _UNIT, count) if kind == "extents" else (count,)))
        else:
            self.offset = segment.place("counter", 64)[0]
            segment.reserve(self.offset, 64)
        self.place = segment.address + self.offset
        if kind == "index":
            for key in range(0, _KEYS, 2):
                index_insert(self.place, key * 7919, key, key, ~key, 0)

    def stats(self, number):
        return self._stats + number * _STATS

    def is_whole(self):
        """True; False when a process died while it held the token: then that is what everybody is told."""
        try:
            with self.token.held(timeout_s=5):
                return True
        except DeadHolder:
            assert self.token.holder
            return False


def round_of(kind, seconds, seed, kills):
    """One round; raises AssertionError when something doesn't hold."""
    work, holds = KINDS[kind]
    rng = random.Random(seed)
    with Segment.private(4 << 20) as segment:
        arena, pids = Arena(segment, kind, seed), []
        until = atomics.now_ns() + int(seconds * 1e9)
        killed = rng.randrange(_PROCESSES) if kills else None
        for number in range(_PROCESSES):        # who is to be killed doesn't end before
            pids.append(_forked(work, arena, until + 10**11 if number == killed else until, number))
        if kills:
            time.sleep(rng.uniform(0.2, 0.8) * seconds)
            os.kill(pids[killed], signal.SIGKILL)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        assert all(code == (-signal.SIGKILL if number == killed else 0) for number, code in enumerate(codes)), codes
        holds(arena, killed)


def _forked(work, arena, until, number):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(arena, until, number)
            code = 0
        finally:
            os._exit(code)
    return pid


def prepare():
    """Compile the loops before anybody forks."""
    for kind in KINDS:
        with Segment.private(4 << 20) as segment:
            arena = Arena(segment, kind, 1)
            for number in range(_PROCESSES):
                KINDS[kind][0](arena, 1, number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None, help="of the first round (default: any)")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else time.time_ns() & 0xFFFFFF
    prepare()
    until, rounds = time.monotonic() + 60 * args.minutes, 0
    while time.monotonic() < until:
        for kind in KINDS:
            for kills in (False, True):
                try:
                    round_of(kind, 0.3, seed, kills)
                except BaseException:
                    print(f"{kind}, kills {kills}, seed {seed}", file=sys.stderr)
                    raise
                seed, rounds = seed + 1, rounds + 1
    print(f"{rounds} rounds: everything held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
