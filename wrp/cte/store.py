"""The blob store as its users see it: put, get, list, delete, flush. Batches of all ranks are in batch.py, opening in opening.py."""

import time
from dataclasses import dataclass

from wrp.cte import names, opening, pieces
from wrp.cte.batch import Batch
from wrp.cte.blocks import LARGEST
from wrp.cte.changes import Changes, check_generation
from wrp.cte.direct import Direct
from wrp.cte.edits import Edits
from wrp.cte.eviction import Eviction
from wrp.cte.flush import Flush
from wrp.cte.moving import Moves
from wrp.cte.organizing import Organizing
from wrp.cte.records import BLOB, RAM, TAG, full_name
from wrp.cte.reservation import Reservation
from wrp.cte.telemetry import Op, changed_between, of_tags, of_targets
from wrp.errors import Corrupt, NoSuchBlob, NoSuchTag, RangeError, UsageError, WaitTimeout

_READS = 1000
_SHORTEST_NAP_S, _LONGEST_NAP_S = 50e-6, 10e-3
_VIEWS = 3                      # looks for bytes in ram before a view is a copy


@dataclass(frozen=True)
class BlobInfo:
    """size: bytes; checksum: crc32 of them, in an encrypted store of the frame; stamp: the generation, grows with every change; tiers: where the bytes are.

    stored: bytes that they take; codec: what made them fewer ("none": they lie as they are, or encrypted only)
    stamp, created, read: wall clock in ns, read is 0 before the first get; reads: how many there were
    """

    size: int
    checksum: int
    score: float
    stamp: int
    tiers: tuple
    stored: int = 0
    codec: str = "none"
    created: int = 0
    read: int = 0
    reads: int = 0


class Store:
    """Tags of blobs over the tiers of a job. Made by `Store.open`; a context manager.

    Calls are local unless their text says collective. What one rank puts, the ranks of its node see when the
    call returns, ranks of other nodes after `flush_all` or a batch's commit.
    """

    def __init__(self, parts):
        self._parts = parts
        self._catalog, self._tiers = parts.catalog, parts.tiers
        self._changes = Changes(parts)
        self._edits = Edits(parts, self._changes)
        self._flush = Flush(parts, self._changes)
        self._moves = Moves(parts.catalog, parts.tiers, self._flush)
        parts.tiers.make_room = Eviction(parts.catalog, parts.tiers, self._moves).run
        self._direct = Direct(parts.catalog, parts.tiers, self._changes) if parts.tiers.ram is not None else None
        self._noted = parts.catalog.noted
        self._organizing = Organizing.of(parts, self._moves)
        self.ranks = parts.ranks
        self.folder = parts.folder.path if parts.folder else None

    @classmethod
    def open(cls, folder=None, ranks=None, config=None, write=True, key=None):
        """Open or make the store in `folder`, or one in memory. Collective over `ranks` (default: all of the job).

        write : False opens for reading, together with other readers
        key : of an encrypted store, or to encrypt a new one: a crypt.Key or its file (default: as WRP_KEY_FILE or WRP_KEY say)
        Raises StoreBusy, StoreVersion, StoreError, ConfigError, OutOfSpace: the same on every rank.
        """
        return cls(opening.open_parts(folder, ranks, config, write, key))

    # writing

    def put(self, tag, blob, data, offset=None, score=1.0, compression=None, if_generation=None):
        """Store `data` (bytes-like or contiguous array) as the whole blob, or, with an offset, as that range of it.

        A range beyond the end extends the blob, zero-filled; it never shrinks. Atomic: readers see all of it or nothing.
        Durable after `flush`. Raises OutOfSpace when neither ram nor files have room; nothing has changed then.

        compression : a codecs.Compression, or what its `of` takes, instead of the tag's; then a codecs.Outcome comes back
        if_generation : Changed, and nothing has happened, unless the blob's `stamp` is this one (0: it isn't there)
        """
        self._writable()
        if not 0 <= score <= 1:
            raise UsageError(f"score {score} of blob {blob!r} is outside 0 to 1")
        if compression is not None or self._parts.framing is not None:
            return self._put_framed(tag, blob, data, offset, score, compression, if_generation)
        if offset is None and if_generation is None and self._direct is not None and self._direct.put(tag, blob, data, score):
            return None
        names.checked("tag", tag), names.checked("blob", blob)
        view = pieces.bytes_of(data)
        if offset is None:
            extents = pieces.write(self._tiers, view)
            self._changes.publish(tag, blob, extents, len(view), score, None, if_generation)
        elif not self._changes.modify(tag, blob, view, offset, score, if_generation):
            self._modify_framed(tag, blob, view, offset, score, None, if_generation)
        return None

    def _put_framed(self, tag, blob, data, offset, score, compression, generation=None):
        """A put whose bytes may become a frame: what was asked for, else the tag's compression, and encryption."""
        names.checked("tag", tag), names.checked("blob", blob)
        view = pieces.bytes_of(data)
        if offset is not None:
            outcome = self._modify_framed(tag, blob, view, offset, score, compression, generation)
        else:
            packed, outcome = self._framing().pack(full_name(tag, blob), tag, view, compression)
            stored = view if packed is None else packed.data
            self._changes.publish(tag, blob, pieces.write(self._tiers, stored), len(stored), score, packed, generation)
        return outcome if compression is not None else None

    def _modify_framed(self, tag, blob, view, offset, score, compression, generation=None):
        """A range of a blob that is a frame, or becomes one; where `offset` is None, at its end."""
        if offset is not None and offset < 0:
            raise UsageError(f"offset {offset} of blob {blob!r} is negative")

        def edited(whole):
            start = len(whole) if offset is None else offset
            whole.extend(bytes(max(0, start + len(view) - len(whole))))
            whole[start:start + len(view)] = view
        return self._remade(tag, blob, edited, score, compression, generation)

    def _remade(self, tag, blob, edited, score=1.0, compression=None, generation=None):
        """Make a whole blob anew, after `edited(bytearray of its bytes)`; the Outcome of its compression."""
        name = full_name(tag, blob)
        for _ in range(_READS):
            old = self._catalog.find(name)
            if generation is not None:
                check_generation(old, name, generation)
            whole = bytearray(old.raw or old.size if old is not None else 0)
            if whole and not self._read_still(old, 0, memoryview(whole)):
                continue
            edited(whole)
            packed, outcome = self._framing().pack(name, tag, whole, compression)
            stored = whole if packed is None else packed.data
            if self._changes.exchange(tag, blob, old, pieces.write(self._tiers, stored), len(stored), score, packed):
                return outcome
        raise _busy(tag, blob)

    def _framing(self):
        """The store's Framing; one without settings where it has none."""
        if self._parts.framing is not None:
            return self._parts.framing
        from wrp.cte.framing import Framing

        return Framing(self._tiers)

    def set_compression(self, tag, compression):
        """How blobs that are put into the tag from now on are compressed: what codecs.Compression.of takes, "none" for not at all.

        The store keeps it with the tag's name, also while there is no such tag. Collective; durable when it returns.
        """
        with self.ranks.agreed(f"the compression of tag {tag!r}"):
            self._writable()
            names.checked("tag", tag)
            from wrp.cte.codecs import Compression

            wanted, framing = Compression.of(compression), self._framing()
            tags = {**framing.tags, tag: wanted}
            if wanted.mode == "none":
                del tags[tag]
            if self._parts.folder is not None and self.ranks.rank == 0:
                self._parts.folder.change_header(codecs={name: tags[name].get_config() for name in sorted(tags)})
        framing.tags = tags
        self._parts.framing = framing if framing.is_needed else None
        self.ranks.barrier(f"tag {tag!r} has its compression")

    def compression(self, tag):
        """The codecs.Compression of a tag, or None."""
        return self._framing().tags.get(tag)

    def put_many(self, tag, blobs, rows, score=1.0):
        """Store row k of `rows` (array of two or more dimensions, C-contiguous, or a list of bytes-like) as the blob blobs[k].

        Each is a put of its own: an error leaves those before it. Rows of equal length of at most 16 KiB take one call for all.
        """
        self._writable()
        if len(blobs) != len(rows):
            raise UsageError(f"{len(blobs)} names for {len(rows)} rows")
        array = pieces.rows_of(rows)
        if array is None or self._direct is None or self._parts.framing is not None or not 0 <= score <= 1 or not 0 < array.shape[1] <= LARGEST:
            for blob, row in zip(blobs, rows):
                self.put(tag, blob, row, score=score)
            return
        names.checked("tag", tag), names.all_checked("blob", blobs)
        self.create(tag)
        self._direct.put_many(tag, blobs, array, score, lambda number: self.put(tag, blobs[number], array[number], score=score))

    def append(self, tag, blob, data):
        """Put `data` at the blob's end, wherever that is at this moment; the blob need not be there."""
        self._writable()
        names.checked("tag", tag), names.checked("blob", blob)
        view = pieces.bytes_of(data)
        if self._parts.framing is not None or not self._changes.modify(tag, blob, view, None, 1.0):
            self._modify_framed(tag, blob, view, None, 1.0, None)

    def truncate(self, tag, blob, nbytes):
        """The blob has `nbytes` bytes: its first ones, or with zeros at its end. NoSuchBlob when it isn't there."""
        self._writable()
        if nbytes < 0:
            raise UsageError(f"blob {blob!r} of {nbytes} bytes")
        self._record(tag, blob)
        if not self._changes.cut(tag, blob, nbytes):
            def edited(whole):
                del whole[nbytes:]
                whole.extend(bytes(nbytes - len(whole)))
            self._remade(tag, blob, edited)

    def reserve(self, tag, blob, nbytes, score=1.0):
        """A Reservation of `nbytes` bytes to fill in place; its `commit` makes them the blob."""
        self._writable()
        names.checked("tag", tag), names.checked("blob", blob)
        if nbytes < 0 or not 0 <= score <= 1:
            raise UsageError(f"blob {blob!r} of {nbytes} bytes with score {score}")
        tiers = self._tiers if self._parts.framing is None else None
        return Reservation(tiers, nbytes, lambda extents: self._changes.publish(tag, blob, extents, nbytes, score),
                           lambda view: self.put(tag, blob, view, score=score))

    def copy(self, tag, blob, new_tag, new_blob):
        """Store the bytes and the score of a blob under another name as well; one of that name is replaced."""
        record = self._record(tag, blob)
        self.put(new_tag, new_blob, self.get(tag, blob), score=record.score)

    def rename(self, tag, blob, new_blob, new_tag=None):
        """Give a blob another name, and another tag where one is given. Changed when that name is taken."""
        self._writable()
        new_tag = tag if new_tag is None else new_tag
        names.checked("tag", new_tag), names.checked("blob", new_blob)
        self._record(tag, blob)
        if not self._edits.rename(full_name(tag, blob), full_name(new_tag, new_blob)):
            self._record(tag, blob)

    def rename_tag(self, tag, new_tag):
        """Give a tag, with all its blobs, another name. Changed when that is taken."""
        self._writable()
        if not self._edits.rename_tag(tag, names.checked("tag", new_tag)):
            raise _no_tag(tag)

    def snapshot(self, tag, new_tag):
        """Store all blobs of a tag, as they are at one moment, in a new tag as well. Changed when that is there."""
        self._writable()
        if not self._edits.snapshot(tag, names.checked("tag", new_tag)):
            raise _no_tag(tag)

    def score(self, tag, blob, score=None):
        """The score of a blob; with `score`, set it first, which is a change with a new generation. Durable after `flush`."""
        if score is not None:
            self._writable()
            if not 0 <= score <= 1:
                raise UsageError(f"score {score} of blob {blob!r} is outside 0 to 1")
            self._edits.score(full_name(tag, blob), score)
        return self._record(tag, blob).score

    def create(self, tag):
        """Make an empty tag; nothing happens when it is there."""
        self._writable()
        self._changes.create(names.checked("tag", tag))
        self._noted.note(Op.CREATE_TAG, tag)

    def delete(self, tag, blob):
        """Take a blob out. NoSuchBlob when it isn't there. Durable after `flush`."""
        self._writable()
        names.checked("tag", tag), names.checked("blob", blob)
        if not self._changes.remove([full_name(tag, blob)]):
            self._record(tag, blob)
        self._noted.note(Op.DELETE_BLOB, tag, blob)

    def destroy(self, tag):
        """Take a tag and all its blobs out. NoSuchTag when it isn't there. Durable after `flush`."""
        self._writable()
        if not self._changes.remove_tag(names.checked("tag", tag)):
            raise _no_tag(tag)
        self._noted.note(Op.DELETE_TAG, tag)

    def move(self, tag, blob, tier):
        """Take a blob into "ram" or out of it, into the "file" tier; True when it moved. Local.

        One that is there already, is empty or viewed, or for which ram has no room, stays. Readers see the old place or the new one.
        Raises NoSuchBlob.
        """
        self._writable()
        if tier not in ("ram", "file"):
            raise UsageError(f"blobs move to the tier 'ram' or 'file', not {tier!r}")
        self._record(tag, blob)
        if self._tiers.ram is None or not self._tiers.has_files:
            return False
        moved = self._moves.move(full_name(tag, blob), tier == "ram")
        if moved:
            self._noted.note(Op.MOVE_BLOB, tag, blob)
        return moved

    def organize(self):
        """Have the node's organizer look at the blobs now, on the first rank of a node; what it has done so far (Organized). Local.

        Where performance.organizer is `none`, and on other ranks, nothing happens.
        """
        self._writable()
        if self._organizing.is_mine:
            self._organizing.look()
        return self._organizing.organized

    def flush(self):
        """Everything that the ranks of this node have put is durable when it returns. Local; no effect without a folder.

        In a job of several nodes the files' space of what was replaced comes back with the next `flush_all`.
        """
        if self._parts.folder is not None and self._parts.write:
            self._flush.run()

    def flush_all(self):
        """Collective: `flush` on every node, and every node sees what the others have."""
        with self.ranks.agreed("flushing the store"):
            self.flush()
        self._flush.exchange()

    def batch(self, label):
        """A transaction of all ranks (see Batch). Collective."""
        self._writable()
        return Batch(self._parts, label)

    # reading

    def get(self, tag, blob, offset=0, size=None, out=None):
        """Bytes [offset, offset + size) of a blob as `bytes`; with `out` (writable buffer) fills it and returns the number of bytes.

        Raises NoSuchBlob, RangeError beyond the end, Corrupt when the bytes changed on storage.
        """
        if self._direct is not None and (done := self._short_get(tag, blob, offset, size, out)) is not None:
            return done
        for _ in range(_READS):
            record = self._record(tag, blob)
            target = _target(record, offset, size, out)
            if self._read_still(record, offset, target):
                self._noted.read(tag, blob, offset, len(target))
                return len(target) if out is not None else bytes(target)
        raise _busy(tag, blob)

    def _read_still(self, record, offset, target):
        """Fill `target` from the blob; False when it was replaced meanwhile."""
        try:
            if record.raw:
                self._framing().read(record, offset, target)
            else:
                pieces.read(self._tiers, record, offset, target)
        except Corrupt:
            if self._catalog.still(record):
                raise
            return False
        return self._catalog.still(record)

    def _short_get(self, tag, blob, offset, size, out):
        """What `get` returns, or None: the long way does it, or says why it can't."""
        if out is None:
            return self._direct.get(tag, blob) if offset == 0 and size is None else None
        array = pieces.array_of(out)
        if array is None or not array.flags.writeable or size is not None and not 0 <= size <= array.size:
            return None
        wanted = array if size is None else array[:size]
        return wanted.size if self._direct.get_into(tag, blob, offset, wanted) else None

    def get_many(self, tag, blobs, out=None):
        """The blobs as a list of bytes; with `out` (C-contiguous array of two or more dimensions) fills row k from the beginning of blobs[k].

        RangeError when a blob is shorter than a row.
        """
        if out is None:
            return [self.get(tag, blob) for blob in blobs]
        rows = pieces.rows_of(out)
        if rows is None or not rows.flags.writeable or len(rows) != len(blobs):
            raise UsageError(f"{len(blobs)} blobs need a contiguous, writable array with a row for each")
        names.all_checked("blob", blobs)
        if self._direct is None or not rows.size:
            for blob, row in zip(blobs, rows):
                self.get(tag, blob, out=row)
        else:
            self._direct.get_many(tag, blobs, rows, lambda number: self.get(tag, blobs[number], out=rows[number]))

    def wait(self, tag, blob, timeout_s=None):
        """Wait until the blob is there: its BlobInfo. WaitTimeout after `timeout_s` seconds (default: WRP_TIMEOUT_S)."""
        timeout_s = self.ranks.timeout_s if timeout_s is None else timeout_s
        deadline, nap = time.monotonic() + timeout_s, _SHORTEST_NAP_S
        while (record := self._catalog.find(full_name(tag, blob))) is None:
            if time.monotonic() >= deadline:
                raise WaitTimeout(f"waited {timeout_s:g} s for blob {blob!r} of tag {tag!r}, which nobody has put")
            time.sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP_S)
        return _info(record)

    def list(self, tag, prefix=""):
        """Names of a tag's blobs that begin with `prefix`, in natural order."""
        if not self._catalog.has(tag):
            raise _no_tag(tag)
        return sorted((blob for blob in self._catalog.names(tag) if blob.startswith(prefix)), key=names.natural)

    def view(self, tag, blob):
        """A read-only memoryview of the blob, without a copy where it is one run of ram.

        It shows the blob as it is now and is good until the blob is replaced or deleted.
        """
        for _ in range(_VIEWS if self._direct is not None else 0):
            view = self._direct.view(tag, blob)
            if view is not None:
                return view
            time.sleep(0)
        return memoryview(self.get(tag, blob)).toreadonly()

    def exists(self, tag, blob=None):
        return self._catalog.find(full_name(tag, blob)) is not None

    def size(self, tag, blob):
        """Bytes of a blob."""
        self._noted.note(Op.GET_BLOB_SIZE, tag, blob)
        record = self._record(tag, blob)
        return record.raw or record.size

    def tag_size(self, tag):
        """Bytes of all blobs of a tag."""
        sums = self._catalog.sums(names.checked("tag", tag))
        if sums is None:
            raise _no_tag(tag)
        self._noted.note(Op.GET_TAG_SIZE, tag)
        return sums[1]

    def info(self, tag, blob):
        self._noted.note(Op.GET_BLOB_INFO, tag, blob)
        return _info(self._record(tag, blob))

    def infos(self, tag):
        """{blob: BlobInfo} of a tag, in natural order; one look at the catalog."""
        found = sorted(self._of_tag(tag), key=lambda record: names.natural(record.blob))
        self._noted.note(Op.GET_CONTAINED_BLOBS, tag)
        return {record.blob: _info(record) for record in found}

    def tags(self, pattern=".*"):
        """Names of the tags that match entirely, in natural order."""
        matches = names.matcher("tag", pattern)
        found = [record.name for record in self._catalog.scan(kind=TAG) if matches(record.name)]
        return sorted(found, key=names.natural)

    def blobs(self, tag_pattern, blob_pattern=".*", limit=0):
        """[(tag, blob)] whose names match entirely, in natural order of tag, then blob; at most `limit` unless it is 0."""
        blob_matches = names.matcher("blob", blob_pattern)
        found = []
        for tag in self.tags(tag_pattern):
            matching = sorted(filter(blob_matches, self._catalog.names(tag)), key=names.natural)
            found += [(tag, blob) for blob in matching]
            if limit and len(found) >= limit:
                return found[:limit]
        return found

    # observing

    def telemetry(self, minimum=0, limit=0):
        """The newest operations of the node from logical time `minimum` on: Poll(last, entries, lost); go on with `last + 1`.

        Nothing is taken out, nobody is stopped. An entry names tag and blob by `telemetry.identity`. UsageError where it is off.
        """
        return self._noted.poll(minimum, limit)

    def changed(self, since=0, until=None, limit=0, pattern=".*"):
        """[(stamp, tag, blob)] of blobs changed last at `since` or later and before `until` (ns since 1970), the oldest first.

        pattern : of tags that match entirely; limit : at most so many, the oldest, unless it is 0
        """
        matches = names.matcher("tag", pattern)
        return changed_between((record for record in self._catalog.scan(kind=BLOB) if matches(record.tag)), since, until, limit)

    def statistics(self):
        """({tag: TagStatistics}, {target: TargetStatistics}) of this node; target 0 is its ram, files count from 1."""
        records = self._catalog.scan()
        return of_tags(records), of_targets(records, self._noted.counters.read())

    # ending

    def close(self):
        """Flush and close. Collective; idempotent."""
        if self._parts is None:
            return
        parts = self._parts
        self._organizing.stop()
        try:
            if parts.write and parts.folder is not None:
                with parts.ranks.agreed("flushing the store before it is closed"):
                    self._flush.run()
        finally:
            self._let_go()
            parts.close()

    def _let_go(self):
        """Whoever uses the store from now on is told, instead of looking at memory that is gone."""
        self._parts = None
        self._catalog = self._tiers = self._direct = self._edits = self._noted = _Closed()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.close()
        elif self._parts is not None:
            self._leave(getattr(error, "common", False) or self._parts.ranks.size == 1)

    def _leave(self, together):
        """After an error: flush nothing. Close if every rank has the same error, else let go of what is this process's own."""
        self._organizing.stop()
        parts = self._parts
        self._let_go()
        parts.close() if together else parts.drop()

    def _record(self, tag, blob):
        record = self._catalog.find(full_name(tag, blob))
        if record is not None and record.kind == BLOB:
            return record
        if self._catalog.find(tag) is None:
            raise _no_tag(tag)
        raise NoSuchBlob(f"there is no blob {blob!r} in tag {tag!r}")

    def _of_tag(self, tag):
        if self._catalog.find(tag) is None:
            raise _no_tag(tag)
        return self._catalog.scan(kind=BLOB, tag=tag)

    def _writable(self):
        if self._parts is None:
            raise UsageError("the store was closed")
        if not self._parts.write:
            raise UsageError(f"store {self.folder} was opened for reading only")


class _Closed:
    """In place of the parts of a store that was closed."""

    def __getattr__(self, name):
        raise UsageError("the store was closed")


def _busy(tag, blob):
    return WaitTimeout(f"blob {blob!r} of tag {tag!r} was replaced {_READS} times while it was read; its writers don't pause")


def _no_tag(tag):
    return NoSuchTag(f"there is no tag {tag!r} in the store")


def _info(record):
    # durable extents of a dirty record hold older bytes
    places = record.extents if record.dirty else record.extents + record.durable
    tiers = tuple(sorted({"ram" if extent[0] == RAM else "file" for extent in places}))
    times = record.created, record.read, record.reads
    if not record.raw:
        return BlobInfo(record.size, record.checksum, record.score, record.stamp, tiers, record.size, "none", *times)
    from wrp.cte.framing import codec_name

    return BlobInfo(record.raw, record.checksum, record.score, record.stamp, tiers, record.size, codec_name(record.codec), *times)


def _target(record, offset, size, out):
    """The buffer to read into, of the length asked; RangeError when the blob is shorter."""
    nbytes = record.raw or record.size
    if out is not None:
        target = pieces.bytes_of(out, writable=True)
        if size is not None and size > len(target):
            raise RangeError(f"{size} bytes of blob {record.blob!r} don't fit into the buffer of {len(target)}")
        wanted = len(target) if size is None else size
        target = target[:wanted]
    else:
        wanted = nbytes - offset if size is None else size
        target = None
    if offset < 0 or wanted < 0 or offset + wanted > nbytes:
        raise RangeError(f"bytes {offset} to {offset + wanted} lie beyond blob {record.blob!r} of tag {record.tag!r}, "
                         f"which has {nbytes} bytes")
    return bytearray(wanted) if target is None else target
