"""The blob store as its users see it: opened, flushed, closed, its tiers. What is done with blobs is in calls/, batches of all ranks in batch/."""

from wrp.comm import forking
from wrp.comm.ranks import world
from wrp.comm.sizes import whole
from wrp.cte import ending, eviction, names, opening
from wrp.cte.adding import add
from wrp.cte.background import stop_each
from wrp.cte.batch import Batch
from wrp.cte.calls import BlobInfo, Editing, Listing, Observing, Reading, Writing
from wrp.cte.changes import Changes
from wrp.cte.direct import Direct
from wrp.cte.edits import Edits
from wrp.cte.emptying import empty
from wrp.cte.eviction.eviction import Eviction
from wrp.cte.flush import Flush
from wrp.cte.folder import salvage
from wrp.cte.moving import Moves
from wrp.cte.naming import Naming
from wrp.cte.organizing import Organizing
from wrp.cte.periodic import Periodic
from wrp.cte.records import full_name
from wrp.cte.targets import Lasting, TargetInfo, Watch, removable, wanted_later, with_speed
from wrp.cte.telemetry import Op
from wrp.errors import UsageError, WaitTimeout
from wrp.runtime.daemon.finding import tell_of_wait

__all__ = ["BlobInfo", "Lasting", "Store", "TargetInfo"]


class Store(Writing, Editing, Reading, Listing, Observing):
    """Tags of blobs over the tiers of a job. Made by `Store.open`; a context manager.

    Calls are local unless their text says collective. What one rank puts, all ranks see when the call returns. A job of several
    nodes that writes gets a wrp.cte.nodes.store.NodesStore, which has the same calls.
    """

    def __init__(self, parts=None, tag_names=None):
        if not isinstance(parts, opening.Parts):
            raise UsageError("a store is opened by Store.open(folder), or by Store.attach(name) where a daemon serves it: Store(...) by itself opens none")
        self._parts = parts
        self._tag_names = tag_names if tag_names is not None else parts.tag_names
        self._own, self._naming = self._tag_names.own, Naming(parts)
        self._catalog, self._tiers = parts.catalog, parts.tiers
        self._changes = Changes(parts)
        self._flush = Flush(parts, self._changes)
        self._edits = Edits(parts, self._changes, self._flush)
        self._moves = Moves(parts.catalog, parts.tiers, self._flush)
        self._eviction = Eviction(parts.catalog, parts.tiers, self._moves, eviction.make(parts.config.get("performance.eviction")))
        parts.tiers.make_room = self._eviction.run
        self._direct = Direct(parts.catalog, parts.tiers, self._changes) if parts.tiers.ram is not None else None
        self._noted = parts.catalog.noted
        self._organizing = Organizing.of(parts, self._moves)
        self._periodic = Periodic.of(parts, self._flush)
        self._watch = Watch.of(parts)
        self.ranks, self.config = parts.ranks, parts.config
        self.folder = parts.folder.path if parts.folder else None
        if parts.runtime.is_alone:
            forking.listen(self._in_child)

    @classmethod
    def open(cls, folder=None, ranks=None, config=None, write=True, key=None, runtime=None):
        """Open or make the store in `folder`, or one in memory. Collective over `ranks` (default: all of the job).

        folder : None: in memory; "runtime:NAME": the store of the daemon NAME, as `attach` gives it, on every rank; what else is said here is the daemon's then. Where it
            isn't ready rank 0 says on stderr that it waits
        config : a Config, or the path of its file (default: as for every command)
        write : False opens for reading, together with other readers
        key : of an encrypted store, or to encrypt a new one: a crypt.Key or its file (default: as WRP_KEY_FILE or WRP_KEY say)
        runtime : a Runtime that is there, over all its ranks: the store has its memory, workers and configuration, and is closed before it
        Raises StoreBusy, StoreVersion, StoreError, ConfigError, OutOfSpace: the same on every rank.
        A store with a folder that is still open when Python ends is flushed then; what can't be is told on stderr.
        """
        if (daemon := opening.daemon_in(folder)) is not None:
            ranks = ranks if ranks is not None else world()
            if ranks.rank == 0:
                tell_of_wait(daemon)
            if ranks.size == 1:
                return cls.attach(daemon or None)
            from wrp.cte.served.job import joined

            return joined(daemon or None, ranks)
        parts, store = opening.open_parts(folder, ranks, config, write, key, runtime), None
        try:
            if parts.is_spread:
                from wrp.cte.nodes.store import NodesStore as cls
            store = cls(parts)
            ending.remember(store)
        except BaseException:
            store._leave(parts.ranks.size == 1) if store is not None else parts.drop(parts.ranks.size == 1)
            raise
        return store

    @staticmethod
    def attach(name=None, timeout_s=None, reconnect_s=None):
        """The store of the daemon `name` of this node, which this and other programs use at once: see wrp.cte.served.attach. Local."""
        from wrp.cte.served import attach

        return attach(name, timeout_s, reconnect_s)

    @staticmethod
    def salvage(folder, write=False):
        """What can still be had of a store that isn't opened any more, because its snapshot or a journal is damaged: a folder.Salvaged. Local.

        write : make a sound store of that, which keeps the damaged files in a folder of its own; else nothing is changed
        Every blob that is kept has the bytes that it had when it was flushed, the others are named, as far as their names can be read.
        Raises StoreError, StoreBusy. (Members of safe devices are rebuilt by `recover`.)
        """
        return salvage(folder, write)

    def batch(self, label):
        """A transaction of all ranks (see Batch). Collective."""
        self._writable()
        return Batch(self._parts, label)

    def flush(self):
        """Everything that the ranks of this node have put is durable when it returns. Local; no effect without a folder."""
        self._check_open()
        parts = self._parts             # another thread may close the store
        if parts.folder is not None and parts.write:
            parts.failure = None        # of a flush before: this one does what that couldn't, or says itself that it can't
            self._flush.run()

    def _flush_here(self):
        """What this node has is durable. Local, and of no other node."""
        self.flush()

    def flush_all(self):
        """Collective: everything that any rank has put is durable."""
        with self.ranks.agreed("flushing the store"):
            self.flush()

    def replicate(self, tag=None, blob=None):
        """What this rank has changed, of a tag where one is named, is with its keepers when it returns; a blob that is named, whoever has changed it. Local.

        Only with targets.replicate_period_ms is there anything to wait for. Raises NoSuchBlob, WaitTimeout for a silent node: it is owed still.
        """
        self._writable()
        if tag is not None or blob is not None:
            names.checked("tag", self._own(tag))
        if blob is not None:
            self._record(self._own(tag), blob)

    # tiers

    def targets(self):
        """[TargetInfo] of the targets of this node: first ram, data files, others. What remains is exact, whoever has put or deleted."""
        return self._tiers.infos()

    def lasting(self):
        """[Lasting] of all that holds the store's bytes for good: its data files and what takes their place. Local; any rank, also of a store opened for reading.

        StoreError where nothing of a safe one is there.
        """
        self._check_open()
        return [Lasting(self._tiers.said(number), *seen) for number, *seen in self._tiers.lasting()]

    def recover(self, target, member, path=None, tick=None):
        """Rebuild a member of a safe target of this node that is out, from the others: how many chunks. Local; others go on meanwhile.

        member : its number, from 0, or its file, as in TargetInfo.failed; path : where its new file is to be, None: where it was; tick : called when some more of it is done
        Raises UsageError without such a target, StoreError when it isn't out or can't be rebuilt.
        """
        self._writable()
        return self._tiers.safe(target).recover(member, path, tick=tick or _nothing)

    def add_target(self, name, kind, capacity, score=-1.0, persistence=None):
        """Another target of every node; its TargetInfo. Collective.

        kind : "ram", "pinned", "file" (`name` is an absolute path, which its file's name begins with), "noop" or "gpu"
        capacity : bytes on each node; score : 0 to 1, -1: by its speed
        persistence : "volatile" or, the default of a file, "temporary": it is there as long as the store is open; of a file "long_term": for good, as if it
                      stood in the configuration of this job; a later job reads what lies there, and puts new bytes there if its configuration says so
        Raises UsageError, OutOfSpace, StoreError: there is no such target then.
        """
        with self.ranks.agreed(f"adding target {name!r}"):
            self._writable()
            wanted = wanted_later(name, kind, capacity, score, persistence)
            if any(target.name == name for target in self.targets()):
                raise UsageError(f"there is a target {name!r} in the store")
        wanted = self.ranks.share_of(lambda: with_speed(wanted, self.folder), f"measuring target {name!r}")
        add(self._parts, wanted)
        self._watch.start()
        return next(target for target in self.targets() if target.name == name)

    def remove_target(self, name):
        """Take a target out of every node that isn't the first ram or a file that lasts, after its blobs have moved to others. Collective.

        It takes no new bytes from the begin of the call on. Raises UsageError, OutOfSpace when the others have no room for its blobs: it stays, and
        every blob where it was; WaitTimeout when a batch that is under way has bytes there: it stays. Its memory goes back when the store is closed.
        """
        with self.ranks.agreed(f"removing target {name!r}"):
            self._writable()
            number = removable(self.targets(), name)
            self._tiers.leave(number)
        try:
            with self.ranks.agreed(f"moving the blobs of target {name!r}"):
                if self.ranks.local_rank == 0:
                    empty(self._parts, self._moves, number)
        except BaseException:
            self._tiers.stay(number)
            raise
        self._tiers.drop(number)

    def target_name(self, number):
        """Name of the target of this number, as `extents` gives it; of a data file its path, below the store's folder where it lies there. Local."""
        self._check_open()
        number = whole(number, "the number of a target:")
        if not self._tiers.is_known(number):
            raise UsageError(f"there is no target {number} in the store")
        return self._tiers.said(number)

    def move(self, tag, blob, target):
        """Take a blob to a target; True when it moved. Local.

        target : the name of one, "ram" for the first ram, or "file": files hold it, and only they, whichever; None: where a put with its score would go now, which
                 says dpe.dpe_type by the scores of the targets, but never to a noop, which would lose it
        One that is there already, is empty or viewed, or for which the target has no room, stays. Readers see the old place or the new one.
        Raises NoSuchBlob.
        """
        self._writable()
        tag = self._own(tag)
        self._record(tag, blob)
        moved = self._moves.by_score(full_name(tag, blob)) if target is None else self._moved(full_name(tag, blob), target)
        if moved:
            self._noted.note(Op.MOVE_BLOB, tag, blob)
        return moved

    def _moved(self, name, target):
        number = self._tiers.number_of(target)
        return (number is not None or self._tiers.has_files) and self._moves.to(name, number)

    def evict(self, target, nbytes):
        """Take blobs of the lowest scores from a target of this node to slower ones until `nbytes` bytes are free of them: how many there are. Local.

        No copy that is the last is given up; what is viewed, or finds no room, stays. UsageError for a target that there isn't.
        """
        self._writable()
        number, nbytes = self._tiers.number_of(target), whole(nbytes, "bytes to take out:", 0)
        if number is None:
            raise UsageError(f"{nbytes} bytes from target {target!r}: name one target by its name")
        return self._eviction.take_out(number, nbytes)

    def organize(self):
        """Have the node's organizer look at the blobs now, on the first rank of a node; what it has done so far (Organized). Local.

        Where performance.organizer is `none`, and on other ranks, nothing happens.
        """
        self._writable()
        if self._organizing.is_mine:
            self._organizing.look()
        return self._organizing.organized

    # ending

    def close(self):
        """Flush and close. Collective; idempotent."""
        if self._parts is None:
            return
        parts = self._parts
        try:
            try:
                self._stop()
                if parts.write and parts.folder is not None:
                    with parts.ranks.agreed("flushing the store before it is closed"):
                        self._flush.run()
            finally:
                self._let_go()
                parts.drop() if parts.is_stuck else parts.close()
        except BaseException:           # perhaps a handler's of a signal, in the middle of the end
            self._let_go()
            parts.close() if parts.ranks.size == 1 and not parts.is_stuck else parts.drop()
            raise

    def _stop(self):
        """End the threads that work by themselves, all of them whatever a signal's handler raises meanwhile: they look at what is closed next."""
        try:
            try:
                stop_each(self._threads)
            except WaitTimeout:
                raise
            except BaseException:
                stop_each(self._threads)
                raise
        except WaitTimeout as error:
            self._parts.is_stuck = True
            raise WaitTimeout(f"{self._tiers.where} can't be closed: {error}; its folder stays this process's until that ends") from error

    @property
    def _threads(self):
        """What works by itself in a thread."""
        return [self._watch, self._organizing, self._periodic]

    def _let_go(self):
        """Whoever uses the store from now on is told, instead of looking at memory that is gone."""
        self._parts = None
        ending.forget(self)
        closed = _Closed(self._gone)
        self._catalog = self._tiers = self._direct = self._edits = self._noted = self._tag_names = self._own = self._naming = closed
        self._changes = self._flush = self._moves = self._eviction = closed

    def _in_child(self):
        """In a forked child of a process that has its node alone: views stay what they were; everything else would be about a copy that nobody else sees."""
        if self._parts is None:
            return
        self._gone = ("this process was forked by the one that opened the store, which has its memory for itself: open a store of its own here, "
                      "attach both to a daemon, or start ranks with mpirun")
        if self._parts.folder is not None:
            self._parts.folder.in_child()
        self._let_go()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.close()
        elif self._parts is not None:
            together = getattr(error, "common", False) or self._parts.ranks.size == 1
            if together:
                try:
                    ending.flushed(self, "was left by an error", but=error)
                finally:
                    self._leave(together)
            else:
                self._leave(together)

    def _leave(self, together):
        """After an error: a new folder that keeps nothing goes away. Close if every rank has the same error, else let go of what is this process's own."""
        parts = self._parts
        try:
            self._stop()
        finally:
            self._let_go()
            parts.close(undo=True) if together and not parts.is_stuck else parts.drop()


def _nothing():
    """Of who wants to hear of no progress."""


class _Closed:
    """In place of the parts of a store that was closed."""

    def __init__(self, gone):
        self._gone = gone

    def __getattr__(self, name):
        raise UsageError(self._gone)

    def __call__(self, *_):
        raise UsageError(self._gone)
