"""Flushing: what a node holds becomes durable. Who may put what is in changes.py.

A blob is flushed in steps: its bytes are copied to files; its record promises the copies (they count as `durable`, so that
nobody who replaces or removes it meanwhile gives them back); files and journal are synced; the record is settled: what the
journal no longer names is free. A blob that is put again while it is copied stays dirty; the journal has what it was when the flush came by.
What has no room, or isn't what was put, holds no other blob up: all others are durable when the error of the first such one is raised.
"""

from contextlib import nullcontext

from wrp.comm.refusals import let_out
from wrp.cte import pieces
from wrp.cte.changes import put_owned
from wrp.cte.folder.replay import put_of
from wrp.cte.handful import Handfuls
from wrp.cte.homes import home_of
from wrp.cte.placement.contract import LONG_TERM
from wrp.cte.records import TAG, Record, to_plain
from wrp.cte.targetnumbers import is_durable, kind_of
from wrp.cte.targets import Wish
from wrp.errors import Corrupt, OutOfSpace, StoreError

_BATCH = 1024                   # records per journal frame at most
_BATCH_BYTES = 256 << 20        # after so many bytes another rank of the node gets its turn


class Flush:
    """Flushes for one rank."""

    def __init__(self, parts, changes):
        self._parts, self._changes = parts, changes
        self._handfuls = Handfuls(parts, self._settle)

    def run(self, least=LONG_TERM):
        """Bytes to files, then records to this rank's journal, then the space of what they replaced back. Local.

        The order is the promise: a record reaches the journal after its bytes reached storage, and a tag no later than its blobs.
        least : blobs whose bytes lie on targets of this persistence, or a better one, are left out, unless they lie in files that last
        Raises OutOfSpace, StoreError of the first blob that can't be written down; the others are durable then.
        """
        try:
            self._write_dirty(least)
        except (OutOfSpace, Corrupt) as error:      # storage that fails isn't asked again: that a later sync ends well says nothing of these bytes
            let_out(error)
            if not self._changes.owed or not self._parts.journal.is_known(error):
                raise
            # what was removed to make room is room only when the journal knows it, and it is no fault of the removals
            self.write_removals()
            self._write_dirty(least)
        self.write_removals()
        self._parts.compacting.begin()
        if self._parts.is_durable:
            self._parts.tiers.expect_flush()

    def some(self, names):
        """These blobs (full names), and their tags, are durable when it returns. Local."""
        wanted = dict.fromkeys([*(Record(name).tag for name in names), *names])
        found = [record for record in map(self._parts.catalog.find, wanted) if record is not None and record.dirty]
        for part in _portions(found):
            with self._parts.catalog.flushing():
                self._write_out(part)

    def carry(self, name, target):
        """All that lasts of a blob lies in the data file `target` when it returns, wherever it is read from; True when it does. Local.

        Raises OutOfSpace: it lies where it did.
        """
        with self._parts.catalog.flushing():
            self._write_out([Record(name).tag, name], target)
        record = self._parts.catalog.find(name)
        return record is not None and not _lacks_place(record, target)

    def _write_dirty(self, least):
        target = self._handfuls.target(least)
        if target is not None:
            small, nbytes, longs, others = self._handfuls.find(target)
            if others:
                self._write_tags()
            left = self._handfuls.write(small, nbytes, target)
            if not self._handfuls.write_long(longs, target) and not left and not others:
                return
        dirty, left = sorted((record for record in self._parts.catalog.scan(dirty=True) if self._lacks(record, least)), key=lambda record: record.kind), _Left()
        for names in _portions(dirty):
            with self._parts.catalog.flushing():
                self._write_out(names, left=left)
        if left.count:
            ranks = self._parts.ranks
            raise left.said(f" of node {ranks.node}" if ranks.nodes > 1 else "")

    def _write_tags(self):
        for names in _portions(self._parts.catalog.scan(kind=TAG, dirty=True)):
            with self._parts.catalog.flushing():
                self._write_out(names)

    def _lacks(self, record, least):
        levels = [self._parts.tiers.level(extent[0]) for extent in record.extents if not is_durable(extent[0])]
        return not levels or min(levels) < least

    def write_removals(self):
        """What this rank has removed is in its journal. Local."""
        if not self._changes.owed:
            return
        with self._parts.catalog.flushing():        # another thread of this rank may flush too
            owed = list(self._changes.owed)
            if owed:
                self._parts.journal.append({"remove": [[name, stamp] for name, stamp, _ in owed]})
                del self._changes.owed[:len(owed)]
        for _, _, extents in owed:
            self._parts.tiers.give_back(extents)

    def _write_out(self, names, target=None, left=None):
        """Those of the names that are still dirty, in one frame; with a target those that don't lie there. Inside `flushing`.

        left : a _Left that gets the errors of blobs that found no room or aren't what was put; without it the first is raised, and nothing is written down
        """
        placed, written, failed = [], [], self._parts.failed_syncs
        try:
            for name in names:
                self._place(name, target, placed, left)
            if placed:
                self._parts.sync(failed, {extent[0] for _, moved in placed for extent in moved.durable})
                with self._parts.catalog.changing("ordering the journals"):
                    order = self._parts.catalog.next_stamp()
                self._parts.journal.append(put_of([to_plain(moved) for _, moved in placed], order, guests([moved for _, moved in placed], self._parts.ranks)), written)
            self._settle_all(placed, written)
        except BaseException as error:
            if self._parts.journal.is_known(error):
                self._settle_all(placed, written)
            raise                       # else the journal may name the copies: what is promised stays taken

    def _settle_all(self, placed, written):
        """Records name what the journal does: the copies where it was `written`, else what they named."""
        for record, moved in placed:
            known, other = (moved.but(dirty=False), record) if written else (record, moved)
            self._settle(record, known, set(other.durable) - set(known.durable))

    def _place(self, name, target, placed, left=None):
        """Add (record, record with the extents that the journal shall name), promised, to `placed`; nothing when it isn't dirty any more."""
        catalog = self._parts.catalog
        record = catalog.find(name)
        if record is None or not _lacks_place(record, target) or any(kind_of(extent[0]) == "noop" for extent in record.extents):
            return
        if self._placed(record, target, placed, left):
            return
        # its writers are quicker than the copy, and nothing whole is left of what it was: they wait this time
        with catalog.changing(f"flushing blob {record.blob!r}"):
            record = catalog.find(name)
            if record is not None and _lacks_place(record, target):
                self._placed(record, target, placed, left, nullcontext())

    def _placed(self, record, target, placed, left, alone=None):
        """True when that is done; False when the record isn't what it was. `alone`: a context manager that does nothing, inside `changing`."""
        loose, done = [], False
        if left is not None and left.is_hopeless(record):
            return True
        try:
            try:
                moved = self._copied(record, target, loose)
            except (OutOfSpace, StoreError) as error:
                let_out(error)
                if left is None:
                    raise
                left.add(record, error)
                moved, done = None, True
            if moved is not None:
                with alone or self._parts.catalog.changing(f"flushing blob {record.blob!r}"):
                    done = self._promise(record, moved, loose, placed)
            self._parts.tiers.settle(loose)
        except BaseException:
            self._parts.tiers.settle(loose)
            raise
        return done

    def _promise(self, record, moved, loose, placed):
        """Name the copies in the record, or in the newer one that replaced it; False when that can't be. Inside `changing`.

        Whichever it is, it is dirty until it is settled: nobody takes what a record like that promises for its bytes.
        """
        catalog = self._parts.catalog
        now = catalog.find(record.name)
        if now is None or now.stamp != record.stamp and not _stand_for(moved, record, now):
            return False
        known = set(record.durable)
        fresh = [extent for extent in moved.durable if extent not in known]
        placed.append((record, moved))
        put_owned(catalog, now.but(durable=now.durable + tuple(fresh), journaled=True, dirty=True), loose)
        return True

    def _copied(self, record, target, loose):
        """The record with durable extents that hold its bytes; None when it was replaced meanwhile. `loose`: a list that gets those that are new.

        Once a sync of this rank has failed, bytes that lie in files of this node and that no journal names may never have reached storage, and no later sync
        says so: they are written once more, to another place, from which they are read, too.
        """
        tiers = self._parts.tiers
        doubtful = {extent for extent in record.extents if is_durable(extent[0]) and tiers.owns(extent[0])} if record.dirty and self._parts.failed_syncs else ()
        durable = []
        for extent in record.extents:
            if is_durable(extent[0]) and target in (None, extent[0]) and extent not in doubtful:
                durable.append(extent)
                continue
            copied = pieces.write(tiers, tiers.content(extent), True, Wish(record.score, target=target), record.blob, loose)
            self._parts.begin_sync(copied)
            durable.extend(copied)
            if copied[0][3] != extent[3]:
                if self._parts.catalog.still(record):
                    pieces.fail(record)
                return None
        return record.but(durable=tuple(durable), extents=tuple(durable) if doubtful else record.extents)

    def _settle(self, record, known, obsolete):
        """The journal knows the blob as `known`: the catalog says so, and what is `obsolete` is free.

        A newer record inherited the promises and loses the obsolete ones; who removed the record owes all of them. Where `known` has other extents than
        the record had, the blob is read from there, unless somebody views it.
        """
        catalog = self._parts.catalog
        with catalog.changing(f"settling blob {record.blob!r}"):
            now = catalog.find(record.name)
            if now is None:
                return
            if now.stamp == record.stamp:
                is_elsewhere = known.extents != record.extents and now.extents == record.extents and not self._parts.tiers.is_viewed(now)
                settled = now.but(durable=known.durable, dirty=known.dirty, extents=known.extents if is_elsewhere else now.extents)
            else:
                settled = now.but(durable=tuple(extent for extent in now.durable if extent not in obsolete))
            catalog.put(settled)
        held = set(settled.extents)
        left = set(now.extents) - set(settled.durable) | {extent for extent in now.durable if extent in obsolete}
        self._parts.tiers.give_back(left - held)


def guests(records, ranks):
    """Names of the tags among them whose home is another node, which has a record of its own."""
    return [record.name for record in records if record.kind == TAG and home_of(record.name, None, ranks.nodes) != ranks.node] if ranks.nodes > 1 else ()


def _lacks_place(record, target):
    """True when a flush has to write the record down; with a target, also when the journal names other places than that."""
    return record.dirty or target is not None and any(extent[0] != target for extent in record.durable)


def _stand_for(moved, record, now):
    """True when the journal may name the copies although the blob has been put again: they hold what it was when the flush came by.

    The new bytes have to be dirty still, and what is no copy must not have been given back with the old ones.
    """
    return now.dirty and set(moved.durable) & set(record.extents) <= set(now.durable)


class _Left:
    """Blobs that a flush couldn't write down: the first one's error, how many there are."""

    def __init__(self):
        self.error, self.count = None, 0
        self._refused = None            # the fewest bytes for which there was no room

    def add(self, record, error):
        self.error, self.count = self.error or error, self.count + 1
        if isinstance(error, OutOfSpace):
            most = sum(extent[2] for extent in record.extents)      # what lies in files may have to be written again
            self._refused = most if self._refused is None else min(self._refused, most)

    def is_hopeless(self, record):
        """Count a blob that takes as much room as one that found none."""
        if self._refused is None or _to_copy(record) < self._refused:
            return False
        self.count += 1
        return True

    def said(self, where):
        """The first error, saying of how many blobs it is one; `where`: which others are durable. Once: its frames have this."""
        first, self.error = self.error, None
        if self.count == 1:
            return first
        more = f"{self.count - 1} more blob{'s are' if self.count > 2 else ' is'} not durable either"
        error = type(first)(f"{first}; {more}, all others{where} are")
        error.__cause__ = first
        return error


def _to_copy(record):
    return sum(extent[2] for extent in record.extents if not is_durable(extent[0]))


def _portions(dirty):
    """Lists of the records' names, each small enough for one turn."""
    names, nbytes = [], 0
    for record in dirty:
        names.append(record.name)
        nbytes += record.size
        if len(names) == _BATCH or nbytes >= _BATCH_BYTES:
            yield names
            names, nbytes = [], 0
    if names:
        yield names
