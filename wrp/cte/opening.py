"""Opening and closing a store: the folder on rank 0, the runtime on every rank, the catalog on every node. All collective."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from wrp.comm import ranks as comm_ranks
from wrp.comm.turn import Turn
from wrp.cte.capacity import sizes_of
from wrp.cte.catalog import Catalog
from wrp.cte.compacting import Compacting
from wrp.cte.folder import Folder, Journal
from wrp.cte.folder.ahead import begin_sync
from wrp.cte.homes import at_home
from wrp.cte.locking import cipher_of
from wrp.cte.made import Made
from wrp.cte.names import DAEMON, HIDDEN
from wrp.cte.naming import TagNames
from wrp.cte.records import BLOB, from_plain, to_plain
from wrp.cte.targetnumbers import is_durable
from wrp.cte.targets import places_of
from wrp.cte.tiers import Tiers
from wrp.errors import ConfigError, StoreError, UsageError, WaitTimeout, WrpError
from wrp.runtime.config import Config, load
from wrp.runtime.runtime import Runtime

_CARRIED = 64 << 10             # for more bytes a second sync costs less than writing them twice


@dataclass
class Parts:
    """What a store is made of, on one rank."""

    ranks: object
    write: bool
    config: object
    folder: object = None
    runtime: object = None
    is_guest: bool = False                          # the runtime is another's, who closes it
    catalog: object = None
    tag_names: object = None                        # the TagNames of this rank
    tiers: object = None
    journal: object = None
    compacting: object = None                       # of the journal
    framing: object = None                          # a framing.Framing where blobs are compressed or encrypted unasked
    made: object = None                             # a made.Made, on the rank whose opening may have made the folder
    copies: object = None                           # the nodes.copies.Copies of a job of several nodes with targets.replicas
    cache: object = None                            # the nodes.cache.Cache of a job of several nodes with targets.cache
    failure: object = None                          # the error of a flush that nobody waited for; see `raise_failure`
    is_begun: bool = False                          # small blobs of this rank were synced in their file: it is there for good, and the journal may carry more
    relies: bool = False                            # see `rely`
    failed_syncs: int = 0                           # of this rank, so far
    is_stuck: bool = False                          # a thread of this rank doesn't end, and may yet write: the folder is this process's until that ends
    _syncing: object = field(default_factory=Turn)

    @property
    def is_spread(self):
        """True where every node's catalog has the records that are at home there; else each has all of them."""
        return self.write and self.ranks.nodes > 1

    def sync(self, failed=None, targets=None):
        """The bytes that this node wrote are on storage, unless performance.fsync_mode is `deferred`. StoreError at once where a file is lost for now.

        failed : `failed_syncs` before the first of the bytes was written; StoreError when one has failed since, whoever was told. None: whatever has failed
        targets : numbers of those whose bytes are meant; None: all
        """
        if not self.is_durable:
            return
        self.tiers.check_not_lost(targets)
        timeout_s = self.config.get("runtime.timeout_s")
        turn = self._syncing.of("the syncs of the store")       # or another thread might hear of an error, and this one not yet
        try:
            if not turn.acquire(timeout=timeout_s):
                raise WaitTimeout(f"store {self.folder.path}: its files didn't come to storage for another thread of this process within {timeout_s:g} s "
                                  f"(runtime.timeout_s)")
            try:
                self.tiers.sync(targets)
            except BaseException:
                # the kernel takes what it couldn't write for written from now on: what the journal holds is needed at the next opening
                self.journal.is_kept = True
                self.failed_syncs += 1
                raise
            if failed not in (None, self.failed_syncs):
                raise StoreError(f"store {self.folder.path}: its storage failed while these bytes were on their way; what this call promised is not kept")
        finally:
            # one step: a handler's error between a look whether it is ours and this would leave it taken
            try:
                turn.release()
            except WrpError:            # of a signal's handler
                raise
            except RuntimeError:        # the wait was in vain
                pass

    @cached_property
    def is_durable(self):
        return self.config.get("performance.fsync_mode") == "durable"

    def carries(self, target, nbytes):
        """Whether so many bytes of a data file go into the journal, too, which alone is synced then. Nobody else may need to see the file meanwhile."""
        return (self.is_begun and nbytes <= _CARRIED and self.ranks.nodes == 1 and self.folder.place(target - 1) is None and self.is_durable
                and not self.journal.is_kept)

    def begin_sync(self, extents):
        """The storage begins with bytes in files, for which a `sync` will wait."""
        if self.is_durable:
            for target, offset, nbytes, _ in extents:
                if is_durable(target):
                    begin_sync(self.tiers.device(target).descriptor, offset, nbytes)

    def raise_failure(self):
        """Raise, once, what a flush that nobody waited for couldn't do."""
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def rely(self, begins):
        """Where something is to be kept: from now on no rank of the node ends without having served this one, or again as it likes. Idempotent."""
        if self.folder is not None and self.write and begins != self.relies:
            self.relies = begins
            self.ranks.rely(1 if begins else -1)

    def close(self, undo=False):
        """Collective: let go of everything, the folder's lock last. `undo`: a new folder in which nothing was kept goes away."""
        self.rely(False)
        # a rank's own journal: the first one may not see its name yet, where the folder is another machine's
        begun = self.ranks.gather(self.journal is not None and self.journal.is_begun, "every rank has finished with the store")
        if self.is_begun and not undo:
            with suppress(WrpError):        # the next opening finds it in the journal
                self.sync()
        self._local_close()
        if not self.is_guest:
            self.runtime.close()
        self.tag_names.close()
        self.catalog.close()
        for extra in (self.copies, self.cache):
            if extra is not None:
                extra.close()
        self._leave_folder(undo and not any(begun))

    def drop(self, undo=False):
        """After an error, on this rank alone: the lock, the journal and the files, unless it is stuck; the memory goes with the process, and of one that is
        alone the workers. `undo`: as for `close`."""
        self.rely(False)
        self._local_close()
        if self.ranks.size == 1 and self.runtime is not None and not self.is_guest:
            self.runtime.abandon()
        self._leave_folder(undo)

    def _leave_folder(self, undo):
        if undo and self.made is not None and not self.is_stuck:
            self.made.undo(self.folder)
        if self.folder is not None and not self.is_stuck:
            self.folder.close()

    def _local_close(self):
        if self.is_stuck:
            return
        try:
            if self.journal is not None:
                self.compacting.stop()
                self.journal.close(self.config.get("runtime.timeout_s"))
        except WaitTimeout:
            self.is_stuck = True
            raise
        if self.tiers is not None:
            self.tiers.close()


def daemon_in(folder):
    """The name of a daemon in place of a folder, None in a folder."""
    return folder.removeprefix(DAEMON) if isinstance(folder, str) and folder.startswith(DAEMON) else None


def open_parts(path, ranks, config, write, key=None, runtime=None):
    """See Store.open."""
    if runtime is not None:
        ranks, config = runtime.ranks, runtime.config if config is None else config
    ranks = ranks if ranks is not None else comm_ranks.world()
    if not isinstance(ranks, comm_ranks.Ranks):
        raise UsageError(f"ranks of type {type(ranks).__name__}: leave them out, or give wrp.comm.ranks.world(); to open for reading say write=False")
    with ranks.agreed("reading the configuration"):
        if config is None or isinstance(config, (str, os.PathLike)):
            config = load(config)
        if not isinstance(config, Config):
            raise UsageError(f"config of type {type(config).__name__}: give the path of a YAML file, or what wrp.runtime.config.load made of one")
        if path is not None and not isinstance(path, (str, os.PathLike)):
            raise UsageError(f"the folder of a store is a path, not {path!r:.80}: name it, or leave it out for a store in memory")
        if path is None and key is not None:
            raise UsageError("a store in memory isn't encrypted: give it a folder, or leave the key out")
    parts = Parts(ranks, write, config, runtime=runtime, is_guest=runtime is not None)
    try:
        _open(parts, path, key)
    except BaseException as error:
        parts.drop(undo=ranks.size == 1 or comm_ranks.is_common(error))
        raise
    return parts


def _open(parts, path, key):
    ranks = parts.ranks
    known = _open_folder(parts, path) if path is not None else []
    cipher = cipher_of(parts.folder, ranks, key, parts.write and not known) if path is not None else None
    with ranks.agreed("sizing the tiers"):
        replicas = _replicas(parts)
        sizes = None if ranks.rank else sizes_of(parts.config, path if parts.write else None, len(known), parts.is_guest or ranks.size > ranks.nodes)
    sizes = ranks.share(sizes, "sizes of the tiers")
    if not parts.is_guest:
        parts.runtime = Runtime(ranks, parts.config)
    with ranks.agreed("making the tiers"):
        parts.tiers = Tiers(parts.runtime, parts.folder, sizes, _tags_by_target(known) if ranks.local_rank == 0 else {})
    parts.tiers.place_by(parts.config.get("dpe.dpe_type"), parts.config.get("performance.stat_targets_period_ms") / 1000)
    parts.catalog = Catalog(ranks.on_node, sizes.slots, ranks.timeout_s, sizes.ram, _entries(parts.config))
    parts.tag_names = TagNames(parts.catalog)
    parts.tiers.counters = parts.catalog.noted.counters
    parts.tiers.cut(parts.catalog.blocks_at, ranks.timeout_s, parts.catalog.views, parts.catalog.flushes_at)
    if replicas > 1:
        from wrp.cte.nodes.copies import Copies

        parts.copies = Copies(parts, sizes.slots * (replicas - 1))
    if parts.is_spread and parts.config.get("targets.cache"):
        from wrp.cte.nodes.cache import Cache

        parts.cache = Cache(parts, parts.config.get("targets.cache"), parts.config.get("targets.cache_min_score"))
    codecs = parts.folder.header.get("codecs") if parts.folder is not None else None
    with ranks.agreed("loading the catalog"):
        if codecs or cipher is not None:
            from wrp.cte.framing import Framing

            parts.framing = Framing(parts.tiers, codecs or {}, cipher)
        if ranks.local_rank == 0:
            _fill(parts, known)
    parts.rely(True)            # before another rank, which may come to its end at once, is let go
    ranks.barrier("the store is open")


def _replicas(parts):
    """The nodes that have each blob. ConfigError when the job has fewer; 1 for a store that is opened for reading."""
    replicas, nodes = parts.config.get("targets.replicas"), parts.ranks.nodes
    if parts.write and replicas > nodes:
        raise ConfigError(f"targets.replicas is {replicas}, but this job has {nodes} node{'s' * (nodes > 1)}: start it on {replicas} or more, or lower the key")
    return replicas if parts.write else 1


def _tags_by_target(known):
    """{target: names of tags with bytes there}."""
    found = {}
    for record in map(from_plain, known):
        for extent in record.durable:
            found.setdefault(extent[0], set()).add(record.tag)
    return found


def _entries(config):
    """The entries of the telemetry ring: what is configured, up to the next power of two."""
    wanted = config.get("performance.telemetry_entries")
    return 1 << (max(wanted, 2) - 1).bit_length() if wanted else 0


def _open_folder(parts, path):
    """The folder joined on every rank; the known records (plain) on the first rank of every node."""
    ranks = parts.ranks
    with ranks.agreed("looking where the journals are to lie"):
        folder = parts.folder = Folder(path, parts.write, _log_of(parts.config) if parts.write else "")
    made = Made(path) if parts.write and ranks.rank == 0 else None
    shared = None
    with ranks.agreed(f"opening store {folder.path}"):
        if ranks.rank == 0:
            found = folder.open(ranks.nodes, places_of(parts.config))
            parts.made = made
            if made is not None:
                made.keep(folder)
            shared = (folder.header, folder.astray, folder.latest, [to_plain(record) for record in found.values()])
    header, astray, latest, known = ranks.share(shared, "the records of the store")
    with ranks.agreed(f"joining store {folder.path}"):
        folder.member(header, astray, latest)
        if parts.write:
            parts.journal = Journal(folder.journal_path(ranks.rank), parts.config.get("performance.fsync_mode") == "durable",
                                    parts.config.get("performance.transaction_log_capacity"))
            parts.compacting = Compacting(parts)
    return known


def _log_of(config):
    """performance.metadata_log_path, checked."""
    log = config.get("performance.metadata_log_path")
    if log and not os.path.isabs(log):
        raise ConfigError(f"performance.metadata_log_path {log!r} must be an absolute path: it is what the name of a folder with journals begins with")
    return log


def _fill(parts, known):
    """Put what the folder holds into the node's catalog, where it is at home there, and take its space out of the node's devices."""
    runs, records = {}, list(map(from_plain, known))
    belongs = at_home(records, parts.ranks) if parts.is_spread else lambda record: True
    with parts.catalog.changing("loading the catalog"):
        parts.catalog.seen_stamp(parts.folder.latest if parts.folder is not None else 0)
        for record in records:
            if belongs(record):
                parts.catalog.put(record)
            parts.catalog.seen_stamp(record.stamp)
            if record.kind == BLOB:
                for target, offset, nbytes, _ in record.durable:
                    runs.setdefault(target, []).append((offset, nbytes))
        # a job of several nodes may have been killed after one destroyed a tag into which another had put
        parts.catalog.put_missing_tags(record.name for record in records)
        parts.catalog.names_word.value += parts.catalog.has(HIDDEN)
    for target, taken in runs.items():
        if parts.write and parts.tiers.owns(target):
            parts.tiers.claim(target, np.array(taken, np.int64))
