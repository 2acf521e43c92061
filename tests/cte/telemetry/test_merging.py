"""What several nodes noted and hold, as one: by time, in each node's own order, nothing twice and nothing left out."""

import random

import pytest
from wrp.cte.targetnumbers import RAM, on_node
from wrp.cte.telemetry import CacheStatistics, Counts, Entry, IndexStatistics, Op, Poll, Statistics, added, begins_of, merged, node_of
from wrp.cte.telemetry.statistics import TagStatistics, TargetStatistics
from wrp.errors import UsageError


def entry(node, number, time, op=Op.PUT_BLOB):
    return Entry(op, 0, 1, 5, number, time, time if op == Op.GET_BLOB else 0, number, node)


def poll_of(ring, begin, limit):
    """The Poll of a ring, {logical time: entry} with gaps where entries were overwritten, up to its end."""
    ring, end = ring
    found, number = [], begin
    while number < end and (not limit or len(found) < limit):
        found += [ring[number]] if number in ring else []
        number += 1
    return Poll(max(number, begin) - 1, found, number - begin - len(found))


def test_by_time_and_each_in_its_own_order():
    one = Poll(2, [entry(0, 0, 10), entry(0, 1, 30), entry(0, 2, 20)], 0)         # the clock was looked at before the turn was taken
    other = Poll(8, [entry(1, 7, 15), entry(1, 8, 25, Op.GET_BLOB)], 7)
    found = merged([one, other], [0, 0])
    assert [(each.node, each.logical_time) for each in found.entries] == [(0, 0), (1, 7), (1, 8), (0, 1), (0, 2)]
    assert (found.last, found.lost) == ((2, 8), 7)


@pytest.mark.parametrize("seed", range(20))
def test_in_parts_it_is_the_same_with_every_loss_counted_once(seed):
    choice = random.Random(seed)
    rings = []
    for node in range(choice.randint(1, 4)):
        end, time, ring = choice.randint(0, 30), 0, {}
        for number in range(end):
            time += choice.randint(0, 9)
            if choice.random() < 0.8:
                ring[number] = entry(node, number, time)
        rings.append((ring, end))
    nodes = len(rings)
    whole = merged([poll_of(ring, 0, 0) for ring in rings], [0] * nodes)
    begins, limit, entries, lost = [0] * nodes, choice.randint(1, 7), [], 0
    while True:
        part = merged([poll_of(ring, begin, limit) for ring, begin in zip(rings, begins)], begins, limit)
        entries, lost, begins = entries + part.entries, lost + part.lost, [last + 1 for last in part.last]
        assert len(part.entries) <= limit
        if not part.entries:
            break
    assert (entries, lost, tuple(begins)) == (whole.entries, whole.lost, tuple(end for _, end in rings))


def test_sums_of_statistics():
    one = Statistics({"t": TagStatistics(2, 30, 1, 10, 4, 50, 60, {RAM: 20, 1: 10}), "mine": TagStatistics()},
                     {RAM: TargetStatistics(2, 20, Counts(4, 40, 2, 20)), 1: TargetStatistics(1, 10)}, IndexStatistics(4, 100, 900), 7, CacheStatistics(1, 2, 3, 4, 5, 6), 8)
    other = Statistics({"t": TagStatistics(1, 5, 0, 0, 1, 40, 45, {RAM: 5, 1: 2}), "yours": TagStatistics(1, 1, 0, 0, 0, 9, 9, {RAM: 1})},
                       {RAM: TargetStatistics(2, 6, Counts(1, 1, 1, 1)), 1: TargetStatistics(1, 2)}, IndexStatistics(5, 100, 800), 0, CacheStatistics(1, 1, 1, 1, 1, 1))
    found = added({1: other, 0: one})
    assert found.tags == {"t": TagStatistics(3, 35, 1, 10, 5, 40, 60, {on_node(0): 20, on_node(1): 5, 1: 12}), "mine": TagStatistics(),
                          "yours": TagStatistics(1, 1, 0, 0, 0, 9, 9, {on_node(1): 1})}
    assert found.targets == {on_node(0): TargetStatistics(2, 20, Counts(4, 40, 2, 20)), on_node(1): TargetStatistics(2, 6, Counts(1, 1, 1, 1)), 1: TargetStatistics(2, 12)}
    assert (found.index, found.cache) == ((9, 200, 1700), (2, 3, 4, 5, 6, 7)) and found.lacking == found.owed == 0
    assert one.tags["t"].by_target == {RAM: 20, 1: 10}             # what was given is as it was


@pytest.mark.parametrize("node, nodes, sentence", [(2, 2, "nodes 0 to 1"), (-1, 2, "nodes 0 to 1"), (1, 1, "over one node, 0"), ("every", 2, "its number, or 'all'"), (1.5, 2, "no whole number")])
def test_a_node_that_there_is_not(node, nodes, sentence):
    with pytest.raises(UsageError, match=sentence):
        node_of(node, nodes)


def test_where_to_begin():
    assert begins_of(7, 3) == [7, 7, 7] and begins_of((1, 2), 2) == [1, 2]
    for wrong in ((1, 2), [1, 2, 3.5]):
        with pytest.raises(UsageError, match="one for all of them, or one for each|no whole number"):
            begins_of(wrong, 3)
