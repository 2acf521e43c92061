"""Calls that say what was asked of nodes, what has changed there and what they hold: each node says its part."""

import numpy as np

from wrp.cte import names
from wrp.cte.nodes.calls.base import NodesCalls
from wrp.cte.nodes.wire import statistics_of
from wrp.cte.telemetry import EVERY, Change, Poll, added, entries_of, node_of, times_of


class NodesObserving(NodesCalls):
    """See store.NodesStore; what calls mean is said in wrp.cte.calls.observing."""

    @property
    def _noted(self):
        return self._here._noted

    def _polled(self, begins, limit):
        """[Poll] of nodes, {node: logical time to begin at}, all of which are asked at the same time, and again until each has told what it had at the first question."""
        told = {node: _Told(begin, limit) for node, begin in begins.items()}
        while asked := [node for node, each in told.items() if not each.is_whole]:
            for node, answer in zip(asked, self._of_nodes(asked, "noted", lambda node: (told[node].following, told[node].left))):
                told[node].add(*answer)
        return [each.poll(node) for node, each in told.items()]

    def changed(self, since=0, until=None, limit=0, pattern=".*"):
        """As Store.changed, over all nodes; their clocks differ."""
        matches, (since, until, limit) = names.matcher("tag", pattern), times_of(since, until, limit)
        asked = (since, until, 0, ".*") if self._tag_names.table().owns else (since, until, limit, pattern)
        found = sorted(change for part in self._routes.net.everywhere("changed", *asked) for change in map(tuple, part))
        shown = self._tag_names.first((own for _, own, _ in found), matches)
        found = [Change(stamp, shown[own], blob) for stamp, own, blob in found if own in shown]
        return found[:limit] if limit else found

    def statistics(self, node=None):
        """As Store.statistics; `lacking`, `owed`: of this rank, whatever node is asked."""
        node = self.ranks.node if node is None else node_of(node, self.ranks.nodes)
        nodes = range(self.ranks.nodes) if node == EVERY else [node]
        parts = dict(zip(nodes, map(statistics_of, self._of_nodes(nodes, "statistics"))))
        found, keepers = self._shown(added(parts) if node == EVERY else parts[nodes[0]]), self._routes.keepers
        return found._replace(lacking=keepers.lacking, owed=keepers.owed) if keepers is not None else found

    def _of_nodes(self, nodes, call, args_of=lambda node: ()):
        """[what a call of Answering gives on a node], with the arguments for each. All are waited for, then the first error of any is raised."""
        net = self._routes.net
        others, under_way = net.begin_each((node, call, *args_of(node)) for node in nodes if node != net.node)
        try:
            own = net.calls[call](*args_of(net.node)) if net.node in nodes else None
        finally:
            others += net.answers(under_way)
        found = iter(others)
        return [own if node == net.node else next(found) for node in nodes]


class _Told:
    """What a node has told of its ring from a logical time on, at most `limit` entries unless it is 0. `following`, `left`: the next question's."""

    def __init__(self, begin, limit):
        self.following, self._limit = begin, limit
        self._rows, self._lost, self._end = [], 0, None

    def add(self, rows, following, lost, count):
        """An answer; `count`: entries that the node had ever noted."""
        self._rows.append(np.frombuffer(rows, np.int64).reshape(-1, 8))
        self.following, self._lost = following, self._lost + lost
        self._end = count if self._end is None else self._end

    @property
    def left(self):
        return self._limit - sum(map(len, self._rows)) if self._limit else 0

    @property
    def is_whole(self):
        return self._end is not None and (self.following >= self._end or self._limit and not self.left)

    def poll(self, node):
        return Poll(self.following - 1, entries_of(np.concatenate(self._rows), node), self._lost)
