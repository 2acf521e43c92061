"""Eviction policies: their orders, the rule how much leaves, logs that replay, and a running store that has leave what the policy says."""

import io
import random

import pytest

from wrp.cte import Store, eviction, organizer
from wrp.cte.eviction import Blob, leave
from wrp.cte.eviction.log import Recorder, replay
from wrp.cte.organizer.simulation import Access, simulate, tiers_of
from wrp.cte.placement import Target
from wrp.errors import UsageError
from wrp.runtime.config import load

BLOBS = [Blob("a", 100, 10, 50, 1, 0.9), Blob("b", 100, 20, 0, 0, 0.9), Blob("c", 100, 30, 40, 7, 0.1), Blob("d", 100, 40, 0, 0, 1.0)]
TARGETS = [Target(0, "ram", "ram", 1.0, 1000, 1000, 8000, 8000, 1), Target(1, "file", "file", 0.2, 100_000, 100_000, 500, 500, 100)]


def names(blobs):
    return "".join(blob.name for blob in blobs)


def blobs_of(seed):
    chance = random.Random(seed)
    return [Blob(f"b{number}", chance.randrange(1, 300), chance.randrange(40), chance.choice([0, chance.randrange(60)]), chance.randrange(5), chance.choice([0.1, 0.5, 1.0]))
            for number in range(chance.randrange(1, 60))]


@pytest.mark.parametrize("name, order", [("oldest", "abcd"), ("lru", "bcda"), ("score", "cbad")])
def test_who_goes_first(name, order):
    assert names(eviction.make(name).order(BLOBS)) == order and eviction.make(name).name == name


@pytest.mark.parametrize("name", eviction.NAMES)
def test_an_order_depends_on_the_blobs_alone(name):
    for seed in range(20):
        blobs, policy = blobs_of(seed), eviction.make(name)
        order = policy.order(blobs)
        assert sorted(order) == sorted(blobs)
        random.Random(seed).shuffle(blobs)
        assert policy.order(blobs) == order == eviction.make(name).order(iter(blobs))


def test_as_many_leave_as_are_needed_and_no_more():
    gone = []

    def go(blob):
        gone.append(blob.name)
        return 0 if blob.name == "b" else blob.size         # it stays: somebody has begun to look at it
    assert leave(eviction.make("oldest"), BLOBS, 150, 1000, go) == 200 and gone == ["a", "b", "c"]
    gone.clear()
    assert leave(eviction.make("oldest"), BLOBS, 1, 3200, go) == 200 and gone == ["a", "b", "c"]         # a sixteenth of the ram at a time
    gone.clear()
    assert leave(eviction.make("oldest"), BLOBS, 10_000, 1000, go) == 300 and gone == ["a", "b", "c", "d"]
    assert leave(eviction.make("oldest"), BLOBS, 0, 0, lambda blob: 1 / 0) == 0


@pytest.mark.parametrize("name", eviction.NAMES)
def test_logs_replay(name):
    file = io.StringIO()
    recorder = Recorder(file, name)
    orders = [recorder.order(blobs_of(seed)) for seed in range(8)]
    lines = file.getvalue().splitlines()
    steps = replay(lines)
    assert [then for then, _ in steps] == orders == [now for _, now in steps]
    assert any(then != now for then, now in replay(lines, next(other for other in eviction.NAMES if other != name)))
    for damaged in ("[1]", '{"blobs": [["a"]], "order": [0]}', lines[1][:-9]):
        with pytest.raises(UsageError, match="^line 2 of the log of an eviction policy can't be read"):
            replay([lines[0], damaged])
    with pytest.raises(UsageError, match="is empty"):
        replay([])


def test_a_name_that_there_is_not():
    with pytest.raises(UsageError, match="no eviction policy 'oldst': did you mean 'oldest'"):
        eviction.make("oldst")


def test_which_policy_for_which_work():
    """New blobs beside a set that is read again and again want `lru`; a queue, in which each is read once, wants `oldest`."""
    hot = [Access("put", f"hot{number}", 100, 0.0) for number in range(3)]
    for number in range(60):
        now = number + 1.0
        hot += [Access("put", f"new{number}", 100, now), *(Access("get", f"hot{each}", 100, now + 0.1 + each / 10) for each in range(3))]
    queue = [Access("put", f"b{number}", 100, number / 100) for number in range(9)]
    for number in range(60):
        queue += [Access("get", f"b{number}", 100, number + 1.0), Access("put", f"b{number + 9}", 100, number + 1.5)]
    ratio = {(work, name): simulate(organizer.make("none", tiers_of(TARGETS)), TARGETS, trace, evict=name).hit_ratio
             for work, trace in (("hot", hot), ("queue", queue)) for name in ("oldest", "lru")}
    assert ratio["hot", "lru"] == 1.0 > ratio["hot", "oldest"] and ratio["queue", "oldest"] == 1.0 > ratio["queue", "lru"]


def test_the_simulated_store_without_a_policy_keeps_what_it_has():
    trace = [Access("put", f"b{number}", 400, float(number)) for number in range(4)] + [Access("get", f"b{number}", 400, 9.0) for number in range(4)]
    assert simulate(organizer.make("none", tiers_of(TARGETS)), TARGETS, trace).hits == 2
    outcome = simulate(organizer.make("lru", tiers_of(TARGETS)), TARGETS, trace, evict="oldest")
    assert outcome.evicted == 0 and outcome.moved > 0              # an organizer has made the room before
    assert simulate(organizer.make("none", tiers_of(TARGETS)), TARGETS, trace, evict="oldest").evicted == 800


@pytest.mark.parametrize("name", eviction.NAMES)
def test_a_store_has_leave_what_the_policy_and_the_simulation_say(tmp_path, name):
    """The same puts, reads and scores in a real store and in a simulated one: the same blobs are in ram in the end."""
    mib, chance = 1 << 20, random.Random(name)
    conf = tmp_path / "conf.yaml"
    conf.write_text("storage:\n  - {path: 'ram::r', capacity_limit: 16m, score: 0}\n  - {path: data, bdev_type: file, capacity_limit: 96m, score: 0}\n"
                    f"performance: {{eviction: {name}}}\n")
    trace, there = [], []
    for number in range(36):
        there.append(f"b{number}")
        trace.append(Access("put", there[-1], mib - 4096, 2.0 * number, chance.choice([0.2, 0.6, 1.0])))
        trace += [Access("get", chance.choice(there[-6:]), mib - 4096, 2.0 * number + 0.1 + each / 10) for each in range(chance.randrange(4))]
    with Store.open(tmp_path / "store", config=load(conf)) as store:
        for access in trace:
            if access.kind == "put":
                store.put("t", access.blob, bytes(access.nbytes), score=access.score)
                store.flush()
            else:
                store.get("t", access.blob)
        found = {blob for blob, about in store.infos("t").items() if "ram" in about.tiers}
        capacity = next(target.capacity for target in store.targets() if target.kind == "ram")
    targets = [TARGETS[0]._replace(score=0.0, capacity=capacity, remaining=capacity), TARGETS[1]._replace(score=0.0, capacity=96 * mib, remaining=96 * mib)]
    places = simulate(organizer.make("none", tiers_of(targets)), targets, trace, evict=name).places
    assert found == {blob for blob, target in places.items() if target == 0} and 8 < len(found) < 17
