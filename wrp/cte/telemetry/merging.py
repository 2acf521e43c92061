"""What several nodes noted and hold, as one: polls by time, sums of statistics. Pure; nobody is asked here."""

import heapq
from dataclasses import replace

from wrp.comm.sizes import whole
from wrp.cte.targetnumbers import RAM, on_node
from wrp.cte.telemetry.counters import Counts
from wrp.cte.telemetry.ring import Poll
from wrp.cte.telemetry.statistics import CacheStatistics, IndexStatistics, Statistics, TagStatistics, TargetStatistics
from wrp.errors import UsageError

EVERY = "all"                   # in place of a node's number


def node_of(node, nodes):
    """A node's number, or EVERY. UsageError for what is neither, and for a node that there isn't among so many."""
    if isinstance(node, str) and node == EVERY:
        return node
    if isinstance(node, str):
        raise UsageError(f"there is no node {node!r:.80}: give its number, or {EVERY!r}")
    if (number := whole(node, "a node of number")) not in range(nodes):
        raise UsageError(f"there is no node {number}: the store is over {f'nodes 0 to {nodes - 1}' if nodes > 1 else 'one node, 0'}")
    return number


def begins_of(minimum, nodes):
    """[logical time to begin at] for each of so many nodes, of one for all of them or a list with one each. UsageError."""
    if not isinstance(minimum, (list, tuple)):
        return [whole(minimum, "a logical time of")] * nodes
    if len(minimum) != nodes:
        raise UsageError(f"{len(minimum)} logical times were given for {nodes} nodes: give one for all of them, or one for each")
    return [whole(each, "a logical time of") for each in minimum]


def merged(polls, begins, limit=0):
    """The Poll of all nodes, whose Polls and beginnings stand in the order of their numbers: entries by time, and those of one node in their own order.

    limit : at most so many, unless it is 0, of Polls that have all of their own up to so many
    """
    entries = [entry for _, entry in heapq.merge(*(_timed(poll.entries) for poll in polls), key=lambda pair: pair[0])]
    last, lost = [poll.last for poll in polls], [poll.lost for poll in polls]
    for entry in reversed(entries[limit:] if limit else []):
        last[entry.node] = entry.logical_time - 1
    kept = entries[:limit] if limit else entries
    for node in {entry.node for entry in entries[len(kept):]}:
        lost[node] = last[node] + 1 - max(0, begins[node]) - sum(entry.node == node for entry in kept)
    return Poll(tuple(last), kept, sum(lost))


def _timed(entries):
    """(time, entry) in the order of the entries: who was noted first may have looked at the clock last."""
    time = 0
    for entry in entries:
        time = max(time, entry.read_time or entry.mod_time)
        yield time, entry


def added(parts):
    """The Statistics of all nodes of {node: its own}. The first ram of each is a target by itself, with the number that `on_node` gives; `lacking`, `owed` are 0."""
    tags, targets, parts = {}, {}, sorted(parts.items())
    for node, part in parts:
        for name, tag in part.tags.items():
            here = replace(tag, by_target=_of_node(tag.by_target, node))
            tags[name] = _tag_sum(tags[name], here) if name in tags else here
        for number, target in _of_node(part.targets, node).items():
            targets[number] = _target_sum(targets.get(number, TargetStatistics()), target)
    index, cache = (_sums(getattr(part, name) for _, part in parts) for name in ("index", "cache"))
    return Statistics(tags, targets, IndexStatistics(*index), cache=CacheStatistics(*cache))


def _of_node(by_target, node):
    return {on_node(node) if number == RAM else number: value for number, value in by_target.items()}


def _tag_sum(one, other):
    by_target = {number: one.by_target.get(number, 0) + other.by_target.get(number, 0) for number in [*one.by_target, *other.by_target]}
    return TagStatistics(one.blobs + other.blobs, one.nbytes + other.nbytes, one.dirty + other.dirty, one.dirty_nbytes + other.dirty_nbytes, one.reads + other.reads,
                         min(one.first or other.first, other.first or one.first), max(one.last, other.last), by_target)


def _target_sum(one, other):
    return TargetStatistics(one.blobs + other.blobs, one.nbytes + other.nbytes, Counts(*_sums((one.counts, other.counts))))


def _sums(rows):
    return map(sum, zip(*rows))
