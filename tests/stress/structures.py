"""Stress of what processes share: the ring, the catalog, the extents, the token. Several processes, one of them killed in the middle.

    python tests/stress/structures.py --minutes M

Every round makes a structure in shared memory (the catalog's names are in names.py), lets processes change it for a moment in jitted loops, kills one of them with
SIGKILL where asked, and checks what must hold then. A process that dies inside a critical section is found by its pid: what it was
changing isn't looked at any more, and that is what is checked.
"""

import argparse
import os
import random
import signal
import sys
import time
from contextlib import closing

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from stress.names import Names
from stress.turns import next_seed, taken
from wrp.comm import atomics
from wrp.comm.extents import Extents, extents_give, extents_take
from wrp.comm.jit import kernel
from wrp.comm.lock import NBYTES as TOKEN_NBYTES
from wrp.comm.lock import DeadHolder, Token, token_give
from wrp.comm.ring import Ring, ring_pop, ring_push
from wrp.comm.segment import Segment

_PROCESSES = 4
_UNITS = 1024               # of the device whose extents are stressed, each a page
_UNIT = 4096
_RUNS = 64                  # that a process holds, at most
_STATS = 256                # bytes for each process


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


# the catalog: two put and remove names, by turns, two read them

def catalog(arena, until, number):
    seed, stats = arena.seed + number, arena.stats(number)
    if number < 2:
        arena.names.change(_holder(), until, seed, stats)
    else:
        arena.names.read(until, seed, stats)


def catalog_holds(arena, killed):
    """No reader has seen a torn record or missed a name that was there; the catalog is whole, or says that who changed it has died."""
    for reader in (2, 3):
        assert [atomics.load(arena.stats(reader) + word) for word in (24, 32)] == [0, 0]
        assert reader == killed or atomics.load(arena.stats(reader)) > 0
    assert [atomics.load(arena.stats(writer) + 8) for writer in (0, 1)] == [0, 0]
    if arena.is_whole():
        arena.names.are_whole()
    else:
        arena.names.say_who_died()


# the extents: everybody takes and gives, by turns, and marks what it has

@kernel
def extents_loop(extents, token, holder, until, seed, marks, number, mine):
    """Take and give runs. Unit u is marked (word u of `marks`) by who has it; `mine`: _RUNS pairs in memory of the process.

    Gives how often a unit was given to two.
    """
    wrong = 0
    while atomics.now_ns() < until and taken(token, holder, until):
        seed = next_seed(seed)
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
    while atomics.now_ns() < until and taken(token, holder, until):
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


KINDS = {"ring": (ring, ring_holds), "catalog": (catalog, catalog_holds), "extents": (extents, extents_holds), "token": (token, token_holds)}


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
        makers = {"ring": (Ring, 256), "extents": (Extents, 4096)}
        self.names = Names() if kind == "catalog" else None
        if self.names is not None:
            self.token, self.offset = self.names.token, 0
        elif kind in makers:
            cls, count = makers[kind]
            self.offset = segment.place("structure", cls.nbytes(count))[0]
            cls.create(segment, self.offset, *((_UNITS * _UNIT, count) if kind == "extents" else (count,)))
        else:
            self.offset = segment.place("counter", 64)[0]
            segment.reserve(self.offset, 64)
        self.place = segment.address + self.offset

    def stats(self, number):
        return self._stats + number * _STATS

    def close(self):
        if self.names is not None:
            self.names.catalog.close()

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
    with Segment.private(4 << 20) as segment, closing(Arena(segment, kind, seed)) as arena:
        pids = []
        if kind == "token":
            token(arena, 0, 0)                  # its kernel is there before anybody's time begins
        killed = rng.randrange(_PROCESSES) if kills else None
        for number in range(_PROCESSES):        # who is to be killed doesn't end before
            pids.append(_forked(work, arena, seconds + (100 if number == killed else 0), number))
        if kills:
            time.sleep(rng.uniform(0.2, 0.8) * seconds)
            os.kill(pids[killed], signal.SIGKILL)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        assert all(code == (-signal.SIGKILL if number == killed else 0) for number, code in enumerate(codes)), codes
        holds(arena, killed)


def _forked(work, arena, seconds, number):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(arena, atomics.now_ns() + int(seconds * 1e9), number)
            code = 0
        finally:
            os._exit(code)
    return pid


def prepare():
    """Compile the loops before anybody forks."""
    for kind in KINDS:
        with Segment.private(4 << 20) as segment, closing(Arena(segment, kind, 1)) as arena:
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
