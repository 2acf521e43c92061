"""Changes of whole blobs and tags that keep the bytes: rename, score, snapshot. Each is seen as a whole, or not at all."""

from contextlib import contextmanager

from wrp.cte import pieces
from wrp.cte.changes import same
from wrp.cte.records import BLOB, TAG, Record, full_name
from wrp.cte.targetnumbers import is_durable
from wrp.cte.targets import Wish
from wrp.errors import Changed, Corrupt, UsageError, WaitTimeout

_TRIES = 100


class Edits:
    """Edits of one rank; `changes` has its debts to the journal."""

    def __init__(self, parts, changes):
        self._catalog, self._tiers, self._changes = parts.catalog, parts.tiers, changes
        self._parts = parts

    def rename_tag(self, tag, new_tag):
        """Give a tag and all its blobs another name, all at once. Changed when it is taken; False without the tag."""
        return self._catalog.has(tag) and self._rename([], [], (tag, new_tag))

    def rename(self, old_name, new_name):
        """Give a blob another full name. Changed when it is taken; False without the blob."""
        return self._catalog.find(old_name) is not None and self._rename([old_name], [new_name])

    def _rename(self, old_names, new_names, tags=()):
        for _ in range(_TRIES):
            if tags:
                blobs = self._catalog.names(tags[0])
                old_names, new_names = ([full_name(tag, blob) for blob in blobs] for tag in tags)
            found = [self._catalog.find(name) for name in old_names]
            self._check_names_free(found)
            if None in found:
                if not tags:
                    return False
                continue
            with self._copied([record for record in found if not _may_stay(record)]) as copies, self._catalog.changing("renaming blobs"):
                if not self._unchanged(found) or tags and sorted(self._catalog.names_held(tags[0])) != sorted(r.blob for r in found):
                    continue
                taken = next((name for name in (*new_names, *tags[1:]) if self._catalog.has(name)), None)
                if taken is not None:
                    raise Changed(f"the name {taken.replace(chr(0), '/')!r} is taken: delete it first, or choose another")
                self._rename_held(found, new_names, copies, tags)
                copies.clear()              # they belong to the new records now
            return True
        raise _no_pause("renamed")

    def _rename_held(self, found, new_names, copies, tags):
        # before the first change: a part of the blobs must not have another name than the rest
        self._catalog.check_room([record.but(name=name) for record, name in zip(found, new_names)]
                                 + [Record(name.partition("\0")[0], TAG) for name in (*new_names[:1], *tags[1:])])
        for record, name in zip(found, new_names):
            tag = name.partition("\0")[0]
            self._changes.create_held(tag)
            stamp = self._catalog.next_stamp()
            # the journal frees what it names under the old name; so the bytes under the new one are others
            self._catalog.put(record.but(name=name, stamp=stamp, extents=copies.get(record.name, record.extents), durable=(), dirty=True,
                                         journaled=False))
        if tags:
            self._changes.create_held(tags[1])
        gone = self._changes.take_out([record.name for record in found] + list(tags[:1]))
        for record in gone:
            if record.name in copies:
                self._changes.retire(record)

    def snapshot(self, tag, new_tag):
        """Copy all blobs of a tag, as they are at one moment, to a tag that isn't there. False without the tag."""
        for _ in range(_TRIES):
            if not self._catalog.has(tag):
                return False
            found = self._catalog.scan(kind=BLOB, tag=tag)
            self._check_names_free(found)
            with self._copied(found) as copies, self._catalog.changing(f"taking a snapshot of tag {tag!r}"):
                if self._catalog.has(new_tag):
                    raise Changed(f"tag {new_tag!r} is there: a snapshot needs a new name")
                if not self._unchanged(found) or len(found) != len(self._catalog.names_held(tag)):
                    continue
                stamp = self._catalog.next_stamp()
                made = [Record(new_tag, TAG, stamp, created=stamp)]
                for record in found:
                    stamp = self._catalog.next_stamp()
                    made.append(record.but(name=full_name(new_tag, record.blob), stamp=stamp, created=stamp, extents=copies[record.name], durable=(),
                                           dirty=True, pinned=False, journaled=False))
                self._catalog.check_room(made)
                self._catalog.put_all(made)
                copies.clear()
            return True
        raise _no_pause("copied")

    def score(self, name, score):
        """Set the score of a blob. False when it isn't there."""
        with self._catalog.changing("setting a score"):
            record = self._catalog.find(name)
            if record is None or record.kind != BLOB:
                return False
            self._catalog.put(record.but(score=score, dirty=True, stamp=self._catalog.next_stamp()))
        return True

    @contextmanager
    def _copied(self, records):
        """{name: extents} of copies; what is still in it at the end of the block is given back."""
        copies = {}
        try:
            for record in records:
                copies[record.name] = self._copy(record)
            yield copies
        finally:
            for extents in copies.values():
                self._tiers.give_back(extents)

    def _copy(self, record):
        data = bytearray(record.size)
        try:
            pieces.read(self._tiers, record, 0, data)
        except Corrupt:
            if self._catalog.still(record):
                raise
            # replaced meanwhile: whoever uses the copy sees that
        return pieces.write(self._tiers, data, wish=Wish(record.score))

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
