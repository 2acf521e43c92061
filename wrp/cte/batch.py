"""A batch: changes of all ranks that become visible and durable together, or not at all.

Ranks write their blobs to their final place by themselves; one exchange then carries every record to every rank, rank 0 writes one journal
frame, and the first rank of each node publishes what belongs there. On one node that is rank 0 too, and a second exchange is the last. Nothing
is sent per blob.
"""

import ctypes
from contextlib import contextmanager, nullcontext, suppress
from typing import NamedTuple

from wrp.comm.lock import this_thread
from wrp.comm.ranks.agreement import is_agreed
from wrp.comm.sizes import whole
from wrp.cte import given, names, pieces
from wrp.cte.homes import home_of
from wrp.cte.records import BLOB, TAG, Record, combined_crc, full_name, to_plain
from wrp.cte.reservation import private
from wrp.cte.targetnumbers import is_durable
from wrp.cte.targets import Wish
from wrp.errors import Uncertain, UsageError, WaitTimeout, WrpError

_DESCRIPTORS, _FARTHEST = 1 << 31, 1 << 62      # numbers that no file reaches
_UNKNOWN = 1 << 20              # stamps kept for names that other nodes take away and rank 0's doesn't know; 1 ms of them


class Entry(NamedTuple):
    """One blob of a committed batch: size in bytes, checksum = crc32."""

    tag: str
    blob: str
    size: int
    checksum: int


class Batch:
    """A transaction of all ranks. A context manager: commits when no rank raised in the block, else every rank raises.

    `expect`, `writing`, `take`, `put`, `replace`, `remove` are local; entering, leaving, `commit` and `abandon` through the context manager are collective.
    """

    _in_place = True                # bytes may be written straight into this node's ram

    def __init__(self, parts, label):
        self._parts, self._label = parts, label
        self._durable = parts.folder is not None
        self._kept = {"dirty": not self._durable, "journaled": self._durable}
        self._records, self._replaced, self._removed = {}, set(), set()
        self._buffer = bytearray()
        self._failed_syncs = parts.failed_syncs     # before the first byte
        self._written, self._is_shown = [], False   # of a commit: True where it is in the journal; whether this node's catalog has it
        self.entries = None

    def writing(self, tag, blob, nbytes):
        """Context manager: a writable memoryview of nbytes to fill; filled at the end of the block. Local."""
        nbytes = whole(nbytes, f"the size of blob {blob!r:.80}:", 0)
        tag = self._named(tag, blob)
        if self._parts.framing is not None or not self._in_place:
            return self._writing_staged(tag, blob, nbytes)
        return pieces.writing(self._parts.tiers, nbytes, self._durable, self._staging,
                              lambda extents: self._add(tag, blob, extents, nbytes))

    def expect(self, nbytes):
        """This rank is about to write so many bytes in this batch: their ram is leased in few pieces. Local; promises nothing."""
        nbytes = whole(nbytes, "bytes to expect:", 0)
        if self._fills_ram:
            self._parts.tiers.expect(nbytes)

    def take(self, tag, blobs, sizes, fd, offset):
        """Blobs whose bytes lie one behind the other in an open file from `offset`: how many are in now, counted from the first. Local.

        Only what needs no waiting and no buffer is taken, see `wrp.comm.cached`; `writing` is for the others.
        """
        blobs, sizes = given.listed(blobs, "names of blobs"), [whole(size, "the size of a blob:", 0) for size in given.listed(sizes, "sizes of blobs")]
        names.checked("tag", tag), names.all_checked("blob", blobs)
        fd, offset = whole(fd, "a descriptor of", 0), whole(offset, "the begin of bytes in a file:", 0)
        if fd >= _DESCRIPTORS or offset + sum(sizes) >= _FARTHEST:
            raise UsageError(f"{sum(sizes)} bytes at {offset} of descriptor {fd} are of no file")
        if not self._fills_ram:
            return 0
        tag = self._parts.tag_names.own(tag)
        extents = pieces.take(self._parts.tiers, sizes, fd, offset)
        for blob, extent in zip(blobs, extents):
            self._keep(tag, Record(full_name(tag, blob), BLOB, 0, extent[2], extent[3], 1.0, (extent,)))
        return len(extents)

    @property
    def _fills_ram(self):
        """Whether the bytes of a blob go straight into this node's ram, as they are."""
        return self._in_place and not self._durable and self._parts.framing is None

    @contextmanager
    def _writing_staged(self, tag, blob, nbytes):
        with self._staging(nbytes) as buffer:
            yield buffer
            self._put(tag, blob, buffer)

    def put(self, tag, blob, data, score=1.0):
        """A whole blob. Local."""
        score = given.score_of(score, f"blob {blob!r:.80}")
        self._put(self._named(tag, blob), blob, given.bytes_of(data), score)

    def _named(self, tag, blob):
        """The tag's own name, before space is leased for the blob. UsageError for what can't be a name."""
        names.checked("tag", tag), names.checked("blob", blob)
        return self._parts.tag_names.own(tag)

    def _put(self, tag, blob, view, score=1.0):
        framing = self._parts.framing
        packed = framing.pack(full_name(tag, blob), tag, view)[0] if framing is not None else None
        data = view if packed is None else packed.data
        self._add(tag, blob, self._placed(tag, blob, data, Wish(score)), len(data), packed, score)

    def _placed(self, tag, blob, data, wish):
        """Extents that hold a copy of the blob's bytes."""
        return pieces.write(self._parts.tiers, data, self._durable, wish)

    def _give_back(self, record):
        """Give up what `_placed` gave for a blob."""
        self._parts.tiers.give_back(record.extents)

    def create(self, tag):
        """A tag, with or without blobs. Local."""
        own = self._parts.tag_names.own(names.checked("tag", tag))
        self._records.setdefault(own, Record(own, TAG, **self._kept))

    def replace(self, tag):
        """At commit, blobs of the tag that no rank has written in this batch go away. Local."""
        self.create(tag)
        self._replaced.add(self._parts.tag_names.own(tag))

    def remove(self, tag):
        """At commit the tag and its blobs go away. Local; nothing happens when it isn't there. A commit is refused with UsageError when it has several names."""
        self._removed.add(self._parts.tag_names.own(names.checked("tag", tag)))

    def _join(self, other):
        """What another batch of this rank has is this one's from now on. Local. UsageError where both have written a blob: each keeps what it has."""
        _merged([batch._records.values()] for batch in (self, other))
        self._records = {**other._records, **self._records}
        self._replaced, self._removed = self._replaced | other._replaced, self._removed | other._removed
        self._failed_syncs = min(self._failed_syncs, other._failed_syncs)
        other._forget()

    def _add(self, tag, blob, extents, nbytes, packed=None, score=1.0):
        extents = tuple(extents)
        record = Record(full_name(tag, blob), BLOB, 0, nbytes, combined_crc(extents), score, extents, extents if self._durable else (), **self._kept)
        if self._durable:
            self._parts.begin_sync(extents)         # storage works while the next blob is read
        if packed is not None:
            record = record.but(checksum=packed.checksum, raw=packed.raw, codec=packed.codec)
        self._keep(tag, record)

    def _keep(self, tag, record):
        if tag not in self._records:
            self._records[tag] = Record(tag, TAG, **self._kept)
        if record.name in self._records:
            self._give_back(self._records[record.name])
        self._records[record.name] = record

    @contextmanager
    def _staging(self, nbytes):
        """A buffer to fill: the one of the last blob again, unless that is still being filled."""
        buffer, self._buffer = self._buffer, bytearray()
        if len(buffer) < nbytes:
            buffer = private(nbytes)
        yield memoryview(buffer)[:nbytes]
        self._buffer = buffer

    def abandon(self):
        """Give back the space of what was written. Local; idempotent."""
        for record in self._records.values():
            self._give_back(record)
        self._forget()

    def _forget(self):
        self._records, self._replaced, self._removed = {}, set(), set()
        self._failed_syncs = self._parts.failed_syncs
        self.expect(0)

    def commit(self):
        """Make everything visible and durable. Collective; returns the sorted Entries of all ranks, the same on every rank."""
        return self._commit(None)

    def _commit(self, error):
        """Commit unless `error`, or that of another rank, is to be raised on all. Each exchange also carries the agreement on it."""
        ranks = self._parts.ranks
        gathered = ranks.gather_of(lambda: self._hand_over(error), f"the ranks' shares of {self._label}")
        # what may have happened has its space for good
        records, self._records, self._written, self._is_shown = self._records, {}, [], False
        try:
            if ranks.nodes == 1:
                self._conclude(gathered)
            else:
                self._conclude_over_nodes(gathered)
        except Exception as failure:
            if is_agreed(failure, ranks) and not isinstance(failure, Uncertain) and not self._has_happened:
                self._records = records
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
        records = {}
        try:
            # no flush and no rename may come between the stamps, the journal and the catalog: what it wrote down would be the newer, or name places that are given back
            with self._parts.catalog.naming.held("the names of the store's tags", self._parts.ranks.timeout_s), self._without_flushes():
                removals, first, tags = self._planned(gathered, records)
                records, removals = _stamped(records, removals, first, tags)
                self._write_down(records, removals)
                self._publish(records, removals, self._parts.tiers.give_back)
        except BaseException as error:
            if not self._has_happened:
                raise
            if not self._is_shown and not isinstance(error, WrpError):      # a handler's of a signal
                self._publish(records, removals)
            if not isinstance(error, Exception):
                raise
            trouble.append(error)
        return not trouble

    def _without_flushes(self):
        return self._parts.catalog.flushing() if self._durable else nullcontext()

    def _conclude_over_nodes(self, gathered):
        """Every node's first rank publishes what belongs there, once all of them have said that they have room.

        From its share of that on rank 0 has the names of tags: none is given to another tag, so tags that have names then have them when they are there.
        """
        token, mine = self._parts.catalog.naming, this_thread()
        word, give = ctypes.c_int64.from_address(token.address), token.leaving()
        try:
            self._conclude_together(gathered, token)
        finally:
            if word.value == mine:          # without a step of Python, see Token.leaving
                give(None, None, None)

    def _conclude_together(self, gathered, token):
        ranks, records = self._parts.ranks, {}

        def planned():
            if ranks.rank == 0:
                token.acquire("the names of the store's tags", ranks.timeout_s)
            return self._planned(gathered, records)
        plans = ranks.gather_of(planned, f"committing {self._label}")
        removals = sorted(set().union(*(names for names, _, _ in plans)))
        tags = {name: times for _, _, known in plans for name, times in known.items()}
        records, removals = _stamped(records, removals, plans[0][1], tags)
        if self._durable:
            ranks.share_of(lambda: self._write_down(records, removals), f"writing {self._label} down")
        self._written.append(True)
        # from here on the batch has happened: what follows only shows it
        self._forget()
        try:
            with ranks.agreed(f"publishing {self._label}"):
                if ranks.local_rank == 0:
                    self._publish(records, removals)
        finally:
            self._published(gathered[ranks.rank], removals)

    def _entries(self, gathered):
        """The sorted Entries of all ranks' blobs."""
        records = [record for part in gathered for record in part[0]]
        shown = self._parts.tag_names.first(record.name for record in records if record.kind == TAG)
        return sorted(Entry(shown.get(record.tag, record.tag), record.blob, record.raw or record.size, record.checksum) for record in records if record.kind == BLOB)

    def _hand_over(self, error):
        """What this rank has of the batch, once its bytes are where they last: records, replaced, removed, highest stamp."""
        if error is not None:
            raise error
        if self._durable:
            self._parts.sync(self._failed_syncs, {extent[0] for record in self._records.values() for extent in record.durable})
            if self._parts.ranks.rank == 0:
                self._parts.compacting.begin()
        return list(self._records.values()), self._replaced, self._removed, self._parts.catalog.last_stamp

    def _planned(self, gathered, records):
        """Fill `records`; (names that go away as this node knows them, the stamp before the batch's on rank 0, tags that are there). Refuses what has no room."""
        records.update(_merged(gathered))
        removals = self._plan(gathered, records)
        self._check_room(records)
        if not self._parts.ranks.rank:
            self._check_tags(gathered)
        if self._parts.ranks.rank:
            return removals, None, self._known_tags(records)
        unknown = _UNKNOWN if self._parts.ranks.nodes > 1 and any(part[1] or part[2] for part in gathered) else 0
        return removals, self._stamp(len(records) + len(removals) + unknown, max(part[3] for part in gathered)), self._known_tags(records)

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
        if not replaced and not removed:
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
        """The stamp before those of at most `count` changes, all above `seen`, the highest stamp of any node."""
        catalog = self._parts.catalog
        with catalog.changing("stamping a batch"):
            catalog.seen_stamp(seen)
            first = catalog.next_stamp()
            catalog.seen_stamp(first + count)
        return first

    def _publish(self, records, removals, give_back=None):
        """Show it; `give_back`: for the space of what was replaced, where no flush is under way."""
        freed = []
        with self._parts.catalog.changing(f"publishing {self._label}"):
            try:
                self._show(records, removals, freed)
            except BaseException:
                self._show(records, removals, [])       # what has been replaced isn't known: its space stays taken
                raise
            finally:
                self._is_shown = True
        (give_back or self._free)(freed)

    def _show(self, records, removals, freed):
        catalog = self._parts.catalog
        for old in catalog.put_all(self._mine(records)):
            freed += _space_of(old, self._durable)
        for name, stamp in removals:
            freed += _space_of(catalog.remove(name), True)
            catalog.seen_stamp(stamp)

    def _published(self, share, removals):
        """Every node has published, or has said why not; `share`: what this rank handed over."""

    def _free(self, extents):
        """Give the space of what was replaced back, that in files not while a flush may be about to write there what its record has promised."""
        if not any(is_durable(extent[0]) for extent in extents):
            self._parts.tiers.give_back(extents)
            return
        with suppress(WaitTimeout), self._parts.catalog.flushing():     # the batch has happened: then the space stays taken
            self._parts.tiers.give_back(extents)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
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


def _merged(gathered):
    """{name: Record} of all ranks; WrpError when two ranks wrote one blob."""
    records = {}
    for part in gathered:
        for record in part[0]:
            if record.kind == BLOB and record.name in records:
                raise UsageError(f"two ranks wrote blob {record.blob!r} of tag {record.tag!r} in one batch")
            records[record.name] = record
    return records


def _stamped(records, removals, first, tags):
    """(sorted Records with stamps, [(name, stamp)]), the same on every rank. `tags`: {name: (stamp, created)} of tags that have theirs."""
    stamped = []
    for fresh, name in enumerate(sorted(records), first + 1):
        stamp, created = tags.get(name, (fresh, fresh))
        stamped.append(records[name].stamped(stamp, created))
    return stamped, [(name, first + len(stamped) + number) for number, name in enumerate(removals, 1)]


def _space_of(old, durable):
    """Extents of a replaced record. What the journal named is free only if the batch is in the journal, which it then is."""
    if old is None:
        return []
    return list(set(old.extents) | set(old.durable)) if durable else list(set(old.extents) - set(old.durable))
