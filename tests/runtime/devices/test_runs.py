"""The bookkeeping of leases against a plain set of units."""

import random
from collections import deque

import pytest
from harness.interrupting import interrupted_behind_any_call

from wrp.runtime.devices.runs import Leases, Runs


@pytest.mark.parametrize("seed", range(5))
def test_a_lease_divided_and_joined(seed):
    rng = random.Random(seed)
    runs, taken = Runs(100, 64), {}
    for _ in range(400):
        if taken and rng.random() < 0.5:
            offset = rng.choice(list(taken))
            assert runs.give(offset, taken.pop(offset))
        else:
            nbytes = rng.randint(1, 9)
            offset = runs.take(nbytes)
            if offset >= 0:
                assert 100 <= offset and offset + nbytes <= 164
                assert all(offset + nbytes <= other or other + size <= offset for other, size in taken.items())
                taken[offset] = nbytes
        assert runs.free == 64 - sum(taken.values())
        pairs = runs.pairs()
        assert all(a[0] + a[1] < b[0] for a, b in zip(pairs, pairs[1:]))        # sorted, and neighbours are joined
    for offset, nbytes in taken.items():
        assert runs.give(offset, nbytes)
    assert runs.pairs() == [(100, 64)]


def test_a_double_give_is_refused():
    runs = Runs(0, 10)
    assert not runs.give(0, 1)
    assert runs.take(4) == 0
    assert not runs.give(3, 2)
    assert runs.give(0, 4)
    assert not runs.give(0, 4)


@pytest.mark.parametrize("seed", range(5))
def test_leases_know_which_are_whole(seed):
    rng = random.Random(seed)
    leases, taken = Leases(), []
    for number in range(4):
        leases.add(number * 100, 20)
    for _ in range(300):
        if taken and rng.random() < 0.55:
            assert leases.give(*taken.pop(rng.randrange(len(taken))))
        else:
            nbytes = rng.randint(1, 12)
            offset = leases.take(nbytes)
            if offset >= 0:
                taken.append((offset, nbytes))
        assert leases.free == 80 - sum(nbytes for _, nbytes in taken)
        used = {offset // 100 for offset, _ in taken}
        assert leases.whole == 4 - len(used)
    for pair in taken:
        assert leases.give(*pair)
    assert leases.give(99, 2) is None
    late = deque()
    leases.pop_whole(late)
    assert late.pop()[1] == 20
    leases.drain(late)
    assert len(late) == 3 and leases.free == leases.whole == 0


@pytest.mark.parametrize("seed", range(5))
def test_what_others_gave_back_is_of_no_lease_once_it_is_leased_again(seed):
    """Two processes lease runs of a node's units, take and give pieces, also those of the other: every unit is free in one place, or in use."""
    rng, free, processes, taken = random.Random(seed), set(range(64)), [Leases(), Leases()], []
    for _ in range(600):
        leases, nbytes = rng.choice(processes), rng.randint(1, 6)
        if taken and rng.random() < 0.5:
            offset, nbytes = taken.pop(rng.randrange(len(taken)))
            done = leases.give(offset, nbytes)
            assert done is not False
            if done is None:
                free.update(range(offset, offset + nbytes))
            while leases.whole > 1:
                late = deque()
                leases.pop_whole(late)
                (offset, nbytes, _), = late
                free.update(range(offset, offset + nbytes))
        else:
            offset = leases.take(nbytes, thorough=True)
            runs = [start for start in range(64) if set(range(start, start + 2 * nbytes)) <= free]
            if offset < 0 and runs:
                start = rng.choice(runs)
                free.difference_update(range(start, start + 2 * nbytes))
                leases.add(start, 2 * nbytes)
                offset = leases.take(nbytes, thorough=True)
            if offset >= 0:
                taken.append((offset, nbytes))
        used = [unit for offset, nbytes in taken for unit in range(offset, offset + nbytes)]
        idle = [unit for each in processes for lease in each._all for offset, nbytes in lease.pairs() for unit in range(offset, offset + nbytes)]
        assert sorted([*used, *idle, *free]) == list(range(64))
        for each in processes:
            assert all(before.offset + before.nbytes <= after.offset for before, after in zip(each._all, each._all[1:]))
            assert each.free == sum(lease.free for lease in each._all) and each.whole == sum(lease.free == lease.nbytes for lease in each._all)
            assert sorted(each._roomy) == [lease for lease in each._all if lease.free]


def test_what_is_given_back_is_free_and_told_of_or_neither_wherever_that_is_interrupted():
    step, goes_on = 1, True
    while goes_on:
        leases = Leases()
        leases.add(0, 1000)
        late = deque([(leases.take(100), 100, 100)])
        goes_on = interrupted_behind_any_call(step, lambda: leases.give(0, 100, late))
        assert (leases.free, len(late)) in ((900, 1), (1000, 0)), step
        assert sum(nbytes for lease in leases._all for _, nbytes in lease.pairs()) == leases.free and leases.whole == (not late), step
        step += 1
    assert step > 5
