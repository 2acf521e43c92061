"""The reference's client over a Store: its calls by their names, arguments in its order, errors as exceptions. Keeps no data."""

from contextlib import contextmanager
from numbers import Real

import numpy as np

from wrp.comm.sizes import whole
from wrp.cte.client import codes, shapes
from wrp.cte.client.codes import Refused
from wrp.cte.client.context import Context
from wrp.cte.client.directory import Directory
from wrp.cte.client.future import DEPTH, THREADS, Later
from wrp.cte.client.more import More
from wrp.cte.client.results import Blobs, BlobState, Flushed, Tags, TargetState, Telemetry, TelemetryLog
from wrp.cte.given import bytes_of, pairs_of, text
from wrp.cte.reservation import private
from wrp.cte.targets.wanted import LEVELS
from wrp.cte.telemetry import EVERY
from wrp.errors import NoSuchBlob, NoSuchTag, UsageError
from wrp.runtime.routing import PoolQuery

REPLACE, PARTIAL = 1, 2         # flags of a put: the blob ends where the put ends; the rest of the blob stays
_KEEP = -1.0


class Client(More):
    """Every call is local. Tags are given by id (UniqueId) or by name. `later` has the same calls as Futures.

    threads, depth : of `later`
    """

    def __init__(self, store, threads=THREADS, depth=DEPTH):
        self.store = store
        self._directory = Directory(store)
        self._limits, self._later = (threads, depth), None

    # targets

    def register_target(self, target_name, bdev_type, total_size, target_query="local", bdev_id=None, pool_query="dynamic"):
        """Add a target for as long as the store is open, as Store.add_target; one that is there is no change. Collective.

        bdev_type : "ram", "pinned", "noop", "gpu", or "file": scratch space, whose name is an absolute path
        """
        found = next((target for target in self.store.targets() if target.name == text(target_name, "the name of a target")), None)
        if found is None:
            self.store.add_target(target_name, bdev_type, total_size)
        elif bdev_type != found.kind:
            raise UsageError(f"target {target_name!r} is of kind {found.kind}, not {bdev_type}")

    def unregister_target(self, target_name):
        """Take a target out after its blobs have moved to others, as Store.remove_target. Collective."""
        self.store.remove_target(target_name)

    def list_targets(self):
        """Names of this node's targets."""
        return [target.name for target in self.store.targets()]

    def stat_targets(self, pool_query="dynamic", period_ms=0):
        """[TargetState] of this node, as of now: nothing has to be refreshed, so a period has no effect."""
        return [_target_state(target) for target in self.store.targets()]

    def get_target_info(self, target_name):
        return _target_state(self._target(target_name))

    def _target(self, name):
        targets = self.store.targets()
        for target in targets:
            if target.name == text(name, "the name of a target"):
                return target
        raise Refused(f"there is no target {name!r} in the store: it has {', '.join(target.name for target in targets)}", codes.NO_TARGET)

    # tags

    def get_or_create_tag(self, tag_name, tag_id=None):
        """The tag's UniqueId. An id that isn't null has to be the tag's own."""
        try:
            found = self._directory.id_of(tag_name)
        except NoSuchTag:
            self.store.create(tag_name)
            found = self._directory.id_of(tag_name)
        if tag_id is not None and not (isinstance(tag_id, tuple) and tag_id in ((0, 0), found)):
            raise UsageError(f"tag {tag_name!r} has the id {found}: ids are given by the store, not chosen")
        return found

    def get_tag_name(self, tag_id):
        """The first of the tag's names, see Store.aliases. NoSuchTag for the id of a tag that is gone."""
        return self.store.aliases(self._directory.name_of(tag_id))[0]

    def get_or_create_tag_alias(self, tag_id, alias_name):
        """Give a tag one more name, as good as the others; nothing happens where it has it. Its id, which is that of all its names. Changed when another has the name."""
        self.store.alias(self._directory.name_of(tag_id), alias_name)
        return self._directory.id_of(alias_name)

    def get_num_aliases(self, tag_id):
        """How many names the tag has, the one that it was made with among them."""
        return len(self.store.aliases(self._directory.name_of(tag_id)))

    def rename_tag(self, tag_id, new_name):
        """Give a tag another name, of several the one that was given, or the first: its id, which stays. Changed when the name is taken."""
        self.store.rename_tag(tag_id if isinstance(tag_id, str) else self.get_tag_name(tag_id), new_name)
        return self._directory.id_of(new_name)

    def del_tag(self, tag, recursive=False):
        """Take a name of a tag away, given by its id the tag with all its names, and with the last one its blobs; `recursive`: also what is in the folder of that name."""
        names = [tag] if isinstance(tag, str) else self.store.aliases(self._directory.name_of(tag))
        for name in reversed(names):
            self.store.destroy(name, recursive)

    def get_tag_size(self, tag_id):
        """Bytes of all blobs of the tag."""
        return self.store.tag_size(self._directory.name_of(tag_id))

    def get_contained_blobs(self, tag_id):
        """Names of the tag's blobs, in natural order."""
        return self.store.list(self._directory.name_of(tag_id))

    # blobs

    def put_blob(self, tag_id, blob_name, offset, size, data, score=_KEEP, context=None, flags=0):
        """Store the first `size` bytes of `data` (None: all) at `offset`: at 0 they are the whole blob, else a range of it, which grows and never shrinks.

        data : bytes-like or an array (NumPy, DLPack, CuPy)
        score : 0 to 1; -1: a new blob gets 1.0, one that is there keeps its own (one that another sets at the same moment may be lost)
        flags : PARTIAL: also at offset 0 the rest of the blob stays; REPLACE: also at an offset it ends where the put ends
        context : a Context, whose `actual_` fields are filled in
        Atomic; durable after `flush_data`. Raises UsageError, NoSuchTag, OutOfSpace, with the blob as it was.
        """
        tag, view = self._directory.name_of(tag_id), _checked(blob_name, size, data)
        offset, flags = whole(offset, f"offset of a put into blob {blob_name!r:.80}:", 0), whole(flags, "flags")
        if flags & ~(REPLACE | PARTIAL) or flags == REPLACE | PARTIAL:
            raise UsageError(f"a put with flags {flags} can't be: flags are 0, REPLACE or PARTIAL")
        if context is not None and not isinstance(context, Context):
            raise UsageError(f"a context is a Context, not {type(context).__name__}")
        self.store.tag_stamp(tag)
        score = self._score_of(tag, blob_name, score)
        if context is not None and context.emulate:
            found = self.store.modelled_put(tag, blob_name, len(view), score, context.persistence())
            context.emulated_time_ms, context.emulated_places = found.seconds * 1e3, found.places
            return
        compression = context.compression() if context is not None else None
        start = None if offset == 0 and not flags & PARTIAL else offset
        if start is not None and flags & REPLACE:
            view, start = self._with_head(tag, blob_name, offset, view), None
        outcome = self.store.put(tag, blob_name, view, start, score, compression, None, context.persistence() if context is not None else "volatile")
        if start is not None and score != self.store.score(tag, blob_name):
            self.store.score(tag, blob_name, score)
        if context is not None:
            context.fill(len(view), outcome)

    def _with_head(self, tag, blob, offset, data):
        """The first `offset` bytes of the blob, zeros where it has none, and `data` behind them."""
        found = private(offset + len(data))
        if self.store.exists(tag, blob):
            head = self.store.get(tag, blob)[:offset]
            found[:len(head)] = head
        found[offset:] = data
        return found

    def _score_of(self, tag, blob, score):
        if isinstance(score, Real) and score == _KEEP:
            try:
                return self.store.score(tag, blob)
            except NoSuchBlob:
                return 1.0
        return codes.score_of(score, f"blob {blob!r}")

    def get_blob(self, tag_id, blob_name, offset=0, size=None, flags=0, out=None, dtype=None, shape=None):
        """Bytes [offset, offset + size) of a blob (size None: to its end, or as much as `out` or `shape` take) as `bytes`.

        out : a writable buffer to fill; the number of bytes comes back
        dtype, shape : the bytes as a new array. RangeError beyond the end: nothing is cut short.
        """
        if size == 0:
            raise Refused(f"a get of no bytes of blob {blob_name!r}", codes.NO_BYTES)
        tag = self._directory.name_of(tag_id)
        if out is not None:
            return self.store.get(tag, blob_name, offset, size, out)
        if dtype is None:
            return self.store.get(tag, blob_name, offset, size)
        if shape is not None:
            array = shapes.empty(dtype, shape)
            self.store.get(tag, blob_name, offset, size, out=array)
            return array
        return shapes.shaped(bytearray(self.store.get(tag, blob_name, offset, size)), dtype)

    def view_blob(self, tag_id, blob_name, dtype=np.uint8, shape=None):
        """The blob as a read-only array, without a copy where it is one run of ram: what it is now, as long as somebody has the array or anything made of it."""
        return shapes.shaped(self.store.view(self._directory.name_of(tag_id), blob_name), dtype, shape)

    @contextmanager
    def reserve_blob(self, tag_id, blob_name, shape, dtype=np.uint8, score=1.0):
        """A context manager of a writable array in place, which is the blob when the block ends without an error, and read-only then.

        Nothing that was made of it before (slices, memoryviews) may be written to, nor anything of it be read, after that.
        """
        with self.store.reserve(self._directory.name_of(tag_id), blob_name, shapes.nbytes_of(dtype, shape), score) as reservation:
            array = shapes.shaped(reservation.view, dtype, shape)
            try:
                yield array
            finally:
                array.flags.writeable = False

    def multi_put_blob(self, tag_id, blob_names, rows, score=1.0):
        """Put row k of an array, or of a list of bytes-likes, as the blob blob_names[k]: one call for all, each atomic by itself."""
        self.store.put_many(self._directory.name_of(tag_id), blob_names, rows, score)

    def multi_get_blob(self, tag_id, blob_names, out=None):
        """The blobs as a list of bytes, or row k of `out` filled from the beginning of blob_names[k]."""
        return self.store.get_many(self._directory.name_of(tag_id), blob_names, out)

    def put_segments(self, tag_id, blob_name, segments):
        """Put ranges [(offset, data)] into a blob, one after the other, as one change with one generation. As `put_blob` with an offset."""
        tag = self._directory.name_of(tag_id)
        self.store.tag_stamp(tag)
        self.store.put_segments(tag, blob_name, [(offset, _checked(blob_name, None, data)) for offset, data in pairs_of(segments, f"ranges of blob {blob_name!r:.80}")])

    def get_segments(self, tag_id, blob_name, ranges):
        """The bytes of ranges [(offset, size)] of a blob, as a list, all of one generation."""
        return self.store.get_segments(self._directory.name_of(tag_id), blob_name, ranges)

    def append_blob(self, tag_id, blob_name, data):
        """Put `data` at the blob's end, wherever that is at this moment."""
        self.store.append(self._directory.name_of(tag_id), blob_name, bytes_of(data))

    def truncate_blob(self, tag_id, blob_name, size):
        """The blob's first `size` bytes are the blob, with zeros at the end where it had fewer."""
        self.store.truncate(self._directory.name_of(tag_id), blob_name, size)

    def reorganize_blob(self, tag_id, blob_name, new_score):
        """Give a blob a score, and the place that a put with it would have, by the scores of the targets: see Store.move.

        A score that differs by less than performance.score_difference_threshold does nothing. A reader sees the old place or the new one.
        """
        new_score = codes.score_of(new_score, f"blob {blob_name!r:.80}")
        tag = self._directory.name_of(tag_id)
        if abs(self.store.score(tag, blob_name) - new_score) < self.store.config.get("performance.score_difference_threshold"):
            return
        self.store.score(tag, blob_name, new_score)
        self.store.move(tag, blob_name, None)

    def del_blob(self, tag_id, blob_name):
        self.store.delete(self._directory.name_of(tag_id), blob_name)

    def get_blob_score(self, tag_id, blob_name):
        return self.store.score(self._directory.name_of(tag_id), blob_name)

    def get_blob_size(self, tag_id, blob_name):
        return self.store.size(self._directory.name_of(tag_id), blob_name)

    def get_blob_info(self, tag_id, blob_name):
        """BlobState: score, size and blocks."""
        tag = self._directory.name_of(tag_id)
        info = self.store.info(tag, blob_name)
        return BlobState(info.score, info.size, self.store.extents(tag, blob_name))

    # queries

    def tag_query(self, tag_regex, max_tags=0, pool_query="broadcast"):
        """Tags(results, total): names that match as a whole, in natural order; at most `max_tags` unless it is 0."""
        PoolQuery.parse(pool_query)
        found = self.store.tags(tag_regex)
        return Tags(found[:max_tags] if whole(max_tags, "max_tags", 0) else found, len(found))

    def blob_query(self, tag_regex, blob_regex, max_blobs=0, pool_query="broadcast"):
        """Blobs(tag_names, blob_names, total): as `tag_query`, in natural order of tag, then blob."""
        PoolQuery.parse(pool_query)
        found = self.store.blobs(tag_regex, blob_regex)
        cut = found[:max_blobs] if whole(max_blobs, "max_blobs", 0) else found
        return Blobs([tag for tag, _ in cut], [blob for _, blob in cut], len(found))

    def temporal_search(self, since=0, until=None, max_blobs=0, tag_regex=".*"):
        """[(stamp, tag, blob)] changed last at `since` or later and before `until` (ns since 1970), the oldest first."""
        return self.store.changed(since, until, max_blobs, tag_regex)

    def poll_telemetry_log(self, minimum_logical_time=0, pool_query="local"):
        """TelemetryLog of this node's operations from that time on, in their order; of another by `physical:N`, of all by `broadcast`: see Store.telemetry."""
        poll = self.store.telemetry(minimum_logical_time, node=_node_in(pool_query))
        ids = self._directory.ids_of({entry.tag for entry in poll.entries})
        return TelemetryLog(poll.last, [Telemetry(entry.op, entry.offset, entry.size, ids[entry.tag], entry.mod_time, entry.read_time, entry.logical_time, entry.node)
                                        for entry in poll.entries], poll.lost)

    # durability

    def flush_metadata(self, query="local", period_us=0):
        """Number of blobs whose newest state the journal has now. As `flush_data`: names and bytes become durable together."""
        return self.flush_data(query, 1, period_us).blobs_flushed

    def flush_data(self, query="local", target_persistence_level=1, period_us=0):
        """Everything that this node's ranks have put is durable when it returns: Flushed(bytes, blobs). In memory nothing is: zeros.

        target_persistence_level : 0 to 2, the least that is wanted; what is flushed outlasts the job, whichever it is
        """
        if target_persistence_level not in range(len(LEVELS)):
            raise UsageError(f"target_persistence_level {target_persistence_level!r} is none of 0 to {len(LEVELS) - 1}")
        kind = PoolQuery.parse(query).kind
        if kind not in ("local", "dynamic") and self.store.ranks.nodes > 1:
            raise UsageError(f"a flush of {kind} wants all ranks: call Store.flush_all on every one of them")
        if period_us:
            raise UsageError("a flush happens once: call it again when it is wanted again, or set performance.flush_data_period_ms for the store")
        if self.store.folder is None:
            return Flushed(0, 0)
        before = self.store.statistics()[0].values()
        self.store.flush()
        return Flushed(sum(tag.dirty_nbytes for tag in before), sum(tag.dirty for tag in before))

    # later

    @property
    def later(self):
        """The Later of this client; its threads begin with its first call."""
        if self._later is None:
            self._later = Later(self, *self._limits)
        return self._later

    def close(self):
        """Wait for what `later` has under way, but for blobs that nobody has put, end its threads. The store stays open. Idempotent."""
        later, self._later = self._later, None
        if later is not None:
            later.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _node_in(query):
    """What `node` of Store.telemetry is for a PoolQuery or its text. UsageError for one that means something else."""
    query = PoolQuery.parse(query)
    if query.kind == "physical":
        return query.numbers[0]
    if query.kind not in ("local", "dynamic", "broadcast"):
        raise UsageError(f"telemetry is of nodes: ask by local, physical:N or broadcast, not by {query}")
    return EVERY if query.kind == "broadcast" else None


def _checked(blob_name, size, data):
    """The bytes to put; Refused with the reference's reasons."""
    if size is not None and (size := whole(size, f"the size of a put into blob {blob_name!r:.80}:")) <= 0:
        raise Refused(f"a put of {size} bytes into blob {blob_name!r}", codes.NO_BYTES)
    if data is None:
        raise Refused(f"a put into blob {blob_name!r} without data", codes.NO_DATA)
    if isinstance(blob_name, str) and not blob_name:
        raise Refused("a blob's name is empty", codes.NO_NAME)
    view = bytes_of(data)
    if not len(view):
        raise Refused(f"a put of 0 bytes into blob {blob_name!r}", codes.NO_BYTES)
    if size is None or size == len(view):
        return view
    if size > len(view):
        raise UsageError(f"a put of {size} bytes into blob {blob_name!r}: the data has {len(view)}")
    return view[:size]


def _target_state(target):
    counts = target.counts
    return TargetState(target.name, target.score, target.remaining, counts.read_nbytes, counts.written_nbytes, counts.reads, counts.writes)
