"""NodesBatch: the Batch of a job with several nodes. Records go to their homes' catalogs; bytes stay where their rank has written them."""

import ctypes

from wrp.comm.lock import this_thread
from wrp.cte.batch import Batch, stamped
from wrp.cte.homes import at_home, home_of
from wrp.cte.records import BLOB


class NodesBatch(Batch):
    """As Batch. Without a folder the bytes are carried to the blobs' homes as they are put, since ram belongs to the home."""

    def __init__(self, parts, label, net, keepers):
        super().__init__(parts, label)
        self._net, self._keepers = net, keepers
        self._in_place = self._durable

    def _conclude(self, gathered):
        """Every node's first rank publishes what belongs there, once all of them have said that they have room. What is held meanwhile: wrp.cte.batch.commit.

        Rank 0 has the names of tags until all have published; a node's journals are free once that one has: before keepers are asked, whose nodes may be waiting.
        """
        ranks, catalog, mine = self._parts.ranks, self._parts.catalog, this_thread()
        names, journals = catalog.naming, catalog.flushing()
        names_word, journals_word = (ctypes.c_int64.from_address(each.address) for each in (names, journals))
        leave_names, leave_journals, trouble = names.leaving(), journals.__exit__, []
        try:
            try:
                records, removals = self._conclude_together(gathered, names, journals, trouble)
            finally:
                if journals_word.value == mine:     # without a step of Python, see Token.leaving
                    leave_journals(None, None, None)
            try:
                with ranks.agreed(f"publishing {self._label}"):
                    for error in trouble:
                        raise error
                    if ranks.local_rank == 0:
                        self._renew(records, removals)
            finally:
                self._published(gathered[ranks.rank], removals)
        finally:
            if names_word.value == mine:
                leave_names(None, None, None)

    def _conclude_together(self, gathered, names, journals, trouble):
        """(records, removals) of the batch, which has happened; what this node couldn't do then is in `trouble`."""
        ranks, records, whole = self._parts.ranks, {}, []

        def take_names():
            names.acquire("the names of the store's tags", ranks.timeout_s)

        def planned():
            if self._durable and not ranks.local_rank:
                journals.__enter__()
            elif not ranks.rank:
                take_names()
            return self._planned(gathered, records)

        def written_down():
            first = self._stamp(len(records) + len(removals), max(seen for _, seen, _ in plans))
            whole.extend(stamped(records, removals, first, tags))
            try:
                self._write_down(*whole)
            except Exception as error:
                if not self._written:
                    raise
                trouble.append(error)       # a handler's of a signal
            return first

        if self._durable:
            ranks.share_of(take_names, f"committing {self._label}")
        plans = ranks.gather_of(planned, f"planning {self._label}")
        removals = sorted(set().union(*(gone for gone, _, _ in plans)))
        tags = {name: times for _, _, known in plans for name, times in known.items()}
        first = ranks.share_of(written_down, f"writing {self._label} down")
        self._written.append(True)
        # from here on the batch has happened: what follows only shows it
        self._forget()
        records, removals = whole or stamped(records, removals, first, tags)
        try:
            if not ranks.local_rank:
                self._publish(records, removals)
        except Exception as error:
            trouble.append(error)
        return records, removals

    def _placed(self, tag, blob, data, wish, loose):
        far = self._far(tag, blob)
        return super()._placed(tag, blob, data, wish, loose) if far is None else far.carry(memoryview(data), wish, loose)

    def _let_go(self, tag, blob, loose):
        far = self._far(tag, blob)
        super()._let_go(tag, blob, loose) if far is None else far.give_back(loose)

    def _drop(self, tag, blob, extents):
        far = self._far(tag, blob)
        super()._drop(tag, blob, extents) if far is None else far.waiting.extend(extents)

    def _far(self, tag, blob):
        """The Far where the bytes of a blob are, None where they are on this node."""
        return None if self._durable else self._net.far.get(home_of(tag, blob, self._net.nodes))

    def _mine(self, records):
        records = list(records)
        return list(filter(at_home(records, self._parts.ranks), records))

    def _renew(self, records, removals):
        if self._keepers is not None and self._keepers.sweeping is None:
            self._keepers.renew(self._net.node, self._by_home(_blobs(records, removals)).get(self._net.node, []))
        self._net.send_away()

    def _published(self, share, removals):
        """Every node has published, or has said why not; `share`: what this rank handed over.

        With sweeps each rank owes what it has put, and what went away of the tags that it has replaced or removed: it knows that copies are older meanwhile.
        """
        if self._keepers is not None and self._keepers.sweeping is not None:
            records, replaced, removed = share
            gone = [(name, stamp) for name, stamp in removals if name.partition("\0")[0] in replaced | removed]
            for home, names in self._by_home(_blobs(records, gone)).items():
                self._keepers.changed(home, names)

    def _by_home(self, names):
        """{home: full names}."""
        homes = {}
        for name in names:
            homes.setdefault(home_of(*name.split("\0"), self._net.nodes), []).append(name)
        return homes


def _blobs(records, removals):
    """Full names of the blobs among these changes."""
    return [record.name for record in records if record.kind == BLOB] + [name for name, _ in removals if "\0" in name]
