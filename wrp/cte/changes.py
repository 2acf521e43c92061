"""Changes that one rank makes to the catalog by itself: publish, modify, remove. What they replace is given back at the right time.

An extent that the journal names may be given back only when the journal names something else instead, or a
crash would find another blob's bytes there. So a removal waits here, in `owed`, for the next flush of this rank; what a put replaces stays
in the new record as its `durable` extents until that record is flushed.
"""

from numbers import Integral

from wrp.comm.refusals import let_out
from wrp.cte import pieces
from wrp.cte.names import Own
from wrp.cte.records import BLOB, TAG, Record, combined_crc, full_name
from wrp.cte.splicing import spliced
from wrp.cte.targets import Wish
from wrp.cte.telemetry import Op
from wrp.errors import Changed, Corrupt, UsageError, WaitTimeout

_TRIES = 1000                   # of a change in a blob that other ranks change meanwhile


class Changes:
    """The changes of one rank. `owed`: [(name, stamp, extents to give back)] that the journal doesn't have yet."""

    def __init__(self, parts):
        self._catalog, self._tiers, self._tag_names = parts.catalog, parts.tiers, parts.tag_names
        self._journaled = parts.folder is not None
        self.owed = []

    def publish(self, tag, blob, extents, size, score=1.0, packed=None, generation=None, loose=None):
        """Make `extents` the blob; `packed`: framing.Packed of a frame. On an error they are given back and nothing has changed.

        generation : Changed unless the blob has it (0: isn't there)
        loose : a list of the extents, which is empty once they aren't the caller's any more
        """
        loose = list(extents) if loose is None else loose
        try:
            with self._catalog.changing(f"putting blob {blob!r}"):
                name = full_name(tag, blob)
                if generation is not None:
                    check_generation(self._catalog.find(name), name, generation)
                self.create_held(tag)
                self._replace(loose, name, extents, size, score, packed)
            self._noted(tag, blob, size, packed)
            self._tiers.settle(loose)
        except BaseException:
            self._tiers.settle(loose)
            raise

    def exchange(self, tag, blob, old, extents, size, score, packed=None, loose=None):
        """The same if the blob's record still is `old` (None: there is none); else False, and the extents are given back."""
        loose = list(extents) if loose is None else loose
        try:
            with self._catalog.changing(f"putting into blob {blob!r}"):
                is_same = same(self._catalog.find(full_name(tag, blob)), old)
                if is_same:
                    self.create_held(tag)
                    self._replace(loose, full_name(tag, blob), extents, size, old.score if old else score, packed)
            if is_same:
                self._noted(tag, blob, size, packed)
            self._tiers.settle(loose)
        except BaseException:
            self._tiers.settle(loose)
            raise
        return is_same

    def modify(self, tag, blob, data, offset, score, generation=None):
        """Replace the range [offset, offset + len(data)) of a blob, which need not be there; where `offset` is None, at its end.

        False when the blob is a frame: nothing has happened.
        """
        if offset is not None and offset < 0:
            raise UsageError(f"offset {offset} of blob {blob!r} is negative")
        return self._edit(tag, blob, score, generation, (offset, len(data)),
                          lambda old, loose: spliced(self._tiers, old, [(offset if offset is not None else old.size if old else 0, data)], score, loose))

    def modify_many(self, tag, blob, segments, score, generation=None):
        """The same for [(offset, bytes-like)], one after the other, as one change."""
        place = min(offset for offset, _ in segments), sum(len(data) for _, data in segments)
        return self._edit(tag, blob, score, generation, place, lambda old, loose: spliced(self._tiers, old, segments, score, loose))

    def cut(self, tag, blob, nbytes):
        """The blob, which is there, ends after `nbytes` bytes; what it had less is zeros. False as above."""
        return self._edit(tag, blob, 1.0, None, (nbytes, 0),
                          lambda old, loose: self._cut(old, nbytes, loose) if old and nbytes < old.size else spliced(self._tiers, old, [(nbytes, b"")], 1.0, loose))

    def _edit(self, tag, blob, score, generation, place, edited):
        """Replace a blob by `edited(its Record or None, loose)` = (extents, those of them that it has already), again when it changes meanwhile.

        place : (offset or None for the end, nbytes) for the log of operations
        loose : a list for what is leased
        """
        name = full_name(tag, blob)
        for _ in range(_TRIES):
            old = self._catalog.find(name)
            if generation is not None:
                check_generation(old, name, generation)
            if old is not None and old.raw:
                return False
            if self._edited(tag, blob, name, old, score, edited, place):
                return True
        raise WaitTimeout(f"blob {blob!r} of tag {tag!r} was replaced {_TRIES} times while a range of it was put: "
                          f"its writers don't pause")

    def _edited(self, tag, blob, name, old, score, edited, place):
        """True when it was done; False when another rank was quicker: splice into what it left."""
        loose, is_same = [], False
        try:
            extents, kept = edited(old, loose)
            with self._catalog.changing(f"putting into blob {blob!r}"):
                is_same = same(self._catalog.find(name), old)
                if is_same:
                    self.create_held(tag)
                    self._replace(loose, name, extents, sum(extent[2] for extent in extents), old.score if old else score)
            if is_same:
                start, nbytes = place
                self._catalog.noted.note(Op.PUT_BLOB, tag, blob, start if start is not None else old.size if old else 0, nbytes)
            self._tiers.settle(loose)
        except Corrupt as error:
            self._tiers.settle(loose)
            let_out(error)
            if self._catalog.still(old):
                raise
        except BaseException:
            self._tiers.settle(loose)
            raise
        return is_same

    def _noted(self, tag, blob, size, packed):
        self._catalog.noted.note(Op.PUT_BLOB, tag, blob, 0, size if packed is None else packed.raw)

    def create(self, tag):
        """True when it wasn't there."""
        if type(tag) is not Own and self._catalog.has(tag):
            return False
        with self._catalog.changing(f"making tag {tag!r}"):
            return self.create_held(tag)

    def remove(self, names):
        """Take names out of the catalog; True when one of them was there."""
        gone = []
        try:
            with self._catalog.changing("removing blobs"):
                self.take_out(names, gone)
            found = len(gone) > 0
            self.retire_all(gone)
        except BaseException:
            self.retire_all(gone)
            raise
        return found

    def remove_tags(self, tags):
        """Take tags and their blobs out, all at once."""
        gone = []
        try:
            with self._catalog.changing("destroying tags"):
                self.take_out([*(record.name for record in self._blobs_held(tags)), *tags], gone)
            self.retire_all(gone)
        except BaseException:
            self.retire_all(gone)
            raise

    def remove_older(self, upto):
        """The same of what isn't newer than a stamp, {tag: stamp}, as a journal says already; what is made later is newer. The tags that were there."""
        gone = []
        try:
            with self._catalog.changing("destroying tags"):
                self._catalog.seen_stamp(max(upto.values(), default=0))
                blobs = self._blobs_held(upto)
                self.take_out([record.name for record in blobs if record.stamp <= upto[record.tag]], gone)
                stay = {record.tag for record in blobs if record.stamp > upto[record.tag]}
                there = [record for record in map(self._catalog.find, upto) if record is not None and record.stamp <= upto[record.name]]
                for record in there:
                    if record.name not in stay:
                        self._catalog.remove(record.name)
                    else:                       # it is another tag
                        stamp = self._catalog.next_stamp()
                        self._catalog.put(record.but(stamp=stamp, created=stamp, dirty=True))
            self.retire_all(gone)
        except BaseException:
            self.retire_all(gone)
            raise
        return [record.name for record in there]

    def _blobs_held(self, tags):
        return [record for tag in tags for record in self._catalog.scan_held(kind=BLOB, tag=tag)]

    def take_out(self, names, gone=None):
        """Records that are out of the catalog now, which are added to `gone`, too. A tag may be in the journal through a batch that found it here.

        Where a handler of a signal raises an error meanwhile none of them is out, or all are.
        """
        gone = [] if gone is None else gone
        records = [record for record in map(self._catalog.find, names) if record is not None]
        try:
            self._take(records, gone)
        except BaseException:
            if not gone:
                self._take(records, gone)
            raise
        return gone

    def _take(self, records, gone):
        for record in records:
            self._catalog.erase(record.name)
        owed = [(record.name, self._catalog.removal_stamp(), record.durable) for record in records if record.journaled or record.kind == TAG] if self._journaled else []
        # no handler is called in between
        self.owed += owed
        gone += records

    def retire_all(self, gone):
        """Give back what the bytes of records took that are out of the catalog: a list, which is empty from the moment on in which that is sure, see `Space.settle`."""
        if gone:
            rest, due = [extent for record in gone for extent in self.given_up(record)], self._tiers.due
            rest = rest,
            # no calls in between
            del gone[:]
            due += rest
        self._tiers.settle([])

    def create_held(self, tag):
        """The tag is there; True when it wasn't before. Inside `changing`. Changed where the name that was given for it means another one by now."""
        is_there = self._catalog.has(tag)
        if not is_there or type(tag) is Own:
            self._tag_names.check_held(tag, is_there)
        if not is_there:
            stamp = self._catalog.next_stamp()
            self._catalog.put(Record(tag, TAG, stamp, created=stamp))
        return not is_there

    def _replace(self, loose, name, extents, size, score, packed=None):
        old = self._catalog.find(name)
        stamp = self._catalog.next_stamp()
        checksum, raw, codec = (packed.checksum, packed.raw, packed.codec) if packed is not None else (combined_crc(extents), 0, 0)
        record = Record(name, BLOB, stamp, size, checksum, score, tuple(extents), old.durable if old else (),
                        pinned=old is not None and old.pinned and not set(extents).isdisjoint(old.extents), journaled=old is not None and old.journaled, created=old.created if old else stamp, raw=raw, codec=codec)
        put_owned(self._catalog, record, loose, self.given_up(old, extents))

    def retire(self, old, kept=()):
        """Give back what the old record's bytes took, less what the journal or the new record still names."""
        self._tiers.settle(self.given_up(old, kept))

    @staticmethod
    def given_up(old, kept=()):
        """[extents] of a record, or of None, that neither the journal nor `kept` names."""
        if old is None:
            return []
        held = set(old.durable) | set(kept)
        return [extent for extent in old.extents if extent not in held]

    def _cut(self, old, nbytes, loose):
        """(extents of the blob's first `nbytes` bytes, those of them that are its own)."""
        kept, position = [], 0
        for extent in old.extents:
            if position + extent[2] > nbytes:
                break
            kept.append(extent)
            position += extent[2]
        rest = bytearray(nbytes - position)
        pieces.read(self._tiers, old, position, rest)
        return tuple(kept) + pieces.write(self._tiers, rest, wish=Wish(old.score), loose=loose), tuple(kept)


def put_owned(catalog, record, loose, replaced=()):
    """Publish a record, which owns the extents in `loose` from then on: those in `replaced` are there then, and on any error what was, unless the record is there.
    Inside `changing` only.

    It is emptied before, lest an error raised by a handler of a signal right after it has them given back.
    """
    held = loose[:]
    try:
        loose.clear()
        catalog.put(record)
        loose[:] = replaced
    except BaseException:
        now = catalog.find(record.name)
        is_there = now is not None and (now.stamp, now.extents, now.durable) == (record.stamp, record.extents, record.durable)
        loose[:] = replaced if is_there else held
        raise


def check_generation(record, name, generation):
    """Raises Changed unless the record has the generation; 0 wants none."""
    found = record.stamp if record is not None else 0
    if found != generation:
        if not isinstance(generation, Integral):
            raise UsageError(f"if_generation of {generation!r:.80} is no generation: give what info(tag, blob).generation says, or 0")
        tag, _, blob = name.partition("\0")
        raise Changed(f"blob {blob!r} of tag {tag!r} has generation {found}, not {generation}: another has changed it; look at it again")


def same(now, old):
    """True when nothing has happened to the bytes of `old`: neither a change, nor an eviction, which leaves the stamp."""
    if now is None or old is None:
        return now is old
    return (now.stamp, now.extents) == (old.stamp, old.extents)

