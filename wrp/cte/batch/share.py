"""A rank's share of a batch: blobs that it has written to their final place and nobody sees yet, tags to be replaced or removed. How it is committed: commit.py."""

import os
from contextlib import contextmanager

from wrp.comm.sizes import whole
from wrp.cte import given, names, pieces
from wrp.cte.records import BLOB, TAG, Record, combined_crc, full_name
from wrp.cte.reservation import private
from wrp.cte.targets import Wish
from wrp.errors import UsageError

_DESCRIPTORS, _FARTHEST = 1 << 31, 1 << 62      # numbers that no file reaches


class Share:
    """What one rank has in a batch; every call is local."""

    _in_place = True                # bytes may be written straight into this node's ram
    _is_over = False                # its with block has ended: what came now would never be committed

    def __init__(self, parts, label):
        self._parts, self._label = parts, label
        self._durable = parts.folder is not None
        self._kept = {"dirty": not self._durable, "journaled": self._durable}
        self._records, self._replaced, self._removed = {}, set(), set()
        self._unused = []                           # (tag, blob, [extents]) that aren't in it any more, until their space is given back
        self._buffer, self._pid = bytearray(), os.getpid()
        self._failed_syncs = parts.failed_syncs     # before the first byte

    def writing(self, tag, blob, nbytes):
        """Context manager: a writable memoryview of nbytes to fill; filled at the end of the block. Local."""
        nbytes = whole(nbytes, f"the size of blob {blob!r:.80}:", 0)
        tag = self._named(tag, blob)
        if self._parts.framing is not None or not self._in_place:
            return self._writing_staged(tag, blob, nbytes)
        return pieces.writing(self._parts.tiers, nbytes, self._durable, self._staging,
                              lambda extents, loose: self._add(tag, blob, extents, nbytes, loose=loose))

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
        check_open(self)
        fd, offset = whole(fd, "a descriptor of", 0), whole(offset, "the begin of bytes in a file:", 0)
        if fd >= _DESCRIPTORS or offset + sum(sizes) >= _FARTHEST:
            raise UsageError(f"{sum(sizes)} bytes at {offset} of descriptor {fd} are of no file")
        if not self._fills_ram:
            return 0
        tag = self._parts.tag_names.own(tag)
        loose = []
        try:
            extents = pieces.take(self._parts.tiers, sizes, fd, offset, loose)
            for blob, extent in zip(blobs, extents):
                self._keep(tag, Record(full_name(tag, blob), BLOB, 0, extent[2], extent[3], 1.0, (extent,)), loose)
        except BaseException:
            self._parts.tiers.settle(loose)
            raise
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
        check_open(self)
        return self._parts.tag_names.own(tag)

    def _put(self, tag, blob, view, score=1.0):
        framing = self._parts.framing
        packed = framing.pack(full_name(tag, blob), tag, view)[0] if framing is not None else None
        data = view if packed is None else packed.data
        loose = []
        try:
            self._add(tag, blob, self._placed(tag, blob, data, Wish(score), loose), len(data), packed, score, loose)
        except BaseException:
            self._let_go(tag, blob, loose)
            raise

    def _placed(self, tag, blob, data, wish, loose):
        """Extents that hold a copy of the blob's bytes; those of this node are in a list `loose`, too, until the share has them."""
        return pieces.write(self._parts.tiers, data, self._durable, wish, loose=loose)

    def _let_go(self, tag, blob, loose):
        """Give up what `_placed` gave for a blob: a list, which is empty from the moment on in which that is sure."""
        self._parts.tiers.settle(loose)

    def create(self, tag):
        """A tag, with or without blobs. Local."""
        own = self._parts.tag_names.own(names.checked("tag", tag))
        check_open(self)
        self._records.setdefault(own, Record(own, TAG, **self._kept))

    def replace(self, tag):
        """At commit, blobs of the tag that no rank has written in this batch go away. Local."""
        self.create(tag)
        self._replaced.add(self._parts.tag_names.own(tag))

    def remove(self, tag):
        """At commit the tag and its blobs go away. Local; nothing happens when it isn't there. A commit is refused with UsageError when it has several names."""
        own = self._parts.tag_names.own(names.checked("tag", tag))
        check_open(self)
        self._removed.add(own)

    def _join(self, other):
        """What another batch of this rank has is this one's from now on. Local. UsageError where both have written a blob: each keeps what it has."""
        merged([batch._records.values()] for batch in (self, other))
        records = {**other._records, **self._records}
        self._replaced, self._removed = self._replaced | other._replaced, self._removed | other._removed
        self._failed_syncs = min(self._failed_syncs, other._failed_syncs)
        # no calls in between: one of both has them
        self._records, other._records = records, {}
        other._forget()

    def _add(self, tag, blob, extents, nbytes, packed=None, score=1.0, loose=None):
        extents = tuple(extents)
        record = Record(full_name(tag, blob), BLOB, 0, nbytes, combined_crc(extents), score, extents, extents if self._durable else (), **self._kept)
        if self._durable:
            self._parts.begin_sync(extents)         # storage works while the next blob is read
        if packed is not None:
            record = record.but(checksum=packed.checksum, raw=packed.raw, codec=packed.codec)
        self._keep(tag, record, [] if loose is None else loose)

    def _keep(self, tag, record, loose):
        if tag not in self._records:
            self._records[tag] = Record(tag, TAG, **self._kept)
        records, name, unused, count = self._records, record.name, self._unused, len(record.extents)
        # no calls until the share has it: an error of a signal's handler comes before or after
        if name in records:
            old = records[name]
            unused += (old.tag, old.blob, [*old.extents]),
        records[name] = record
        del loose[:count]
        self._discard()

    def _discard(self):
        """Give back the space of what isn't in the share any more."""
        unused = self._unused
        while unused:
            # no calls in between: another thread may put in the same batch, and have had the last one since the look
            last = unused[-1:]
            del unused[-1:]
            try:
                for each in last:
                    self._let_go(*each)
            except BaseException:
                unused += last          # of which the list is empty if it has happened
                raise

    @contextmanager
    def _staging(self, nbytes):
        """A buffer to fill: the one of the last blob again, unless that is still being filled."""
        buffer, self._buffer = self._buffer, bytearray()
        if len(buffer) < nbytes:
            buffer = private(nbytes)
        yield memoryview(buffer)[:nbytes]
        self._buffer = buffer

    def abandon(self):
        """Give back the space of what was written. Local; idempotent, also after an error of a signal's handler."""
        unused = [(record.tag, record.blob, list(record.extents)) for record in self._records.values()]
        # no calls in between
        self._unused += unused
        self._records = {}
        self._forget()
        self._discard()

    def __del__(self):
        # dropped without an end, as by an error of a signal's handler: what it has is free with a later call
        if getattr(self, "_pid", None) == os.getpid():
            for record in self._records.values():
                self._drop(record.tag, record.blob, record.extents)
            for unused in self._unused:
                self._drop(*unused)

    def _drop(self, tag, blob, extents):
        self._parts.tiers.due.append(list(extents))

    def _forget(self):
        self._records, self._replaced, self._removed = {}, set(), set()
        self._failed_syncs = self._parts.failed_syncs
        self.expect(0)


def check_open(batch):
    """UsageError for a batch whose with block has ended."""
    if batch._is_over:
        raise UsageError(f"batch {batch._label!r:.80} has ended with its with block: begin another one, or put into the store")


def merged(gathered):
    """{name: Record} of all ranks; WrpError when two ranks wrote one blob."""
    records = {}
    for part in gathered:
        for record in part[0]:
            if record.kind == BLOB and record.name in records:
                raise UsageError(f"two ranks wrote blob {record.blob!r} of tag {record.tag!r} in one batch")
            records[record.name] = record
    return records
