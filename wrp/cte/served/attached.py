"""AttachedStore: the store of a daemon as an attached program has it: the calls of Store. Which daemon is asked is hold.py's.

Any process of the daemon's node may have one, with MPI or without, at once with others and with the daemon's own ranks.
"""

from functools import wraps

from wrp.comm.ranks.launcher import launcher
from wrp.comm.ranks.solo import Solo
from wrp.cte import given, names
from wrp.cte.calls.reading import place_of, places_of
from wrp.cte.calls.writing import many_of, reservable, segments_of
from wrp.cte.codecs import Compression
from wrp.cte.reservation import Reservation
from wrp.cte.served import calls
from wrp.cte.served.batch import AttachedBatch
from wrp.cte.served.flushing import flush_together
from wrp.cte.served.hold import Hold
from wrp.cte.served.place import told
from wrp.cte.served.slips import LARGE, SMALL
from wrp.cte.served.wire import Part
from wrp.cte.store import Store
from wrp.errors import RangeError, RuntimeGone, UsageError, WrpError
from wrp.runtime.config import Config
from wrp.runtime.daemon import attach as attach_to
from wrp.runtime.daemon.view import View

_PUT = {"offset": None, "score": 1.0, "compression": None, "if_generation": None, "min_persistence": "volatile"}


def attach(name=None, timeout_s=None, reconnect_s=None):
    """The AttachedStore of the daemon `name` of this node; a context manager. Local.

    name, timeout_s, reconnect_s : as of wrp.runtime.daemon.attach; or, in place of the name, what that gave: then `close` leaves it attached
    Raises StoreError when there is no daemon, or it serves no store, StoreVersion, WaitTimeout.
    """
    if hasattr(name, "pool"):
        return AttachedStore(name, False)
    node = attach_to(name, timeout_s, None, reconnect_s)
    try:
        return AttachedStore(node, True)
    except BaseException:
        node.close()
        raise


def serves(name=None):
    """True when a daemon of this name (as of `attach`) runs on this node and serves a store. Local, without a wait."""
    try:
        with View(name) as view:
            return told(view.segment) is not None
    except WrpError:
        return False


class AttachedStore(Hold):
    """The daemon's store. Calls mean what those of Store do, and raise the same; `view` and `reserve` give copies. Calls of all ranks together are those of the
    daemon's ranks; in a job they are collective over its own, too. Any thread.

    Attributes: folder (of the daemon's store, None: in memory), ranks (this process, `nodes` and `node` are the store's; of a job its ranks), config (its values,
    not its lists), daemon (a word of its own).
    """

    def __init__(self, node, is_own):
        super().__init__(node, is_own)
        self.folder, nodes, number, timeout_s, values, self.daemon = self._ask("about")
        self.ranks = Solo()
        self.ranks.nodes, self.ranks.node, self.ranks.timeout_s = nodes, number, timeout_s
        default = Config.default()
        self.config = Config({**default._values, **values}, default._origins, None)

    # bytes

    def put(self, tag, blob, data, offset=None, score=1.0, compression=None, if_generation=None, min_persistence="volatile"):
        """As Store.put."""
        view = given.bytes_of(data)
        if compression is not None:
            compression = Compression.of(compression, given.dtype_of(data))
        if len(view) > LARGE and (offset, compression, if_generation, min_persistence) == (None, None, None, "volatile"):
            return self._linked("put", lambda link: link.put_whole(tag, blob, view, score))
        options = {"offset": offset, "score": score, "compression": compression, "if_generation": if_generation, "min_persistence": min_persistence}
        return self._ask("put", tag, blob, Part(0, len(view)), parts=(view,), **{key: value for key, value in options.items() if type(value) is not type(_PUT[key]) or value != _PUT[key]})

    def append(self, tag, blob, data):
        """As Store.append."""
        view = given.bytes_of(data)
        self._ask("append", tag, blob, Part(0, len(view)), parts=(view,))

    def put_segments(self, tag, blob, segments, score=1.0, if_generation=None):
        """As Store.put_segments."""
        names.checked("tag", tag), names.checked("blob", blob)
        parts, score = segments_of(blob, segments, score)
        placed, start = [], 0
        for offset, view in parts:
            placed.append((offset, Part(start, len(view))))
            start += len(view)
        self._ask("put_segments", tag, blob, placed, score, if_generation, parts=[view for _, view in parts])

    def put_many(self, tag, blobs, rows, score=1.0):
        """As Store.put_many."""
        blobs, rows, score = many_of(blobs, rows, score)
        array = given.rows_of(rows)
        if array is not None and array.size:
            self._ask("put_rows", tag, list(blobs), Part(0, array.nbytes), array.shape[1], score, parts=(given.bytes_of(array),))
            return
        views, start, placed = list(map(given.bytes_of, rows)), 0, []
        for view in views:
            placed.append(Part(start, len(view)))
            start += len(view)
        self._ask("put_many", tag, list(blobs), placed, score, parts=views)

    def get(self, tag, blob, offset=0, size=None, out=None):
        """As Store.get."""
        offset, size = place_of(blob, offset, size)
        if out is None:
            return bytes(self._ask("get", tag, blob, offset, size, room=LARGE if size is None else size))
        target = given.bytes_of(out, writable=True)
        if size is not None and size > len(target):
            raise RangeError(f"{size} bytes of blob {blob!r} don't fit into the buffer of {len(target)}")
        return self._ask("get", tag, blob, offset, len(target) if size is None else size, out=target)

    def view(self, tag, blob):
        """As Store.view, but a copy."""
        return memoryview(self._ask("get", tag, blob, room=LARGE)).toreadonly()

    def get_segments(self, tag, blob, ranges):
        """As Store.get_segments."""
        return self._ask("get_segments", tag, blob, places_of(blob, ranges))

    def get_many(self, tag, blobs, out=None):
        """As Store.get_many."""
        blobs = given.listed(blobs, "names of blobs")
        if out is None:
            return self._ask("get_many", tag, list(blobs), room=LARGE)
        rows = given.rows_of(out)
        if rows is None or not rows.flags.writeable or len(rows) != len(blobs):
            raise UsageError(f"{len(blobs)} blobs need a contiguous, writable array with a row for each")
        if rows.size:
            self._ask("get_rows", tag, list(blobs), rows.shape[1], out=given.bytes_of(rows, writable=True))
        return None

    def reserve(self, tag, blob, nbytes, score=1.0):
        """As Store.reserve; the memory is this process's own, and comes to the store at the commit."""
        names.checked("tag", tag), names.checked("blob", blob)
        nbytes, score = reservable(blob, nbytes, score)
        return Reservation(None, nbytes, None, lambda view: self.put(tag, blob, view, score=score))

    def recover(self, target, member, path=None, tick=None):
        """As Store.recover; nobody hears of its progress."""
        return self._ask("recover", target, member, path)

    def wait(self, tag, blob, timeout_s=None):
        """As Store.wait."""
        timeout_s = timeout_s if timeout_s is None else given.real(timeout_s, "a time-out")
        return self._linked("wait", lambda link: link.wait(tag, blob, timeout_s))

    # together

    def flush_all(self):
        """As Store.flush_all, of the daemon's ranks. Collective."""
        links, kept = [], None

        def known(link):
            nonlocal kept
            self._changed, kept = kept or self._changed, None
            self._check_same(link)
            links.append(link)
            word = link.ask("about", [])[-1]
            kept, self._changed = self._changed, None
            return word, hasattr(self._node, "again")

        def flush():
            try:
                links[-1].ask("flush_all", [])
            except RuntimeGone as error:
                raise RuntimeGone(str(error)) from error
        try:
            flush_together(self.ranks, lambda: self._linked("about", known), flush)
        except BaseException:
            self._changed = kept or self._changed
            raise

    def batch(self, label):
        """As Store.batch, of this process or its job. Collective."""
        self._node.check_open()
        return AttachedBatch(lambda ask: self._linked("batch", ask), label, self.ranks)

    @property
    def alone(self):
        """What to say to a rank of a job of several whose own store this is, not the job's; else ""."""
        started = launcher()
        if self.ranks.size > 1 or started is None or not started.is_several:
            return ""
        return f"this store was attached by this process alone; Store.open('runtime:{self._node.name}') opens it for the ranks of a job"


def _forwarded(name):
    @wraps(getattr(Store, name))
    def call(self, *args, **options):
        return self._ask(name, *args, **options)
    return call


def _forwarded_once(name):
    @wraps(getattr(Store, name))
    def call(self, *args, **options):
        return self.ranks.share_of(lambda: self._ask(name, *args, **options), f"{name} of the daemon's store")
    return call


for _names, _made in (calls.PLAIN, _forwarded), (calls.TOGETHER, _forwarded_once):
    for _name in _names:
        if _name not in vars(AttachedStore):
            setattr(AttachedStore, _name, _made(_name))
