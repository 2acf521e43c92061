"""A batch: changes of all ranks that become visible and durable together, or not at all.

Ranks write their blobs to their final place by themselves (share.py); one exchange then carries every record to every rank, rank 0 writes one journal
frame, and the first rank of each node publishes what belongs there. On one node that is rank 0 too, and a second exchange is the last. Nothing
is sent per blob.

A name is at the next opening what its newest stamp says, in whichever journal it stands; so nothing may be written down of a name of the batch between its
stamps and its show. Whoever commits holds, in this order, which is that of everybody who holds two of them:

    the names of tags (`naming`, on node 0)     no tag gets another name, or is destroyed
    the journals of a node (`flushing`)         no flush, no rename of what lies in files, no removal is written down; held by the first rank of each node
    the catalog of a node (`changing`)          for moments
    the turn of a journal                       for one frame

Who holds the journals of a node waits for no other node: only a batch does, and that for the ranks that commit, all of which have come to this step and
hold nothing else. It asks no home of another node meanwhile, which may be waiting for the journals. Who holds the names asks homes, so they are taken before
the first node's journals. Puts and deletes go on: what was put before the show is replaced by it, and removals get a stamp below the batch's, see
Catalog.freeze_removals.
"""

from contextlib import nullcontext
from typing import NamedTuple

from wrp.comm.ranks.agreement import is_agreed
from wrp.cte import names
from wrp.cte.batch.share import Share, merged
from wrp.cte.homes import home_of
from wrp.cte.records import BLOB, TAG, full_name, to_plain
from wrp.errors import Uncertain, UsageError, WrpError


class Entry(NamedTuple):
    """One blob of a committed batch: size in bytes, checksum = crc32."""

    tag: str
    blob: str
    size: int
    checksum: int


class Batch(Share):
    """A transaction of all ranks. A context manager: commits when no rank raised in the block, else every rank raises.

    `expect`, `writing`, `take`, `put`, `replace`, `remove` are local; entering, leaving, `commit` and `abandon` through the context manager are collective.
    """

    def __init__(self, parts, label):
        super().__init__(parts, label)
        self._written, self._is_shown = [], False   # of a commit: True where it is in the journal; whether this node's catalog has it
        self.entries = None

    def commit(self):
        """Make everything visible and durable. Collective; returns the sorted Entries of all ranks, the same on every rank."""
        return self._commit(None)

    def _commit(self, error):
        """Commit unless `error`, or that of another rank, is to be raised on all. Each exchange also carries the agreement on it."""
        ranks, handed = self._parts.ranks, []

        def hand_over():
            share = self._hand_over(error)
            handed.append(True)
            return share
        try:
            gathered = ranks.gather_of(hand_over, f"the ranks' shares of {self._label}")
        except BaseException as failure:
            if handed and ranks.size > 1 and not is_agreed(failure, ranks):
                self._records = {}      # the others may have heard of it, and go on
                ranks.left(self._label, failure)
            raise
        # what may have happened has its space for good
        records, self._records, self._written, self._is_shown = self._records, {}, [], False
        try:
            self._conclude(gathered)
        except BaseException as failure:
            # one rank knows by itself; of several none does, unless all have heard the same
            is_sure = ranks.size == 1 or isinstance(failure, Exception) and is_agreed(failure, ranks)
            if is_sure and not isinstance(failure, Uncertain) and not self._has_happened:
                self._records = records
            if not is_sure:
                ranks.left(self._label, failure)
            raise
        return self._entries(gathered)

    @property
    def _has_happened(self):
        """As far as this rank has seen it."""
        return bool(self._written) or self._is_shown

    def _conclude(self, gathered):
        """On one node rank 0 does what is left, and one exchange tells the others that the batch has happened."""
        trouble = []
        is_shown = self._parts.ranks.share_of(lambda: self._concluded(gathered, trouble), f"committing {self._label}")
        self._written.append(True)
        # from here on the batch has happened: what follows only says that it doesn't show
        self._forget()
        if not is_shown:
            with self._parts.ranks.agreed(f"publishing {self._label}"):
                for error in trouble:
                    raise error

    def _concluded(self, gathered, trouble):
        """True when the batch, which then has happened, is published and all went well; the error is in `trouble` when not. Raises when nothing has happened."""
        try:
            with self._parts.catalog.naming.held("the names of the store's tags", self._parts.ranks.timeout_s), self._without_flushes():
                self._conclude_held(gathered)
        except Exception as error:
            if not self._has_happened:
                raise
            trouble.append(error)
        return not trouble

    def _conclude_held(self, gathered):
        records = {}
        removals, seen, tags = self._planned(gathered, records)
        records, removals = stamped(records, removals, self._stamp(len(records) + len(removals), seen), tags)
        try:
            self._write_down(records, removals)
            self._publish(records, removals)
        except BaseException as error:
            if self._has_happened and not self._is_shown and not isinstance(error, WrpError):      # a handler's of a signal
                self._publish(records, removals)
            raise

    def _without_flushes(self):
        return self._parts.catalog.flushing() if self._durable else nullcontext()

    def _entries(self, gathered):
        """The sorted Entries of all ranks' blobs."""
        records = [record for part in gathered for record in part[0]]
        shown = self._parts.tag_names.first(record.name for record in records if record.kind == TAG)
        return sorted(Entry(shown.get(record.tag, record.tag), record.blob, record.raw or record.size, record.checksum) for record in records if record.kind == BLOB)

    def _hand_over(self, error):
        """What this rank has of the batch, once its bytes are where they last: records, replaced, removed."""
        if error is not None:
            raise error
        if self._durable:
            self._parts.sync(self._failed_syncs, {extent[0] for record in self._records.values() for extent in record.durable})
            if self._parts.ranks.rank == 0:
                self._parts.compacting.begin()
        return list(self._records.values()), self._replaced, self._removed

    def _planned(self, gathered, records):
        """Fill `records`; (names that go away as this node knows them, the stamp below the batch's, tags that are there). Refuses what has no room."""
        records.update(merged(gathered))
        removals = self._plan(gathered, records)
        self._check_room(records)
        if not self._parts.ranks.rank:
            self._check_tags(gathered)
        return removals, self._seen(), self._known_tags(records)

    def _seen(self):
        """The highest stamp of anything that a journal says of names at home on this node, until the batch is shown."""
        catalog = self._parts.catalog
        if not self._durable or self._parts.ranks.local_rank:
            return catalog.last_stamp
        with catalog.changing("stamping a batch"):
            return catalog.freeze_removals()

    def _check_tags(self, gathered):
        """Changed for a tag of the batch whose name another has now, UsageError for one that goes away and has other names."""
        tag_names, removed = self._parts.tag_names, sorted(own for part in gathered for own in part[2])
        if not self._parts.catalog.names_word.value:
            return
        with self._parts.catalog.changing("looking at the names of tags"):
            table = tag_names.read_held()
            for own in [*removed, *(record.name for part in gathered for record in part[0] if record.kind == TAG)]:
                tag_names.check_held(own, True)     # its home may be another node, and knows it
        for own in removed:
            if own in table.sources or own in table.checkpoints:
                raise UsageError(f"tag {names.readable(own)!r} is a checkpoint or the source of one: destroy it by itself, not in a batch")
            if len(found := tag_names.names_of(own)) > 1:
                raise UsageError(f"tag {found[0]!r} is also named {found[1]!r}: destroy its names one by one, and the tag goes with the last")
        tag_names.gone(removed)

    def _known_tags(self, records):
        """{name: (stamp, when it was made)} of the batch's tags that their home, this node, has: they stay as they are."""
        ranks = self._parts.ranks
        if ranks.local_rank:
            return {}
        mine = [record.name for record in records.values() if record.kind == TAG and home_of(record.name, None, ranks.nodes) == ranks.node]
        return {now.name: (now.stamp, now.created) for now in map(self._parts.catalog.find, mine) if now is not None}

    def _plan(self, gathered, records):
        """Names that go away: of removed tags, and of replaced tags what wasn't written. As this node's catalog knows them."""
        replaced = set().union(*(part[1] for part in gathered))
        removed = set().union(*(part[2] for part in gathered))
        if not replaced and not removed or self._parts.ranks.local_rank:
            return []
        known = self._parts.catalog.scan()
        return sorted({record.name for record in known if record.name not in records
                       and (record.tag in removed or record.tag in replaced and record.kind == BLOB)})

    def _check_room(self, records):
        """Before the journal has the batch: afterwards nobody may refuse it."""
        if self._parts.ranks.local_rank == 0:
            with self._parts.catalog.changing(f"looking for room for {self._label}"):
                self._parts.catalog.check_room(self._mine(records.values()))

    def _mine(self, records):
        """Those of the records that belong into this node's catalog."""
        return records

    def _write_down(self, records, removals):
        """One frame of rank 0's journal: the batch has happened, or not."""
        if self._durable:
            self._parts.journal.append({"put": list(map(to_plain, records)), "remove": list(map(list, removals))}, self._written)

    def _stamp(self, count, seen):
        """The stamp before those of `count` changes, all above `seen`."""
        catalog = self._parts.catalog
        with catalog.changing("stamping a batch"):
            catalog.seen_stamp(seen)
            first = catalog.next_stamp()
            catalog.seen_stamp(first + count)
        return first

    def _publish(self, records, removals):
        """Show it, and give the space of what was replaced back: no flush is about to write there what its record has promised."""
        mine, replaced, gone, loose = list(self._mine(records)), [], [], None
        try:
            with self._parts.catalog.changing(f"publishing {self._label}"):
                try:
                    self._parts.catalog.thaw_removals()
                    self._show(mine, removals, replaced, gone)
                except BaseException:
                    self._show(mine, removals, replaced, gone)
                    raise
                finally:
                    self._is_shown = True
            loose = self._space_of(mine, replaced, gone)
            self._parts.tiers.settle(loose)
        except BaseException:
            self._parts.tiers.settle(self._space_of(mine, replaced, gone) if loose is None else loose)
            raise

    def _show(self, mine, removals, replaced, gone):
        """As often as it takes: `replaced` and `gone` get the records that aren't there any more, and perhaps once more, or those that replaced them."""
        catalog = self._parts.catalog
        catalog.put_all(mine, replaced)
        for name, stamp in removals:
            # of a tag also what was put since this was planned, which no journal has
            blobs = [full_name(name, blob) for blob in catalog.names_held(name)] if "\0" not in name else []
            for each in [*blobs, name]:
                gone += filter(None, [catalog.find(each)])
                catalog.erase(each)
            catalog.seen_stamp(stamp)

    def _space_of(self, mine, replaced, gone):
        """[extents] that nothing names any more."""
        own = {record.name: record.stamp for record in mine}
        found = [each for old in replaced if own.get(old.name) != old.stamp for each in _space_of(old, self._durable)]
        for old in {(old.name, old.stamp): old for old in gone}.values():
            found += _space_of(old, True)
        return found

    def __enter__(self):
        self._is_over = False
        return self

    def __exit__(self, kind, error, trace):
        self._is_over = True
        if kind is not None and not issubclass(kind, Exception):
            if self._in_place:
                self.abandon()
            return False
        try:
            self.entries = self._commit(error)
        except BaseException:
            self.abandon()
            raise
        return False


def stamped(records, removals, first, tags):
    """(sorted Records with stamps, [(name, stamp)]), the same on every rank. `tags`: {name: (stamp, created)} of tags that have theirs."""
    stamped = []
    for fresh, name in enumerate(sorted(records), first + 1):
        stamp, created = tags.get(name, (fresh, fresh))
        stamped.append(records[name].stamped(stamp, created))
    return stamped, [(name, first + len(stamped) + number) for number, name in enumerate(removals, 1)]


def _space_of(old, durable):
    """Extents of a replaced record. What the journal named is free only if the batch is in the journal, which it then is."""
    return list(set(old.extents) | set(old.durable)) if durable else list(set(old.extents) - set(old.durable))
