"""Placement: one contract for all policies, the order of each, names and refusals."""

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as some
from wrp.cte import placement
from wrp.cte.placement import Request, Target, automatic_score
from wrp.cte.placement.log import Recorder, replay
from wrp.errors import UsageError

GIB = 1 << 30
RAM = Target(0, "ram", "ram", 0.9, GIB, GIB, 8000, 9000, 1, 0)
NVME = Target(1, "nvme", "file", 0.5, 4 * GIB, 4 * GIB, 2000, 3000, 80, 2)
DISK = Target(2, "disk", "file", 0.1, 16 * GIB, 16 * GIB, 200, 250, 5000, 2)
NAS = Target(3, "nas", "file", 0.0, 64 * GIB, 64 * GIB, 300, 300, 9000, 2)
ALL = [DISK, RAM, NAS, NVME]
LARGE, SMALL = 1 << 20, 4096


def order(name, request, targets=tuple(ALL)):
    return placement.make(name).order(request, targets)


@pytest.mark.parametrize("request_, expected", [
    (Request(LARGE, 1.0), [0, 1, 3, 2]),                # by write bandwidth
    (Request(SMALL, 1.0), [0, 1, 2, 3]),                # by latency
    (Request(32 << 10, 1.0), [0, 1, 3, 2]),             # from 32 KB on by bandwidth
    ((Request((32 << 10) - 1, 1.0)), [0, 1, 2, 3]),
    (Request(LARGE, 0.5), [1, 3, 2, 0]),                # a target of just the blob's score is preferred
    (Request(LARGE, 0.05), [3, 2, 1, 0]),               # fallback: the slowest first
    (Request(SMALL, 0.05), [3, 2, 1, 0]),
    (Request(LARGE, 1.0, min_persistence=1), [1, 3, 2]),
    (Request(LARGE, 1.0, target_persistence=0), [0]),
    (Request(LARGE, 1.0, 1, 0), []),
    (Request(2 * GIB, 1.0), [1, 3, 2]),                 # without those that have no room
    (Request(100 * GIB, 1.0), []),
])
def test_max_bw(request_, expected):
    assert order("max_bw", request_) == expected


def test_round_robin_begins_one_later_every_time():
    policy = placement.make("round_robin")
    assert [policy.order(Request(1, 1.0), ALL)[0] for _ in range(6)] == [2, 0, 3, 1, 2, 0]
    policy = placement.make("roundrobin")
    assert [policy.order(Request(1, 0.5), ALL) for _ in range(3)] == [[2, 3, 1, 0], [3, 1, 2, 0], [1, 2, 3, 0]]


def test_random_draws_by_its_seed_only():
    draws = [[placement.make("random", seed).order(Request(1, 1.0), ALL) for seed in (7, 7, 8, 9)] for _ in range(2)]
    assert draws[0] == draws[1] and draws[0][0] == draws[0][1]
    policy = placement.make("random", 1)
    firsts = [policy.order(Request(1, 0.5), ALL)[0] for _ in range(300)]
    assert set(firsts) == {1, 2, 3} and min(firsts.count(number) for number in {1, 2, 3}) > 60


def test_cost_weighs_speed_space_and_score():
    def filled(part):
        return [RAM._replace(remaining=int(GIB * (1 - part))), NVME]
    hot, cold = Request(LARGE, 1.0), Request(LARGE, 0.9)
    assert order("cost", Request(64 << 20, 1.0)) == [0, 1, 3, 2]
    assert order("cost", Request(100, 1.0)) == [0, 1, 2, 3]         # latency decides small ones
    # the colder blob leaves the fast target first, long before it is full
    parts = [next(part for part in range(100) if order("cost", each, filled(part / 100))[0] == 1)
             for each in (hot, cold, cold._replace(score=0.95))]
    assert 60 < parts[1] < parts[2] < parts[0] < 100
    assert order("cost", Request(LARGE, 0.0)) == [3, 2, 1, 0]       # by score where none is preferred but the last
    assert order("cost", hot, [NVME._replace(write_mbps=0, read_mbps=0), DISK]) == [2, 1]       # unknown counts as slow


TARGETS = some.lists(some.builds(Target, some.just(0), some.just("t"), some.sampled_from(["ram", "file"]), some.floats(0, 1),
                                 some.integers(0, 1 << 40), some.integers(0, 1 << 40), some.floats(0, 1e5), some.floats(0, 1e5),
                                 some.floats(0, 1e6), some.integers(0, 2)), max_size=6)
REQUESTS = some.lists(some.builds(Request, some.integers(0, 1 << 40), some.floats(0, 1), some.integers(0, 2), some.integers(-1, 2)),
                      min_size=1, max_size=5)


@pytest.mark.parametrize("name", placement.NAMES)
@given(targets=TARGETS, requests=REQUESTS)
def test_contract(name, targets, requests):
    targets = [target._replace(number=10 + number) for number, target in enumerate(targets)]
    given_to, again = placement.make(name, 3), placement.make(name, 3)
    before = list(targets)
    for request in requests:
        found = given_to.order(request, targets)
        assert found == again.order(request, targets) and targets == before         # pure
        chosen = [targets[number - 10] for number in found]
        wanted = [target.number for target in targets if target.remaining >= request.nbytes
                  and target.persistence >= request.min_persistence
                  and request.target_persistence in (-1, target.persistence)]
        assert sorted(found) == wanted
        is_preferred = [target.score <= request.score for target in chosen]
        assert is_preferred == sorted(is_preferred, reverse=True)           # the preferred ones first


def test_a_name_that_is_not_known_is_refused_with_the_nearest():
    assert placement.make("maxbw").name == "max_bw"
    with pytest.raises(UsageError, match="no placement policy 'max_bandwith': did you mean 'max_bw'"):
        placement.make("max_bandwith")
    with pytest.raises(UsageError, match="'roundrobbin': did you mean 'round_robin'"):
        placement.make("roundrobbin")
    with pytest.raises(UsageError, match="known are max_bw, round_robin, random, cost"):
        placement.make("")


@pytest.mark.parametrize("mbps, score", [(0, 0.0), (-5, 0.0), (1000, 1.0), (5000, 1.0), (100, 0.668), (30, 0.497)])
def test_automatic_score(mbps, score):
    assert automatic_score(mbps) == pytest.approx(score, abs=1e-3)


def test_many_requests_fill_targets_by_score():
    """A walk with real bookkeeping: hot blobs find room in the fast target although cold ones came first."""
    chance = random.Random(1)
    left = {target.number: target.remaining for target in ALL}
    policy, landed = placement.make("cost"), {}
    for number in range(3000):
        hot = number >= 2000
        request = Request(1 << 20, 1.0 if hot else chance.uniform(0.9, 0.91))
        chosen = policy.order(request, [target._replace(remaining=left[target.number]) for target in ALL])[0]
        left[chosen] -= request.nbytes
        landed.setdefault(hot, []).append(chosen)
    assert landed[False][-1] == 1 and landed[False].count(0) > 500
    assert landed[True][:20] == [0] * 20 and landed[True].count(0) > 50


@pytest.mark.parametrize("name", placement.NAMES)
def test_a_log_of_requests_is_replayed_to_the_same_orders(name):
    """And by another policy to its own: so they are compared on what really was asked."""
    chance, file = random.Random(3), io.StringIO()
    recorder = Recorder(file, name, 7)
    requests = [Request(chance.choice((LARGE, SMALL)), chance.random(), chance.randrange(3)) for _ in range(50)]
    shown = [chance.sample(ALL, 3) for _ in requests]
    orders = [recorder.order(request, targets) for request, targets in zip(requests, shown)]
    lines = file.getvalue().splitlines()
    assert [(request, then, now) for request, then, now in replay(lines)] == [(request, order, order) for request, order in zip(requests, orders)]
    other = placement.NAMES[placement.NAMES.index(name) - 1]
    fresh = placement.make(other, 7)
    assert [now for _, _, now in replay(lines, other)] == [fresh.order(request, targets) for request, targets in zip(requests, shown)]
    for damaged, sentence in (([], "is empty"), ([lines[0], lines[1][:-5]], "line 2"), (['{"policy": "no", "seed": 0}'], "no placement policy 'no'"), ([lines[1]], "line 1")):
        with pytest.raises(UsageError, match=sentence):
            replay(damaged)
