"""Calls that say what was asked of nodes, what has changed there and what they hold, without stopping anyone."""

from wrp.comm.sizes import whole
from wrp.cte import names
from wrp.cte.calls.base import Calls
from wrp.cte.records import BLOB
from wrp.cte.telemetry import EVERY, Statistics, added, begins_of, changed_between, merged, node_of, of_tags, of_targets, times_of
from wrp.errors import UsageError


class Observing(Calls):
    """See store.Store."""

    def telemetry(self, minimum=0, limit=0, node=None):
        """The newest operations of the node from logical time `minimum` on: Poll(last, entries, lost); go on with `last + 1`.

        node : another one by its number, or "all": all of them, by the time of their clocks. Each has logical times of its own: `last` is one for each then, and `minimum` may be
        Nothing is taken out, nobody is stopped. An entry names tag and blob by `telemetry.identity`. UsageError where it is off, WaitTimeout for a silent node.
        """
        own, limit = self.ranks.node, whole(limit, "a limit of", 0)
        node = own if node is None else node_of(node, self.ranks.nodes)
        if node == own:
            return self._noted.ring.poll(whole(minimum, "a logical time of"), limit, own)
        if node != EVERY:
            return self._polled({node: whole(minimum, "a logical time of")}, limit)[0]
        begins = begins_of(minimum, self.ranks.nodes)
        return merged(self._polled(dict(enumerate(begins)), limit), begins, limit)

    def _polled(self, begins, limit):
        """[Poll] of nodes, {node: logical time to begin at}."""
        self._check_nodes()
        return [self._noted.ring.poll(begin, limit, node) for node, begin in begins.items()]

    def changed(self, since=0, until=None, limit=0, pattern=".*"):
        """[(stamp, tag, blob)] of blobs changed last at `since` or later and before `until` (ns since 1970), the oldest first; of all nodes.

        pattern : of tags that match entirely, a tag of several names by the first one that does; limit : at most so many, the oldest, unless it is 0
        """
        matches, asked = names.matcher("tag", pattern), times_of(since, until, limit)
        records = self._catalog.scan(kind=BLOB)
        shown = self._tag_names.first((record.tag for record in records), matches)
        found = changed_between((record for record in records if record.tag in shown), *asked)
        return [change._replace(tag=shown[change.tag]) for change in found]

    def statistics(self, node=None):
        """Statistics(tags, targets, index) of this node: by tag (the first name of one with several), by target (0 is its ram, files count from 1), and what the index takes.

        node : another one by its number, or "all": sums over all nodes, in which the first ram of each is a target of its own, `ram of node N` to `target_name`.
        WaitTimeout for a silent node.
        """
        if node is None or node_of(node, self.ranks.nodes) == self.ranks.node:
            return self._shown(self._counted())
        self._check_nodes()
        return self._shown(added({self.ranks.node: self._counted()}))

    def _counted(self):
        """The Statistics of this node, tags by their own names."""
        records = self._catalog.scan()
        return Statistics(of_tags(records), of_targets(records, self._noted.counters.read()), self._catalog.statistics())

    def _shown(self, found):
        return found._replace(tags={name: found.tags[own] for own, name in self._tag_names.first(found.tags).items()})

    def _check_nodes(self):
        if self.ranks.nodes > 1:
            raise UsageError(f"a store that was opened for reading asks no other node, and has all blobs on its own: ask rank by rank, without `node`, what each of {self.ranks.nodes} nodes was asked for")
