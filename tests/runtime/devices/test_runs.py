"""The bookkeeping of leases against a plain set of units."""

import random

import pytest

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
    assert leases.pop_whole()[1] == 20
    assert len(leases.drain()) == 3 and leases.free == leases.whole == 0
