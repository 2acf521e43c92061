"""Flushing: what a node holds becomes durable, and the nodes of a job tell each other what is. Who may put what is in changes.py."""

from wrp.cte import pieces
from wrp.cte.records import BLOB, RAM, from_plain, to_plain
from wrp.errors import WaitTimeout

_BATCH = 1024                   # records per journal frame
_TRIES = 100                    # for a blob that is replaced while it is copied


class Flush:
    """Flushes for one rank."""

    def __init__(self, parts, changes):
        self._parts, self._changes = parts, changes
        self._told = []         # changes since the last exchange between nodes

    def run(self):
        """Bytes to files, then records to this rank's journal, then the space of what they replaced back. Local.

        The order is the promise: a record reaches the journal after its bytes reached storage.
        """
        dirty = self._parts.catalog.scan(dirty=True)
        for _ in range(_TRIES):
            replaced = []
            for start in range(0, len(dirty), _BATCH):
                replaced += self._write_out(dirty[start:start + _BATCH])
            successors = map(self._parts.catalog.find, replaced)
            dirty = [record for record in successors if record is not None and record.dirty]
            if not dirty:
                break
        else:
            raise WaitTimeout(f"blob {dirty[0].blob!r} of tag {dirty[0].tag!r} was replaced {_TRIES} times while it was flushed: "
                              f"its writers don't pause")
        self._write_removals()

    def _write_removals(self):
        owed, self._changes.owed = self._changes.owed, []
        if owed:
            self._append({"remove": [[name, stamp] for name, stamp, _ in owed]})
            for _, _, extents in owed:
                self._parts.tiers.give_back(extents)

    def _write_out(self, dirty):
        """Names of those that were replaced before their bytes were copied."""
        placed, replaced = [], []
        try:
            for record in dirty:
                moved = self._to_files(record)
                if moved is not None:
                    placed.append((record, moved))
                else:
                    replaced.append(record.name)
        except BaseException:
            for record, moved in placed:
                self._undo(record, moved)
            raise
        self._parts.sync()
        self._append({"put": [to_plain(moved) for _, moved in placed]})
        for record, moved in placed:
            self._mark_clean(record, moved)
        return replaced

    def _to_files(self, record):
        """The record with durable extents that hold its bytes; None when it was replaced meanwhile (its successor is dirty too)."""
        tiers = self._parts.tiers
        durable = []
        for extent in record.extents:
            if extent[0] != RAM:
                durable.append(extent)
                continue
            copied = pieces.write(tiers, tiers.view(*extent[:3]), durable=True)
            durable.extend(copied)
            if copied[0][3] != extent[3]:
                self._undo(record, record.but(durable=tuple(durable)))
                if self._parts.catalog.still(record):
                    pieces.fail(record)
                return None
        return record.but(durable=tuple(durable))

    def _undo(self, record, moved):
        """Give back the copies that were made for a flush that didn't happen."""
        self._parts.tiers.give_back([extent for extent in moved.durable if extent not in record.extents])

    def _append(self, change):
        self._parts.journal.append(change)
        if self._parts.ranks.nodes > 1:
            self._told.append(change)

    def _mark_clean(self, record, moved):
        """The journal names `moved.durable` now: the catalog says so, unless a newer change came between."""
        catalog, tiers = self._parts.catalog, self._parts.tiers
        with catalog.changing("marking a blob as flushed"):
            now = catalog.find(record.name)
            if now is not None and now.stamp == record.stamp:
                catalog.put(moved.clean())
                freed = record.durable
            elif now is not None:
                # a newer version: its journal predecessor is what was written just now
                catalog.put(now.but(durable=moved.durable))
                freed = record.durable
            else:
                self._changes.owed.append((record.name, catalog.next_stamp(), moved.durable))
                freed = ()
        tiers.give_back([extent for extent in freed if extent not in moved.durable])

    def exchange(self):
        """Every node learns what the others have made durable. Collective over all ranks; nothing to do on one node."""
        ranks, catalog = self._parts.ranks, self._parts.catalog
        if ranks.nodes == 1:
            return
        told, self._told = self._told, []
        everything = ranks.gather((ranks.node, told), "what each rank has flushed")
        with ranks.agreed("taking over what other nodes have flushed"):
            if ranks.local_rank == 0:
                for node, changes in everything:
                    if node != ranks.node:
                        for change in changes:
                            self._take_over(catalog, change)
        ranks.barrier("every node knows what is durable")

    def _take_over(self, catalog, change):
        with catalog.changing("taking over what another node has flushed"):
            for plain in change.get("put", ()):
                self._newer(catalog, plain[0], plain[2], from_plain(plain))
            for name, stamp in change.get("remove", ()):
                self._newer(catalog, name, stamp, None)

    def _newer(self, catalog, name, stamp, record):
        """Put, or remove, where the catalog knows nothing newer; what that frees on this node's devices goes back."""
        known = catalog.find(name)
        if known is not None and known.stamp >= stamp:
            return
        if record is not None:
            catalog.put(record)
            catalog.seen_stamp(stamp)
        elif known is not None:
            catalog.remove(name)
        if known is not None and known.kind == BLOB:
            held = record.durable if record is not None else ()
            self._parts.tiers.give_back([extent for extent in set(known.extents + known.durable) if extent not in held])
