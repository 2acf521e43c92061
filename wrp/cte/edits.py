"""Changes of whole blobs and tags that keep the bytes: rename, score, snapshot. Each is seen as a whole, or not at all. Names of tags: naming/."""

from contextlib import suppress
from functools import partial

from wrp.comm.refusals import let_out
from wrp.cte import pieces
from wrp.cte.changes import same
from wrp.cte.flush import guests
from wrp.cte.folder.replay import put_of
from wrp.cte.names import readable
from wrp.cte.records import BLOB, TAG, Record, full_name, to_plain
from wrp.cte.targetnumbers import is_durable
from wrp.cte.targets import Wish
from wrp.errors import Changed, Corrupt, UsageError, WaitTimeout, WrpError

_TRIES = 100
_LONG = 1 << 20                 # bytes from which on a blob in files isn't copied under its new name: an entry of the journal, which is synced, costs less
_PORTION = 64 << 20             # of a blob that is copied, in this process's memory


class Edits:
    """Edits of one rank; `changes` has its debts to the journal, `flush` makes single blobs durable."""

    def __init__(self, parts, changes, flush):
        self._catalog, self._tiers, self._changes, self._flush = parts.catalog, parts.tiers, changes, flush
        self._parts = parts

    def rename(self, old_name, tag, blob, replace=False):
        """Give a blob, by its full name, another tag and name. Changed when that is taken, unless `replace`; False without the blob."""
        new_name = full_name(tag, blob)
        for _ in range(_TRIES):
            old = self._catalog.find(old_name)
            self._check_names_free([old])
            if old is None:
                return False
            if self._is_long(old) and not self._stays_dirty(old):
                if self._renamed_in_journal(old_name, tag, new_name, replace):
                    return True
                continue
            if self._with_copies([] if _may_stay(old) else [old], "renaming a blob", partial(self._renamed, old, tag, new_name, replace)):
                return True
        raise _no_pause("renamed")

    def _there(self, old_name, new_name, replace):
        """The Record that a rename replaces, or None."""
        there = self._catalog.find(new_name)
        if there is not None and (not replace or new_name == old_name):
            raise Changed(f"the name {'/'.join(map(readable, new_name.split(chr(0))))!r} is taken: delete it first, or choose another")
        return there

    def _is_long(self, record):
        """True where a rename keeps the places that the journal names."""
        return self._parts.journal is not None and record.size >= _LONG and (not _may_stay(record) or bool(record.durable) and not record.dirty)

    def _stays_dirty(self, record):
        """Flush it: True where that doesn't make it clean, since some of it lies on a target that keeps nothing."""
        if not record.dirty:
            return False
        self._flush.some([record.name])
        now = self._catalog.find(record.name)
        return now is not None and now.dirty and now.stamp == record.stamp

    def _renamed_in_journal(self, old_name, tag, new_name, replace):
        """Rename a clean blob: one frame of this rank's journal takes its places from the old name to the new one. False when it has changed, or has gone, meanwhile.

        No flush is under way: what one writes down next it finds under the new name.
        """
        with self._catalog.flushing():
            with self._catalog.changing("renaming a blob"):
                old = self._catalog.find(old_name)
                if old is None or old.dirty or not self._is_long(old):
                    return False
                there = self._there(old_name, new_name, replace)
                self._catalog.check_room([old.but(name=new_name), Record(tag, TAG)])
                is_new = not self._catalog.has(tag)
                self._changes.create_held(tag)
                renamed = old.but(name=new_name, stamp=self._catalog.next_stamp())
                put = [self._catalog.find(tag), renamed]
                change = {**put_of(list(map(to_plain, put)), self._catalog.next_stamp(), guests(put, self._parts.ranks)),
                          "remove": [[old_name, self._catalog.next_stamp()]]}
                self._write_down(change, old, renamed, [tag] if is_new else [])
            if there is not None:           # nothing names its places any more
                self._tiers.give_back(set(there.extents) | set(there.durable))
        return True

    def _write_down(self, change, old, renamed, made):
        """The journal has the change, then the catalog; `made`: tags that go again where it hasn't. An error that a handler of a signal raises may come after both."""
        written = []
        try:
            self._parts.journal.append(change, written)
            self._show(old, renamed)
        except BaseException as error:
            if written:
                self._show(old, renamed)
                raise
            for tag in made:
                self._catalog.remove(tag)
            if not self._parts.journal.is_known(error):         # what it may name under the new name nobody uses any more
                with suppress(WrpError):        # else it stays there; what is raised says that the journal can't be written
                    self._catalog.put(old.but(extents=self._copy(old, []), durable=(), dirty=True))
            raise

    def _show(self, old, renamed):
        self._catalog.put(renamed)
        self._catalog.remove(old.name)

    def _renamed(self, old, tag, new_name, replace, copies, loose):
        """As `change` of `_with_copies`."""
        if not self._unchanged([old]):
            return False
        there = self._there(old.name, new_name, replace)
        self._catalog.check_room([old.but(name=new_name), Record(tag, TAG)])
        self._changes.create_held(tag)
        # the journal frees what it names under the old name; so the bytes under the new one are others
        renamed = old.but(name=new_name, stamp=self._catalog.next_stamp(), extents=copies.get(old.name, old.extents), dirty=True,
                          durable=there.durable if there else (), journaled=there is not None and there.journaled)
        unused = self._changes.given_up(there) + (self._changes.given_up(old) if old.name in copies else [])
        held = loose[:]
        try:
            del loose[:]
            self._catalog.put(renamed)
            self._changes.take_out([old.name])
            loose[:] = unused
        except BaseException:               # a handler of a signal may raise one at any step
            if not self._catalog.has(old.name):
                loose[:] = unused
                raise
            # no two names have the same bytes
            if there is not None:
                self._catalog.put(there)
            else:
                self._catalog.remove(new_name)
            loose[:] = held
            raise
        return True

    def snapshot(self, tag, new_tag):
        """Copy all blobs of a tag, as they are at one moment, to a tag that isn't there. False without the tag."""
        for _ in range(_TRIES):
            if not self._catalog.has(tag):
                return False
            found = self._catalog.scan(kind=BLOB, tag=tag)
            self._check_names_free(found)
            if self._with_copies(found, f"taking a snapshot of tag {tag!r}", partial(self._shown, tag, new_tag, found)):
                return True
        raise _no_pause("copied")

    def _shown(self, tag, new_tag, found, copies, loose):
        """As `change` of `_with_copies`: the copies of all blobs of a tag are in the new one."""
        if self._catalog.has(new_tag):
            raise Changed(f"tag {new_tag!r} is there: a snapshot needs a new name")
        if not self._unchanged(found) or len(found) != len(self._catalog.names_held(tag)):
            return False
        stamp = self._catalog.next_stamp()
        self._parts.tag_names.check_held(new_tag, False)
        made = [Record(new_tag, TAG, stamp, created=stamp)]
        for record in found:
            stamp = self._catalog.next_stamp()
            made.append(record.but(name=full_name(new_tag, record.blob), stamp=stamp, created=stamp, extents=copies[record.name], durable=(),
                                   dirty=True, pinned=False, journaled=False))
        self._catalog.check_room(made)
        held = loose[:]
        try:
            del loose[:]                    # they belong to the new records
            self._catalog.put_all(made)
        except BaseException:               # a handler's of a signal: all of them are there, or none
            if not self._catalog.has(new_tag):
                loose[:] = held
            else:
                self._catalog.put_all(made)
            raise
        return True

    def score(self, name, score):
        """Set the score of a blob. False when it isn't there."""
        with self._catalog.changing("setting a score"):
            record = self._catalog.find(name)
            if record is None or record.kind != BLOB:
                return False
            self._catalog.put(record.but(score=score, dirty=True, stamp=self._catalog.next_stamp()))
        return True

    def _with_copies(self, records, what, change):
        """What `change(copies, loose)` gives, inside `changing`, with copies of blobs: {name: extents}. False: it has done nothing, since a blob has changed.

        `loose` is a list of the copies' extents; what the change leaves there nothing names, and is given back.
        """
        loose = []
        try:
            copies = {record.name: self._copy(record, loose) for record in records}
            with self._catalog.changing(what):
                is_done = change(copies, loose)
            self._tiers.settle(loose)
        except BaseException:               # of a signal's handler it may come in the middle of the settling, too
            self._tiers.settle(loose)
            raise
        return is_done

    def _copy(self, record, loose):
        """Extents of a copy, which are in `loose`, too, from their lease on."""
        extents = []
        for start in range(0, record.size, _PORTION):
            data = bytearray(min(_PORTION, record.size - start))
            try:
                pieces.read(self._tiers, record, start, data)
            except Corrupt as error:
                let_out(error)
                if self._catalog.still(record):
                    raise
                # replaced meanwhile: whoever uses the copy sees that
            extents += pieces.write(self._tiers, data, wish=Wish(record.score), loose=loose)
        return tuple(extents)

    def _check_names_free(self, records):
        """An encrypted blob can be read under its own name only."""
        if self._parts.framing is not None and self._parts.framing.cipher is not None and any(record and record.raw for record in records):
            raise UsageError("blobs of an encrypted store are sealed under their names: copy them one by one, and delete the old ones")

    def _unchanged(self, records):
        return all(same(self._catalog.find(record.name), record) for record in records)


def _may_stay(record):
    """True when no journal names a place of the blob's bytes."""
    return not any(is_durable(extent[0]) for extent in record.extents)


def _no_pause(what):
    return WaitTimeout(f"blobs changed {_TRIES} times while they were {what}; their writers don't pause")
