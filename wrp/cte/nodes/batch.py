"""NodesBatch: the Batch of a job with several nodes. Records go to their homes' catalogs; bytes stay where their rank has written them."""

from contextlib import suppress

from wrp.cte.batch import Batch
from wrp.cte.homes import at_home, home_of
from wrp.cte.records import BLOB
from wrp.errors import WrpError


class NodesBatch(Batch):
    """As Batch. Without a folder the bytes are carried to the blobs' homes as they are put, since ram belongs to the home."""

    def __init__(self, parts, label, net, keepers):
        super().__init__(parts, label)
        self._net, self._keepers = net, keepers
        self._in_place = self._durable

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
