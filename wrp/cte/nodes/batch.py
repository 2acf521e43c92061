"""NodesBatch: the Batch of a job with several nodes. Records go to their homes' catalogs; bytes stay where their rank has written them."""

import ctypes
from contextlib import suppress

from wrp.comm.lock import this_thread
from wrp.cte.batch import Batch, stamped
from wrp.cte.homes import at_home, home_of
from wrp.cte.records import BLOB
from wrp.errors import WrpError


class NodesBatch(Batch):
    """As Batch. Without a folder the bytes are carried to the blobs' homes as they are put, since ram belongs to the home."""

    def __init__(self, parts, label, net, keepers):
        super().__init__(parts, label)
        self._net, self._keepers = net, keepers
        self._in_place = self._durable

    def _conclude(self, gathered):
        """Every node's first rank publishes what belongs there, once all of them have said that they have room.

        From its share of that on rank 0 has the names of tags: none is given to another tag, so tags that have names then have them when they are there.
        """
        token, mine = self._parts.catalog.naming, this_thread()
        word, give = ctypes.c_int64.from_address(token.address), token.leaving()
        try:
            self._conclude_together(gathered, token)
        finally:
            if word.value == mine:          # without a step of Python, see Token.leaving
                give(None, None, None)

    def _conclude_together(self, gathered, token):
        ranks, records = self._parts.ranks, {}

        def planned():
            if ranks.rank == 0:
                token.acquire("the names of the store's tags", ranks.timeout_s)
            return self._planned(gathered, records)
        plans = ranks.gather_of(planned, f"committing {self._label}")
        removals = sorted(set().union(*(names for names, _, _ in plans)))
        tags = {name: times for _, _, known in plans for name, times in known.items()}
        records, removals = stamped(records, removals, plans[0][1], tags)
        if self._durable:
            ranks.share_of(lambda: self._write_down(records, removals), f"writing {self._label} down")
        self._written.append(True)
        # from here on the batch has happened: what follows only shows it
        self._forget()
        try:
            with ranks.agreed(f"publishing {self._label}"):
                if ranks.local_rank == 0:
                    self._publish(records, removals)
        finally:
            self._published(gathered[ranks.rank], removals)

    def _placed(self, tag, blob, data, wish):
        far = self._far(tag, blob)
        return super()._placed(tag, blob, data, wish) if far is None else far.carry(memoryview(data), wish)

    def _give_back(self, record):
        far = self._far(record.tag, record.blob)
        if far is None or not record.extents:
            super()._give_back(record)
        else:
            with suppress(WrpError):        # a batch is given up because of an error: that one is to be told
                far.give_back(record.extents)

    def _far(self, tag, blob):
        """The Far where the bytes of a blob are, None where they are on this node."""
        return None if self._durable else self._net.far.get(home_of(tag, blob, self._net.nodes))

    def _mine(self, records):
        records = list(records)
        return list(filter(at_home(records, self._parts.ranks), records))

    def _publish(self, records, removals):
        super()._publish(records, removals)
        if self._keepers is not None and self._keepers.sweeping is None:
            self._keepers.renew(self._net.node, self._by_home(_blobs(records, removals)).get(self._net.node, []))
        self._net.send_away()

    def _published(self, share, removals):
        """With sweeps each rank owes what it has put, and what went away of the tags that it has replaced or removed: it knows that copies are older meanwhile."""
        if self._keepers is not None and self._keepers.sweeping is not None:
            records, replaced, removed, _ = share
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
