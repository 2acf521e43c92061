"""Calls that put bytes: whole blobs, ranges, many at once, at the end, in place."""

from contextlib import suppress

from wrp.comm.sizes import whole
from wrp.cte import given, names, pieces
from wrp.cte.blocks import LARGEST
from wrp.cte.calls.base import READS, Calls, busy
from wrp.cte.changes import check_generation
from wrp.cte.records import full_name
from wrp.cte.reservation import Reservation, private
from wrp.cte.splicing import patch
from wrp.cte.targets import Wish
from wrp.cte.targets.wanted import wish_of
from wrp.errors import Changed, NoSuchBlob, NoSuchTag, UsageError


class Writing(Calls):
    """See store.Store."""

    def put(self, tag, blob, data, offset=None, score=1.0, compression=None, if_generation=None, min_persistence="volatile"):
        """Store `data` (bytes-like or contiguous array) as the whole blob, or, with an offset, as that range of it. It belongs to the call until that returns:
        bytes that another thread changes meanwhile may be stored beside the checksum of others, and are Corrupt then.

        A range beyond the end extends the blob, zero-filled; it never shrinks. Atomic: readers see all of it or nothing.
        Durable after `flush`. Raises OutOfSpace when neither ram nor files have room; nothing has changed then.

        compression : a codecs.Compression, or what its `of` takes, instead of the tag's; then a codecs.Outcome comes back. A lossy codec takes numbers of the array's dtype
                      where it says none
        if_generation : Changed, and nothing has happened, unless the blob's `info` has this `generation` (0: it isn't there)
        min_persistence : "volatile", "temporary" or "long_term": a whole blob goes to such targets, or better ones, only; "only volatile" and so on: to just such
                          ones; not with a compression or an offset
        """
        self._writable()
        tag = self._own(tag)
        if type(score) is not float or not 0 <= score <= 1:
            score = given.score_of(score, f"a put of blob {blob!r:.80}")
        if offset is not None:
            offset = whole(offset, f"offset of a put into blob {blob!r:.80}:", 0)
            if self._tag_names.sources:
                self._bring(tag, blob)
        if min_persistence != "volatile":
            self._check_persistence(min_persistence, offset, compression)
        elif compression is not None or self._parts.framing is not None:
            return self._put_framed(tag, blob, data, offset, score, compression, if_generation)
        if offset is None and if_generation is None and self._direct is not None and min_persistence == "volatile" and self._direct.put(tag, blob, data, score):
            return None
        names.checked("tag", tag), names.checked("blob", blob)
        view = given.bytes_of(data)
        if offset is None:
            self._put_whole(tag, blob, view, wish_of(score, min_persistence), None, if_generation)
        elif not self._changes.modify(tag, blob, view, offset, score, if_generation):
            self._modify_framed(tag, blob, view, offset, score, None, if_generation)
        return None

    def _put_whole(self, tag, blob, data, wish, packed, generation):
        """Bytes, of a frame where they are `packed`, to where they are wished, and then they are the blob."""
        loose = []
        try:
            extents = pieces.write(self._tiers, data, wish=wish, blob=blob, loose=loose)
            self._changes.publish(tag, blob, extents, len(data), wish.score, packed, generation, loose)
        except BaseException:
            self._tiers.settle(loose)
            raise

    def _bring(self, tag, blob):
        """A checkpoint tag has a blob of its source for itself, since a part of it is to change."""
        names.checked("tag", tag), names.checked("blob", blob)
        if tag not in self._tag_names.sources:
            return
        with suppress(NoSuchBlob, NoSuchTag, Changed):
            about = self.info(tag, blob)
            if not about.stamp:
                self.put(tag, blob, self.get(tag, blob), score=about.score, if_generation=0)

    def _check_persistence(self, level, offset, compression):
        wish_of(1.0, level)
        if offset is not None or compression is not None or self._parts.framing is not None:
            raise UsageError("min_persistence is for whole blobs that are stored as they are: leave out offset and compression")

    def _put_framed(self, tag, blob, data, offset, score, compression, generation=None):
        """A put whose bytes may become a frame: what was asked for, else the tag's compression, and encryption."""
        names.checked("tag", tag), names.checked("blob", blob)
        view = given.bytes_of(data)
        if compression is not None:
            from wrp.cte.codecs import Compression

            compression = Compression.of(compression, given.dtype_of(data))
        if offset is not None:
            outcome = self._modify_framed(tag, blob, view, offset, score, compression, generation)
        else:
            packed, outcome = self._framing().pack(full_name(tag, blob), tag, view, compression)
            stored = view if packed is None else packed.data
            self._put_whole(tag, blob, stored, Wish(score), packed, generation)
        return outcome if compression is not None else None

    def _modify_framed(self, tag, blob, view, offset, score, compression, generation=None):
        """A range of a blob that is a frame, or becomes one; where `offset` is None, at its end."""
        def edited(whole):
            start = len(whole) if offset is None else offset
            whole.extend(private(max(0, start + len(view) - len(whole))))
            whole[start:start + len(view)] = view
        return self._remade(tag, blob, edited, score, compression, generation)

    def _remade(self, tag, blob, edited, score=1.0, compression=None, generation=None):
        """Make a whole blob anew, after `edited(bytearray of its bytes)`; the Outcome of its compression."""
        name = full_name(tag, blob)
        for _ in range(READS):
            old = self._catalog.find(name)
            if generation is not None:
                check_generation(old, name, generation)
            whole = bytearray(old.raw or old.size if old is not None else 0)
            if whole and not self._read_still(old, 0, memoryview(whole)):
                continue
            edited(whole)
            packed, outcome = self._framing().pack(name, tag, whole, compression)
            stored = whole if packed is None else packed.data
            if self._exchanged(tag, blob, old, stored, score, packed):
                return outcome
        raise busy(tag, blob)

    def _exchanged(self, tag, blob, old, data, score, packed):
        loose = []
        try:
            extents = pieces.write(self._tiers, data, wish=Wish(old.score if old else score), loose=loose)
            return self._changes.exchange(tag, blob, old, extents, len(data), score, packed, loose)
        except BaseException:
            self._tiers.settle(loose)
            raise

    def put_many(self, tag, blobs, rows, score=1.0):
        """Store row k of `rows` (array of two or more dimensions, C-contiguous, or a list of bytes-like) as the blob blobs[k].

        Each is a put of its own: an error leaves those before it; of a name that can't be one, nothing. Rows of equal length of at most 16 KiB take one call for all.
        """
        self._writable()
        blobs, rows, score = many_of(blobs, rows, score)
        tag = self._own(tag)
        names.checked("tag", tag)
        array = given.rows_of(rows)
        if (array is None or self._direct is None or self._parts.framing is not None or not 0 < array.shape[1] <= LARGEST
                or not self._direct.takes(array.shape[1], score)):
            for blob, row in zip(blobs, rows):
                self.put(tag, blob, row, score=score)
            return
        self._direct.put_many(tag, blobs, array, score, lambda number: self.put(tag, blobs[number], array[number], score=score))

    def put_segments(self, tag, blob, segments, score=1.0, if_generation=None):
        """Put ranges [(offset, bytes-like or contiguous array)] into a blob, one after the other, as one change: a reader sees all of them or none.

        Where ranges overlap the later one counts. As `put` with an offset: a gap is zeros, the blob never shrinks, and need not be there. UsageError without a range.
        """
        self._writable()
        tag = self._own(tag)
        names.checked("tag", tag), names.checked("blob", blob)
        parts, score = segments_of(blob, segments, score)
        if self._tag_names.sources:
            self._bring(tag, blob)
        if self._parts.framing is not None or not self._changes.modify_many(tag, blob, parts, score, if_generation):
            def edited(whole):
                whole.extend(private(max(0, max(offset + len(data) for offset, data in parts) - len(whole))))
                patch(whole, 0, parts)
            self._remade(tag, blob, edited, score, None, if_generation)

    def append(self, tag, blob, data):
        """Put `data` at the blob's end, wherever that is at this moment; the blob need not be there."""
        self._writable()
        tag = self._own(tag)
        names.checked("tag", tag), names.checked("blob", blob)
        view = given.bytes_of(data)
        if self._tag_names.sources:
            self._bring(tag, blob)
        if self._parts.framing is not None or not self._changes.modify(tag, blob, view, None, 1.0):
            self._modify_framed(tag, blob, view, None, 1.0, None)

    def truncate(self, tag, blob, nbytes):
        """The blob has `nbytes` bytes: its first ones, or with zeros at its end. NoSuchBlob when it isn't there."""
        self._writable()
        nbytes = whole(nbytes, f"the size of blob {blob!r:.80}:", 0)
        tag = self._own(tag)
        if self._tag_names.sources:
            self._bring(tag, blob)
        self._record(tag, blob)
        if not self._changes.cut(tag, blob, nbytes):
            def edited(whole):
                del whole[nbytes:]
                whole.extend(private(nbytes - len(whole)))
            self._remade(tag, blob, edited)

    def reserve(self, tag, blob, nbytes, score=1.0):
        """A Reservation of `nbytes` bytes to fill in place; its `commit` makes them the blob. OutOfSpace at once where no tier could take them."""
        self._writable()
        tag = self._own(tag)
        names.checked("tag", tag), names.checked("blob", blob)
        nbytes, score = reservable(blob, nbytes, score)
        tiers = self._tiers if self._parts.framing is None else None
        if tiers is not None:
            tiers.check_room(nbytes)
        return Reservation(tiers, nbytes, lambda extents, loose: self._changes.publish(tag, blob, extents, nbytes, score, loose=loose),
                           lambda view: self.put(tag, blob, view, score=score))


def many_of(blobs, rows, score):
    """(names, rows, score) of many puts that a caller gave. UsageError."""
    blobs, rows = given.listed(blobs, "names of blobs"), given.listed(rows, "rows")
    if len(blobs) != len(rows):
        raise UsageError(f"{len(blobs)} names for {len(rows)} rows")
    names.all_checked("blob", blobs)
    return blobs, rows, given.score_of(score, "a put of many blobs")


def reservable(blob, nbytes, score):
    """(bytes, score) of a reservation. UsageError."""
    return whole(nbytes, f"the size of blob {blob!r}:", 0), given.score_of(score, f"a reservation of blob {blob!r}")


def segments_of(blob, segments, score):
    """([(offset, memoryview)], score) of the ranges that a caller gave. UsageError."""
    parts = [(whole(offset, f"offset of a range of blob {blob!r}:", 0), given.bytes_of(data)) for offset, data in given.pairs_of(segments, f"ranges of blob {blob!r}")]
    if not parts:
        raise UsageError(f"no ranges of blob {blob!r}: give one or more")
    return parts, given.score_of(score, f"a put into blob {blob!r}")
