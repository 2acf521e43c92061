"""NodesStore: the Store of a job with several nodes. Each name has a home; calls for names of other nodes are made there.

What lies on this node is left to a plain Store, `_here`; this class decides where a call goes and puts the parts together.
"""

import time
from dataclasses import replace

from wrp.cte import names, pieces
from wrp.cte.calls.base import READS, busy, no_tag
from wrp.cte.calls.reading import target_of
from wrp.cte.nodes.answering import Answering
from wrp.cte.nodes.batch import NodesBatch
from wrp.cte.nodes.edits import NodesEdits
from wrp.cte.nodes.homes import home_of
from wrp.cte.nodes.many import get_many, put_many
from wrp.cte.nodes.net import Net
from wrp.cte.nodes.wire import INLINE, record_of
from wrp.cte.reservation import Reservation
from wrp.cte.store import BlobInfo, Store
from wrp.cte.telemetry import Change
from wrp.errors import NoSuchBlob, NoSuchTag, RangeError, UsageError, WaitTimeout

_SHORTEST_NAP_S, _LONGEST_NAP_S = 1e-3, 50e-3


class NodesStore(Store):
    """As Store. What one rank puts, all ranks of all nodes see when the call returns.

    Calls that concern a whole tag are made on every node: each node's part is as it is at one moment, the parts are not of the same moment.
    """

    def __init__(self, parts):
        self._parts, self._tiers = parts, parts.tiers
        self.ranks, self.folder = parts.ranks, parts.folder.path if parts.folder else None
        self._node, self._count = parts.ranks.node, parts.ranks.nodes
        self._here = Store(parts)
        self._changed_at = set()            # other nodes where this rank has changed something since its last flush
        self._net = Net(parts, Answering(self._here, parts, self._flush_here).table())
        self._edits = NodesEdits(self)

    # where

    def home(self, tag, blob=None):
        """Number of the node whose catalog has a blob's or tag's record."""
        return home_of(tag, blob, self._count)

    def _change(self, home, call, *args):
        """What a call of Answering gives that changes something, at a home, here or there."""
        if home != self._node:
            self._changed_at.add(home)
        return self._net.at(home, call, *args)

    def _look(self, home, call, *args):
        """The same of one that changes nothing."""
        return self._net.at(home, call, *args)

    def _named(self, function, tag, blob, *args):
        """`function` at the home of a blob: that node may not know a tag that is there."""
        names.checked("tag", tag), names.checked("blob", blob)
        try:
            return function(self.home(tag, blob), *args)
        except NoSuchTag:
            if not self.exists(tag):
                raise
            raise NoSuchBlob(f"there is no blob {blob!r} in tag {tag!r}") from None

    def _everywhere(self, call, *args):
        """What a call gives on every node, by node."""
        return self._net.everywhere(call, *args)

    def _of_tag(self, tag, call, *args):
        """What a call gives on every node that knows the tag. NoSuchTag when none does."""
        found = [part for part in self._everywhere(call, names.checked("tag", tag), *args) if part is not None]
        if not found:
            raise no_tag(tag)
        return found

    # writing

    def put(self, tag, blob, data, offset=None, score=1.0, compression=None, if_generation=None, min_persistence="volatile"):
        """As Store.put."""
        self._writable()
        if not 0 <= score <= 1:
            raise UsageError(f"score {score} of blob {blob!r} is outside 0 to 1")
        if min_persistence != "volatile":
            raise UsageError("min_persistence is for jobs of one node: leave it out, and flush")
        names.checked("tag", tag), names.checked("blob", blob)
        home = self.home(tag, blob)
        if home == self._node:
            return self._here.put(tag, blob, data, offset, score, compression, if_generation)
        if compression is not None:
            from wrp.cte.codecs.compression import Compression, Outcome

            outcome = self._change(home, "put", tag, blob, self._sent(home, data), offset, score, Compression.of(compression).get_config(), if_generation)
            return Outcome(*outcome)
        self._change(home, "put", tag, blob, self._sent(home, data), offset, score, None, if_generation)
        return None

    def _sent(self, home, data):
        """`data` as an argument of a call: the bytes, or extents of the home that hold them."""
        view = pieces.bytes_of(data)
        return bytes(view) if len(view) <= INLINE else self._net.far[home].carry(view)

    def put_many(self, tag, blobs, rows, score=1.0):
        """As Store.put_many; one question for each home and megabyte."""
        self._writable()
        if len(blobs) != len(rows):
            raise UsageError(f"{len(blobs)} names for {len(rows)} rows")
        names.checked("tag", tag), names.all_checked("blob", blobs)
        self._changed_at |= put_many(self, self._net, tag, blobs, rows, score)

    def append(self, tag, blob, data):
        """As Store.append."""
        self._writable()
        names.checked("tag", tag), names.checked("blob", blob)
        home = self.home(tag, blob)
        if home == self._node:
            self._here.append(tag, blob, data)
        else:
            self._change(home, "append", tag, blob, self._sent(home, data))

    def truncate(self, tag, blob, nbytes):
        """As Store.truncate."""
        self._writable()
        self._named(self._change, tag, blob, "truncate", tag, blob, nbytes)

    def delete_still(self, tag, blob, stamp):
        """Take a blob out if its generation is `stamp`; else False."""
        return self._change(self.home(tag, blob), "delete_still", tag, blob, stamp)

    def reserve(self, tag, blob, nbytes, score=1.0):
        """As Store.reserve; the bytes of a blob with another home are copied there at the commit."""
        self._writable()
        names.checked("tag", tag), names.checked("blob", blob)
        if self.home(tag, blob) == self._node:
            return self._here.reserve(tag, blob, nbytes, score)
        if nbytes < 0 or not 0 <= score <= 1:
            raise UsageError(f"blob {blob!r} of {nbytes} bytes with score {score}")
        return Reservation(None, nbytes, None, lambda view: self.put(tag, blob, view, score=score))

    def copy(self, tag, blob, new_tag, new_blob):
        """As Store.copy."""
        score = self.info(tag, blob).score
        self.put(new_tag, new_blob, self.get(tag, blob), score=score)

    def rename(self, tag, blob, new_blob, new_tag=None):
        """As Store.rename. Where the names have different homes, a reader may see both for a moment."""
        self._writable()
        new_tag = tag if new_tag is None else new_tag
        names.checked("tag", new_tag), names.checked("blob", new_blob)
        home = self.home(tag, blob)
        if home == self.home(new_tag, new_blob):
            self._named(self._change, tag, blob, "rename", tag, blob, new_blob, new_tag)
        else:
            self._edits.rename(tag, blob, new_tag, new_blob)

    def rename_tag(self, tag, new_tag):
        """As Store.rename_tag, but blob by blob: readers see some under the old name and some under the new one meanwhile."""
        self._writable()
        self._edits.rename_tag(tag, names.checked("tag", new_tag))

    def snapshot(self, tag, new_tag):
        """As Store.snapshot: the blobs are those of one moment; the new tag fills while they are copied."""
        self._writable()
        self._edits.snapshot(tag, names.checked("tag", new_tag))

    def score(self, tag, blob, score=None):
        """As Store.score."""
        if score is not None:
            self._writable()
        return self._named(self._change if score is not None else self._look, tag, blob, "score", tag, blob, score)

    def create(self, tag):
        """As Store.create."""
        self._writable()
        self._change(self.home(names.checked("tag", tag)), "create", tag)

    def delete(self, tag, blob):
        """As Store.delete."""
        self._writable()
        self._named(self._change, tag, blob, "delete", tag, blob)

    def destroy(self, tag):
        """As Store.destroy; each node's part goes at one moment."""
        self._writable()
        names.checked("tag", tag)
        self._changed_at |= self._net.others
        stamps = self._everywhere("destroy", tag)
        if not any(stamps):
            raise no_tag(tag)
        # clocks of nodes differ: who makes the tag again must not be older in the journals than this
        self._change(self.home(tag), "seen", max(stamps))

    def targets(self):
        """As Store.targets: of this node."""
        return self._here.targets()

    def move(self, tag, blob, target):
        """As Store.move: at the blob's home."""
        self._writable()
        return self._named(self._change, tag, blob, "move", tag, blob, target)

    def organize(self):
        """As Store.organize."""
        self._writable()
        return self._here.organize()

    def flush(self):
        """What this rank has put anywhere, and what has its home on this node, is durable when it returns. Local; no effect without a folder."""
        self._check_open()
        if self._parts.folder is None or not self._parts.write:
            return
        nodes, self._changed_at = self._changed_at, set()
        try:
            under_way = [self._net.begin(node, "flush") for node in sorted(nodes)]
            self._flush_here()
            self._net.answers(under_way)
        except BaseException:
            self._changed_at |= nodes
            raise

    def _flush_here(self):
        self._here.flush()
        self._net.send_away()

    def flush_all(self):
        """Collective: everything that any rank has put is durable."""
        self._check_open()
        # what a rank has changed on another node is flushed there by the ranks of that node: not before it has come here
        self.ranks.barrier("every rank flushes the store")
        with self.ranks.agreed("flushing the store"):
            self._changed_at = set()
            if self._parts.folder is not None and self._parts.write:
                self._flush_here()

    def batch(self, label):
        """As Store.batch."""
        self._writable()
        return NodesBatch(self._parts, label, self._net)

    # reading

    def get(self, tag, blob, offset=0, size=None, out=None):
        """As Store.get. The bytes of a blob with another home come straight into `out`."""
        home = self.home(tag, blob)
        if home == self._node:
            try:
                return self._here.get(tag, blob, offset, size, out)
            except NoSuchTag:
                return self._named(self._look, tag, blob, "look", tag, blob, 0, None)
        target = pieces.bytes_of(out, writable=True) if out is not None else None
        if target is not None and size is None:
            size = len(target)
        elif target is not None and size > len(target):
            raise RangeError(f"{size} bytes of blob {blob!r} don't fit into the buffer of {len(target)}")
        for _ in range(READS):
            plain, data = self._named(self._look, tag, blob, "look", tag, blob, offset, size)
            if data is not None:
                if target is None:
                    return data
                if size:
                    target[:size] = data
                return size
            record = record_of(plain)
            place = target_of(record, offset, size, out)
            if self._net.read(home, record, offset, place):
                return len(place) if out is not None else bytes(place)
        raise busy(tag, blob)

    def get_many(self, tag, blobs, out=None):
        """As Store.get_many; one question for each home."""
        if out is None:
            return get_many(self, self._net, tag, blobs, None)
        rows = pieces.rows_of(out)
        if rows is None or not rows.flags.writeable or len(rows) != len(blobs):
            raise UsageError(f"{len(blobs)} blobs need a contiguous, writable array with a row for each")
        names.all_checked("blob", blobs)
        get_many(self, self._net, tag, blobs, rows)
        return None

    def view(self, tag, blob):
        """As Store.view; a copy where the blob has its home on another node."""
        if self.home(tag, blob) == self._node and self._here.exists(tag, blob):
            return self._here.view(tag, blob)
        return memoryview(self.get(tag, blob)).toreadonly()

    def exists(self, tag, blob=None):
        """As Store.exists."""
        if blob is not None:
            return self._look(self.home(tag, blob), "exists", tag, blob)
        return self._here.exists(tag) or any(self._everywhere("exists", tag))

    def wait(self, tag, blob, timeout_s=None):
        """As Store.wait."""
        timeout_s = self.ranks.timeout_s if timeout_s is None else timeout_s
        deadline, nap = time.monotonic() + timeout_s, _SHORTEST_NAP_S
        while not self.exists(tag, blob):
            if time.monotonic() >= deadline:
                raise WaitTimeout(f"waited {timeout_s:g} s for blob {blob!r} of tag {tag!r}, which nobody has put")
            time.sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP_S)
        return self.info(tag, blob)

    def size(self, tag, blob):
        """As Store.size."""
        return self.info(tag, blob).size

    def tag_size(self, tag):
        """As Store.tag_size, over all nodes."""
        return sum(self._of_tag(tag, "sums"))

    def info(self, tag, blob):
        """As Store.info."""
        return _info(self._named(self._look, tag, blob, "info", tag, blob))

    def infos(self, tag):
        """As Store.infos, over all nodes."""
        found = {blob: _info(fields) for part in self._of_tag(tag, "infos") for blob, *fields in part}
        return {blob: found[blob] for blob in sorted(found, key=names.natural)}

    def list(self, tag, prefix=""):
        """As Store.list, over all nodes."""
        return sorted((blob for part in self._of_tag(tag, "list", prefix) for blob in part), key=names.natural)

    def tag_stamp(self, tag):
        """As Store.tag_stamp: as the tag's home says, which learns of it here if only homes of its blobs knew it."""
        home = self.home(names.checked("tag", tag))
        try:
            return self._look(home, "tag_stamp", tag)
        except NoSuchTag:
            if not self.exists(tag):
                raise
            self.create(tag)
            return self._look(home, "tag_stamp", tag)

    def extents(self, tag, blob):
        """As Store.extents: on the blob's home, whose ram is target 0."""
        return [tuple(extent) for extent in self._named(self._look, tag, blob, "extents", tag, blob)]

    def tags(self, pattern=".*"):
        """As Store.tags, over all nodes."""
        names.matcher("tag", pattern)
        return sorted({tag for part in self._everywhere("tags", pattern) for tag in part}, key=names.natural)

    def blobs(self, tag_pattern, blob_pattern=".*", limit=0):
        """As Store.blobs, over all nodes."""
        names.matcher("tag", tag_pattern), names.matcher("blob", blob_pattern)
        found = [tuple(pair) for part in self._everywhere("blobs", tag_pattern, blob_pattern, limit) for pair in part]
        found.sort(key=lambda pair: tuple(map(names.natural, pair)))
        return found[:limit] if limit else found

    # observing

    def telemetry(self, minimum=0, limit=0):
        """As Store.telemetry: of this node, where calls of others on its blobs are noted too."""
        return self._here.telemetry(minimum, limit)

    def changed(self, since=0, until=None, limit=0, pattern=".*"):
        """As Store.changed, over all nodes; their clocks differ."""
        names.matcher("tag", pattern)
        found = sorted(change for part in self._everywhere("changed", since, until, limit, pattern) for change in map(tuple, part))
        return [Change(*change) for change in (found[:limit] if limit else found)]

    def statistics(self):
        """As Store.statistics: of this node."""
        return self._here.statistics()

    # ending

    def close(self):
        """Flush and close. Collective; idempotent."""
        if self._parts is None:
            return
        parts = self._parts
        self._stop()
        try:
            self.flush_all()
        finally:
            self._let_go()
            parts.close()

    def _stop(self):
        self._here._stop()

    @property
    def _organizing(self):
        return self._here._organizing

    def _let_go(self):
        self._here._let_go()
        self._parts = None
        self._net = self._edits = self._tiers = self._here._catalog


def _info(fields):
    """The BlobInfo of a list of its fields."""
    info = BlobInfo(*fields)
    return replace(info, tiers=tuple(info.tiers))
