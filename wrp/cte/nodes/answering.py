"""Answering: what a home can be asked by other nodes. Values and arguments are what msgpack takes; errors are those of Store.

Everything is done by the home's own Store, as a rank of the node would do it.
"""

from dataclasses import astuple
from itertools import repeat

import numpy as np

from wrp.cte import given, pieces
from wrp.cte.nodes.away import Receipts
from wrp.cte.nodes.wire import INLINE, PORTION, extents_of, plain_of
from wrp.cte.records import full_name
from wrp.cte.targets import Wish
from wrp.cte.telemetry import Op
from wrp.cte.tiers import PIECE
from wrp.errors import NoSuchTag

SLOW = ("flush", "flush_blob", "lease", "move", "destroy", "tags", "blobs", "infos", "list", "changed", "fetch", "sync", "naming", "noted", "statistics")
_MOST = 4 << 20                 # bytes of blobs in one answer
_ENTRIES = 4096                 # of telemetry in one answer


class Answering:
    """here: the Store of this rank, which knows this node only; flush: makes its homes durable; loans: Loans of the node."""

    def __init__(self, here, parts, flush, loans):
        self._here, self._parts, self._flush, self._loans = here, parts, flush, loans
        self._receipts = Receipts()

    def table(self):
        """{name: function} of what can be asked."""
        own = ("put", "adopt", "put_segments", "look_segments", "append", "put_many", "look", "still", "get_many", "get_rows", "info", "rename", "delete_still", "destroy", "pass_stamp", "sums", "infos", "list",
               "tags", "blobs", "changed", "noted", "statistics", "lease", "fill", "fetch", "hold", "failed_syncs", "sync", "give_back", "take_back", "flush", "flush_blob")
        same = ("delete", "truncate", "score", "move", "exists", "create", "tag_stamp", "extents", "modelled_put", "modelled_get")
        return {**{name: getattr(self, name) for name in own}, **{name: getattr(self._here, name) for name in same}}

    # blobs

    def put(self, tag, blob, data, offset, score, compression, generation, persistence):
        """Store.put of bytes, or of extents that another node has filled here; they are the blob then, or given back."""
        if not isinstance(data, bytes):
            extents = self._loans.take(extents_of(data))
            if offset is None and compression is None and self._parts.framing is None:
                self._here._changes.publish(tag, blob, extents, sum(extent[2] for extent in extents), score, None, generation)
                return None
            data = self._read(extents)
        outcome = self._here.put(tag, blob, data, offset, score, compression, generation, persistence)
        return astuple(outcome) if outcome is not None else None

    def adopt(self, tag, blob, extents, score, generation):
        """Let extents that lie on a node of the neighbourhood (see Net.lent) be a blob; on an error they are given back."""
        self._here._changes.publish(tag, blob, extents_of(extents), sum(extent[2] for extent in extents), score, None, generation)

    def put_segments(self, tag, blob, places, data, score, generation):
        """Store.put_segments of the same, which stands one behind the other; places: [(offset, number of bytes)]."""
        whole, start, segments = memoryview(data if isinstance(data, bytes) else self._taken(extents_of(data))), 0, []
        for offset, nbytes in places:
            segments.append((offset, whole[start:start + nbytes]))
            start += nbytes
        self._here.put_segments(tag, blob, segments, score, generation)

    def look_segments(self, tag, blob, ranges, known=0):
        """[None, bytes of each range], where they are few, else [the fields of the record, None]; [None, None] where the generation is the one `known`."""
        record = self._here._record(tag, blob)
        if record.stamp == known:
            self._parts.catalog.noted.read(tag, blob, min((offset for offset, _ in ranges), default=0), sum(max(0, size) for _, size in ranges))
            return [None, None]
        if sum(max(0, size) for _, size in ranges) > PORTION:
            return [record, None]
        return [None, self._here.get_segments(tag, blob, ranges)]

    def append(self, tag, blob, data):
        """Store.append, of the same."""
        self._here.append(tag, blob, data if isinstance(data, bytes) else self._taken(extents_of(data)))

    def _taken(self, extents):
        """The bytes of extents that were filled here, which are given back."""
        return self._read(self._loans.take(extents))

    def _read(self, extents):
        try:
            data = bytearray(sum(extent[2] for extent in extents))
            pieces.read(self._parts.tiers, pieces.parcel(extents), 0, data)
            return data
        finally:
            self._parts.tiers.give_back(extents)

    def put_many(self, tag, blobs, rows, nbytes, score):
        """Store.put_many of rows of equal length that stand one behind the other."""
        self._here.put_many(tag, blobs, given.rows_in(rows, nbytes), score)

    def look(self, tag, blob, offset, size, known=0):
        """[None, bytes] of a range where that is short, else [the fields of the record, None]; [None, None] where the generation is the one `known`."""
        record = self._here._record(tag, blob)
        nbytes = record.raw or record.size
        wanted = nbytes - offset if size is None else size
        if offset < 0 or wanted < 0 or offset + wanted > nbytes:
            return [record, None]           # whoever asks says what is wrong
        if wanted > INLINE or record.stamp == known:
            self._parts.catalog.noted.read(tag, blob, offset, wanted)
            return [record if record.stamp != known else None, None]
        return [None, self._here.get(tag, blob, offset, size)]

    def still(self, name, stamp, extents):
        """True while the record of a name is this one."""
        now = self._parts.catalog.find(name)
        return now is not None and now.stamp == stamp and now.extents == extents_of(extents)

    def get_many(self, tag, blobs, nbytes, known=None):
        """The first `nbytes` bytes of each blob, all where it is None; None in place of what is too long for an answer.

        known : generations of the blobs, 0 for any: True in place of the bytes where it is the blob's
        """
        found, left = [], _MOST
        for blob, stamp in zip(blobs, known or repeat(0)):
            record = self._here._record(tag, blob)
            whole = record.raw or record.size
            wanted = whole if nbytes is None else nbytes
            if record.stamp == stamp and wanted <= whole:
                self._parts.catalog.noted.read(tag, blob, 0, wanted)
                found.append(True)
                continue
            if wanted > min(INLINE, left):
                found.append(None)
                continue
            left -= wanted
            found.append(self._here.get(tag, blob, 0, nbytes))
        return found

    def get_rows(self, tag, blobs, nbytes):
        """The first `nbytes` bytes of each blob, one behind the other."""
        rows = np.empty((len(blobs), nbytes), np.uint8)
        self._here.get_many(tag, blobs, rows)
        return rows.tobytes()

    def info(self, tag, blob):
        return astuple(self._here.info(tag, blob))

    def rename(self, tag, blob, new_blob, new_tag, replace):
        """Where the new name is at home here too."""
        self._here.rename(tag, blob, new_blob, new_tag, replace)

    def delete_still(self, tag, blob, stamp, lasts=True):
        """Take a blob out if its generation is `stamp`; else False. `lasts` False: None, and nothing has happened, where a journal has something of the name."""
        name, changes = full_name(tag, blob), self._here._changes
        with self._parts.catalog.changing(f"removing blob {blob!r}"):
            now = self._parts.catalog.find(name)
            if not lasts and now is not None and now.stamp == stamp and now.journaled:
                return None
            gone = changes.take_out([name]) if now is not None and now.stamp == stamp else []
        for record in gone:
            changes.retire(record)
        return bool(gone)

    # tags: of this node's blobs; None where it has none and doesn't know the tag

    def destroy(self, going):
        """Take out what tags have up to a stamp each, [(tag, stamp)], which is above all that were given out when this was decided."""
        for tag in self._here._changes.remove_older(dict(going)):
            self._here._noted.note(Op.DELETE_TAG, tag)

    def pass_stamp(self, stamp):
        """No stamp at or below this one is given out here any more; the highest that was given out or seen."""
        catalog = self._parts.catalog
        with catalog.changing("destroying tags"):
            catalog.seen_stamp(stamp)
            return catalog.last_stamp

    def sums(self, tag):
        """Bytes of the tag's blobs."""
        return _or_none(self._here.tag_size, tag)

    def infos(self, tag):
        """[(blob, fields of its BlobInfo)]."""
        found = _or_none(self._here.infos, tag)
        return found and [(blob, *astuple(info)) for blob, info in found.items()] if found is not None else None

    def list(self, tag, prefix):
        return _or_none(self._here.list, tag, prefix)

    def tags(self, pattern):
        return self._here.tags(pattern)

    def blobs(self, tag_pattern, blob_pattern, limit):
        return self._here.blobs(tag_pattern, blob_pattern, limit)

    def changed(self, since, until, limit, pattern):
        return self._here.changed(since, until, limit, pattern)

    # the node

    def noted(self, minimum, limit):
        """[bytes of the rows of Telemetry.read, next logical time, lost ones, operations that were ever noted]; `limit` 0: as many as an answer has."""
        ring = self._here._noted.ring
        rows, following, lost = ring.read(minimum, min(limit or _ENTRIES, _ENTRIES))
        return [rows.tobytes(), following, lost, ring.count]

    def statistics(self):
        """The node's Statistics, tags by their own names; see wire.plain_of."""
        found = self._here._counted()
        return plain_of(found._replace(cache=self._parts.cache.statistics()) if self._parts.cache is not None else found)

    # space

    def lease(self, nbytes, wish, ticket):
        """Extents without a checksum for so many bytes where the fields of a Wish say, which the caller fills. `ticket`: of loans.py."""
        tiers, extents = self._parts.tiers, []
        try:
            for start in range(0, nbytes, PIECE):
                size = min(PIECE, nbytes - start)
                extents.append((*tiers.lease(size, False, Wish(*wish)), size, 0))
        except BaseException:
            tiers.give_back(extents)
            raise
        return self._loans.open(ticket, extents)

    def fill(self, target, offset, data):
        """Write into a leased extent that isn't in the first ram."""
        self._parts.tiers.write(target, offset, data)

    def fetch(self, target, offset, nbytes):
        """Bytes of a target that other nodes can't read."""
        data = bytearray(nbytes)
        self._parts.tiers.read(target, offset, data)
        return bytes(data)

    def hold(self, data, wish, ticket):
        """Extents that hold the bytes, where the fields of a Wish say. `ticket`: of loans.py."""
        return self._loans.open(ticket, pieces.write(self._parts.tiers, data, wish=Wish(*wish)))

    def failed_syncs(self):
        """What `sync` wants to know: asked before the first byte is written."""
        return self._parts.failed_syncs

    def sync(self, failed):
        """What was written into this node's files is on storage. StoreError also where another sync has failed since `failed` was asked for: nobody says so again."""
        self._parts.sync(failed)

    def give_back(self, extents):
        self._parts.tiers.give_back(extents_of(extents))

    def take_back(self, sender, number, letter):
        """The same of a letter (see away.py) of a rank, which may come twice: extents, and (ticket, whether its loan is kept)."""
        if self._receipts.is_new(sender, number):
            for closed in letter:
                if len(closed) == 2:
                    self._loans.close(*closed)
            self._parts.tiers.give_back(extents_of(each for each in letter if len(each) > 2))

    def flush(self):
        """What is at home here is durable."""
        self._flush()

    def flush_blob(self, tag, blob):
        """One blob is, if it is there."""
        self._here._flush.some([full_name(tag, blob)])


def _or_none(function, tag, *args):
    try:
        return function(tag, *args)
    except NoSuchTag:
        return None
