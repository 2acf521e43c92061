"""Organizers: one contract for all, what each does at the decisive events, logs that replay, and a simulated store."""

import io
import random

import pytest
from wrp.cte import organizer, placement
from wrp.cte.organizer import Action, Delete, Emptied, Filled, Get, Moved, Put, Tick, Tier
from wrp.cte.organizer.frecency import frecency
from wrp.cte.organizer.log import Recorder, read, replay
from wrp.cte.organizer.simulation import Access, simulate, tiers_of
from wrp.cte.placement import Target
from wrp.errors import OutOfSpace, UsageError

FAST, SLOW, SLOWEST = Tier(0, 1.0, 1000), Tier(1, 0.5, 5000), Tier(2, 0.1, 100_000)
TIERS = [SLOW, FAST, SLOWEST]
MOVING = [name for name in organizer.NAMES if name != "none"]


def events_of(seed, length=400):
    """Events of a store that carries actions out, most of them; drives any organizer: `for event in …: send(actions)`."""
    chance, places = random.Random(seed), {}
    now = 0.0
    for _ in range(length):
        now += chance.expovariate(1)
        name = f"b{min(int(chance.paretovariate(0.7)), 60)}"
        kind = chance.choice(["put", "get", "get", "get", "get", "tick", "delete", "filled", "emptied"])
        if kind == "put":
            places[name] = chance.choice([0, 1, 2, 2])
            event = Put(name, chance.randrange(1, 400), places[name], chance.random(), now)
        elif kind == "delete":
            places.pop(name, None)
            event = Delete(name)
        else:
            event = {"get": Get(name, now), "tick": Tick(now), "filled": Filled(chance.randrange(3), 500, now),
                     "emptied": Emptied(chance.randrange(2), 500, now)}[kind]
        actions = yield event
        for action in actions:
            assert places[action.blob] == action.source
            if chance.random() < 0.8:
                places[action.blob] = action.target
                assert (yield Moved(action.blob, action.target)) == ()


def driven(policy, seed):
    """[(event, actions)] of an organizer."""
    events, steps = events_of(seed), []
    event = next(events)
    while event is not None:
        actions = policy.on(event)
        steps.append((event, actions))
        try:
            event = events.send(actions)
        except StopIteration:
            event = None
    return steps


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", organizer.NAMES)
def test_contract(name, seed):
    steps = driven(organizer.make(name, TIERS), seed)
    assert steps == driven(organizer.make(name, TIERS), seed)
    scores = {tier.number: tier.score for tier in TIERS}
    for event, actions in steps:
        assert isinstance(actions, tuple) and len({action.blob for action in actions}) == len(actions)
        for action in actions:
            assert action.source != action.target
            rises = scores[action.target] > scores[action.source]
            assert rises == (action.kind == "promote")
            assert action.kind != "evict" or isinstance(event, Filled) and event.target == action.source
            assert action.score is None or 0 <= action.score <= 1
    if name != "none":
        assert any(actions for _, actions in steps)


@pytest.mark.parametrize("name", MOVING)
def test_plans_fit_into_the_tiers(name):
    """Wherever all actions are carried out, no tier ever holds more than its capacity."""
    policy, book = organizer.make(name, TIERS), {}
    chance = random.Random(5)
    for number in range(2000):
        blob = f"b{int(chance.paretovariate(0.5)) % 80}"
        if blob not in book:
            book[blob] = [2, chance.randrange(1, 300)]
            events = [Put(blob, book[blob][1], 2, 1.0, number)]
        else:
            events = [Get(blob, number)] + [Tick(number)] * (number % 10 == 0)
        for action in (action for event in events for action in policy.on(event)):
            book[action.blob][0] = action.target
            policy.on(Moved(action.blob, action.target))
            for tier in TIERS:
                assert sum(nbytes for place, nbytes in book.values() if place == tier.number) <= tier.capacity
    assert sum(place == 0 for place, _ in book.values()) > 2


@pytest.mark.parametrize("name", MOVING)
def test_a_full_tier_evicts_its_coldest_to_the_next(name):
    policy = organizer.make(name, TIERS)
    for number, blob in enumerate("abcd"):
        policy.on(Put(blob, 200, 0, 1.0, number))
    for blob in "acda":
        policy.on(Get(blob, 10.0))
    assert policy.on(Filled(0, 250, 11.0)) == (Action("evict", "b", 0, 1), Action("evict", "c", 0, 1))
    # not carried out: asked again, the same; and where the next tier is full, the one after it
    policy.on(Put("big", 4900, 1, 1.0, 12.0))
    assert policy.on(Filled(0, 100, 13.0)) == (Action("evict", "b", 0, 2),)


@pytest.mark.parametrize("name", MOVING)
def test_out_of_the_last_tier_nothing_is_evicted(name):
    policy = organizer.make(name, TIERS)
    policy.on(Put("a", 500, 2, 1.0, 0.0))
    assert policy.on(Filled(2, 500, 1.0)) == ()
    alone = organizer.make(name, [FAST])
    alone.on(Put("a", 500, 0, 1.0, 0.0))
    assert alone.on(Filled(0, 500, 1.0)) == () and alone.on(Tick(2.0)) == ()


@pytest.mark.parametrize("name", MOVING)
def test_what_is_used_rises_and_displaces_what_is_not(name):
    policy = organizer.make(name, TIERS)
    for blob in "abc":
        policy.on(Put(blob, 300, 0, 1.0, 0.0))
    policy.on(Put("hot", 300, 2, 1.0, 0.0))
    actions = ()
    for number in range(20):
        actions += policy.on(Get("hot", 10.0 + number))
        if actions:
            break
    actions += policy.on(Tick(40.0)) if not actions else ()
    if name == "frecency":              # twice as hot as the others: 20 uses
        actions = actions or policy.on(Tick(41.0))
    assert [(action.kind, action.blob, action.source, action.target) for action in actions] == [
        ("demote", "a", 0, 1), ("promote", "hot", 2, 0)]


def test_frecency_is_the_formula_and_scans_move_nothing():
    assert frecency(0, 10) == 0.75 and frecency(600, 10) == 0.5 and frecency(-5, 0) == 0.5
    assert frecency(1e9, 10) == pytest.approx(0.25)
    policy = organizer.make("frecency", TIERS)
    for number in range(50):
        policy.on(Put(f"s{number}", 10, 2, 1.0, 0.0))
        policy.on(Get(f"s{number}", 1.0))
    assert policy.on(Tick(2.0)) == ()
    for _ in range(8):
        policy.on(Get("s7", 3.0))
    assert [action[:4] for action in policy.on(Tick(4.0))] == [("promote", "s7", 2, 0)]
    assert policy.on(Tick(5.0)) == ()           # not used since


def test_frecency_moves_again_only_when_the_score_has_changed():
    policy = organizer.make("frecency", [FAST, SLOW], score_threshold=0.6, score_difference_threshold=0.05)
    policy.on(Put("a", 10, 1, 1.0, 0.0))
    for _ in range(5):
        policy.on(Get("a", 0.0))
    assert [action.blob for action in policy.on(Tick(0.0))] == ["a"]
    policy.on(Get("a", 0.0))                # refused, and hardly hotter: not again
    assert policy.on(Tick(0.0)) == ()
    for _ in range(6):
        policy.on(Get("a", 0.0))
    assert [action.blob for action in policy.on(Tick(0.0))] == ["a"]


def test_hotset_follows_a_set_that_moves_on():
    policy = organizer.make("hotset", [FAST, SLOW])
    for number in range(20):
        policy.on(Put(f"b{number}", 100, 1, 1.0, 0.0))
    places = {f"b{number}": 1 for number in range(20)}
    for tick in range(12):
        hot = range(8) if tick < 6 else range(10, 18)
        for number in hot:
            for _ in range(3):
                policy.on(Get(f"b{number}", float(tick)))
        for action in policy.on(Tick(float(tick))):
            places[action.blob] = action.target
            policy.on(Moved(action.blob, action.target))
        if tick in (3, 11):
            assert {name for name, place in places.items() if place == 0} >= {f"b{number}" for number in hot}


@pytest.mark.parametrize("name", MOVING)
def test_an_emptied_tier_is_filled_with_the_hottest(name):
    policy = organizer.make(name, [FAST, SLOW])
    for number, blob in enumerate("ab"):
        policy.on(Put(blob, 400, 1, 1.0, number))
    for number in range(12):
        policy.on(Get("b", 2.0 + number))
        policy.on(Get("a", 1.0))
    actions = policy.on(Emptied(0, 500, 20.0))
    assert [action[:4] for action in actions] == [("promote", "b", 1, 0)]


def test_unknown_blobs_and_tiers_are_ignored():
    for name in organizer.NAMES:
        policy = organizer.make(name, TIERS)
        for event in (Get("nobody", 1.0), Delete("nobody"), Moved("nobody", 0), Put("far", 10, 77, 1.0, 1.0), Get("far", 2.0),
                      Filled(77, 10, 2.0), Emptied(77, 10, 2.0), Tick(3.0)):
            assert policy.on(event) == ()


@pytest.mark.parametrize("name", organizer.NAMES)
def test_a_recorded_log_replays_to_the_same_actions(name):
    file = io.StringIO()
    settings = {"score_threshold": 0.6} if name == "frecency" else {}
    steps = driven(Recorder(file, name, TIERS, **settings), 9)
    lines = file.getvalue().splitlines()
    assert read(lines) == (name, TIERS, settings, steps)
    assert len(lines) == len(steps) + 1
    for (event, actions), (replayed, logged, now) in zip(steps, replay(lines)):
        assert event == replayed and actions == logged == now


@pytest.mark.parametrize("lines, sentence", [
    ([], "is empty"),
    (['{"organizer": "lru", "tiers": [], "settings": {}}', '{"event": ["put", "a"], "actions": []}'], "line 2 .* can't be read"),
    (['{"organizer": "lru", "tiers": [], "settings": {}}', '{"event": ["pu'], "line 2"),
    (['{"tiers": []}'], "line 1"),
])
def test_damaged_logs_are_refused(lines, sentence):
    with pytest.raises(UsageError, match=sentence):
        replay(lines)


def test_a_name_that_is_not_known_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="no organizer 'frequency': did you mean 'frecency'"):
        organizer.make("frequency", TIERS)


TARGETS = [Target(0, "ram", "ram", 1.0, 1000, 1000, 8000, 8000, 1), Target(1, "nvme", "file", 0.5, 5000, 5000, 1000, 2000, 100, 2),
           Target(2, "disk", "file", 0.1, 100_000, 100_000, 200, 200, 5000, 2)]


def accesses(text):
    for number, word in enumerate(text.split()):
        yield Access({"p": "put", "g": "get", "d": "delete"}[word[0]], word[1:], 400, float(number))


def test_simulated_store():
    assert tiers_of(TARGETS) == [FAST, SLOW, SLOWEST]
    outcome = simulate(organizer.make("none", TIERS), TARGETS, accesses("pa pb pc ga gb gc gd"))
    assert (outcome.gets, outcome.hits, outcome.moved) == (4, 2, 0)        # c is in the second tier, d in the last
    assert outcome.hit_ratio == outcome.byte_hit_ratio == 0.5
    assert outcome.io_us == pytest.approx(2 * 1 + 100 + 2 * 1 + 100 + 5000, abs=5)
    outcome = simulate(organizer.make("lru", TIERS), TARGETS, accesses("pa pb pc ga gb gc"))
    assert (outcome.gets, outcome.hits, outcome.refused) == (3, 0, 0) and outcome.moved == 7 * 400      # the worst order for it
    outcome = simulate(organizer.make("lru", TIERS), TARGETS, accesses("pa pb da pc gb gc pb pb pc"))
    assert (outcome.gets, outcome.hits, outcome.moved) == (2, 2, 0)
    with pytest.raises(OutOfSpace, match="'b'"):
        simulate(organizer.make("lru", [FAST]), TARGETS[:1], [Access("put", "a", 800, 0.0), Access("put", "b", 800, 0.0)])


@pytest.mark.parametrize("place", placement.NAMES)
def test_placement_in_the_simulated_store(place):
    trace = [Access("put", str(number), 300, float(number), 0.05 if number % 2 else 1.0) for number in range(60)]
    outcome = simulate(organizer.make("lru", TIERS), TARGETS, trace + [access._replace(kind="get", now=99.0) for access in trace],
                       place=place)
    assert outcome.gets == 60 and outcome.refused == 0 and outcome.io_us > 0
