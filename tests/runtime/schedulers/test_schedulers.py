"""Schedulers: one contract for all of them, and logs of events replayed."""

import random

import pytest

from wrp.runtime import schedulers
from wrp.runtime.schedulers import Came, Done

MIB = 1 << 20


def log_of(seed, workers, length=300):
    """A log of tasks and of parts that end, driven by the scheduler's own answers; with what it answered."""
    def replay(scheduler):
        chance, under_way, answers = random.Random(seed), [], []
        for _ in range(length):
            if under_way and chance.random() < 0.5:
                event, part = under_way.pop(chance.randrange(len(under_way)))
                assert scheduler.on(Done(event.pool, event.method, part.nbytes, part.worker, chance.randrange(1, 10**6))) == ()
            else:
                event = Came(chance.randrange(3), chance.randrange(4), chance.choice((0, 100, 4096, MIB, 64 * MIB + 5)),
                             chance.choice((-1, -1, 2)), chance.randrange(50), chance.choice((-1, chance.randrange(workers))),
                             chance.random() < 0.5)
                parts = scheduler.on(event)
                answers.append((event, parts))
                under_way += [(event, part) for part in parts]
        return answers
    return replay


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("name", schedulers.NAMES)
def test_contract(name, workers):
    replay = log_of(workers, workers)
    answers = replay(schedulers.make(name, workers))
    assert answers == replay(schedulers.make(name, workers))        # the same events, the same actions
    for event, parts in answers:
        assert all(0 <= part.worker < workers for part in parts)
        assert [part.first for part in parts] == [sum(part.nbytes for part in parts[:number]) for number in range(len(parts))]
        assert sum(part.nbytes for part in parts) == event.nbytes
        assert len(parts) == 1 or event.can_split and event.group < 0
        assert len({part.worker for part in parts}) == len(parts)


def workers_of(scheduler, *events):
    return [scheduler.on(event)[0].worker for event in events]


def test_default_keeps_small_tasks_on_the_first_worker_and_deals_large_ones():
    small, large = Came(1, 10, 4095), Came(1, 12, 4096)
    assert workers_of(schedulers.make("default", 4), small, large, large, small, large, large) == [0, 1, 2, 0, 3, 1]
    assert workers_of(schedulers.make("default", 1), small, large) == [0, 0]


@pytest.mark.parametrize("name", ["default", "cost"])
def test_a_group_stays_where_its_first_task_was(name):
    one, other = Came(1, 12, MIB, group=7), Came(1, 12, MIB, group=8)
    first, second, *rest = workers_of(schedulers.make(name, 4), one, other, one, other, Came(1, 10, 0, group=7))
    assert first != second
    assert rest == [first, second, first]


def test_local_spreads_clients_and_keeps_workers_tasks():
    scheduler = schedulers.make("local", 4)
    found = workers_of(scheduler, *[Came(1, 12, client=client) for client in range(100)])
    assert set(found) == {0, 1, 2, 3}
    assert workers_of(scheduler, Came(1, 12, client=5), Came(1, 12, client=5)) == [found[5], found[5]]
    assert workers_of(scheduler, Came(1, 12, client=5, worker=2)) == [2]


def test_cost_goes_round_a_worker_that_is_busy():
    scheduler = schedulers.make("cost", 2)
    assert workers_of(scheduler, Came(1, 12, 64 * MIB), *[Came(1, 10)] * 3) == [0, 1, 1, 1]


def test_cost_learns_what_tasks_take():
    scheduler = schedulers.make("cost", 2)
    for _ in range(40):                         # method 10 takes a second, method 11 a microsecond
        for method, ns in ((10, 10**9), (11, 1000)):
            worker, = workers_of(scheduler, Came(1, method))
            scheduler.on(Done(1, method, 0, worker, ns))
    assert workers_of(scheduler, Came(1, 10), *[Came(1, 11)] * 5) == [0, 1, 1, 1, 1, 1]


def test_cost_splits_large_tasks_so_that_the_parts_end_together():
    scheduler = schedulers.make("cost", 4)
    parts = scheduler.on(Came(1, 12, 64 * MIB, can_split=True))
    assert [part.worker for part in parts] == [0, 1, 2, 3]
    assert max(part.nbytes for part in parts) - min(part.nbytes for part in parts) <= 8192
    assert all(part.first % 4096 == 0 for part in parts)
    for part in parts[1:]:
        scheduler.on(Done(1, 12, part.nbytes, part.worker, 10**6))
    assert [part.worker for part in scheduler.on(Came(1, 12, 4 * MIB, can_split=True))] == [1, 2, 3]      # 0 is busy for long
    assert len(scheduler.on(Came(1, 12, 100_000, can_split=True))) == 1                                   # not worth it


def test_cost_does_not_learn_from_tasks_that_waited_behind_others():
    scheduler = schedulers.make("cost", 1)
    for _ in range(2):
        scheduler.on(Came(1, 10))
    scheduler.on(Done(1, 10, 0, 0, 10**9))
    scheduler.on(Done(1, 10, 0, 0, 10**9))
    assert scheduler._kinds[1, 10].fixed == 2000
