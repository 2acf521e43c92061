"""Cache: bytes of blobs of other nodes that ranks of this node have got whole, kept in its ram for the next get. Whether they still are the blob, its home says.

A record here has the generation that the home gave with the bytes. Every get asks the home anyway; it sends that generation along, and what is kept counts
only when the answer says that it is the blob's. So no node has to know who keeps what, nobody is told of a change, and a node that stood still can't serve old bytes.
Bytes are kept as they are stored; no more in size than the device of the cache has. They leave by the time of their last use.
"""

from wrp.comm.refusals import let_out
from wrp.comm.streaming import address_of, copy_checked, fetch_checked
from wrp.cte import pieces
from wrp.cte.catalog import Catalog
from wrp.cte.changes import put_owned
from wrp.cte.nodes.held import unpack
from wrp.cte.nodes.wire import INLINE
from wrp.cte.records import BLOB, RAM, full_name
from wrp.cte.targetnumbers import is_durable, node_of
from wrp.cte.telemetry.counters import Counters
from wrp.cte.telemetry.statistics import CacheStatistics
from wrp.cte.tiers import PIECE
from wrp.errors import Corrupt, OutOfSpace

_LEAST = 16                     # at least this fraction of the room is made at a time, so that a scan is worth its price
_TRIES = 3                      # of finding room: others of the node want some, too
_RING = 2                       # entries of a telemetry that nobody reads; its counters are what is wanted
_HIT, _MISSED = 0, 1            # lines of the counters


class Cache:
    """The cache of one node, of all its ranks and threads. Making and closing it is collective over the ranks of the node.

    nbytes : of ram, backed as it is used; min_score : blobs of a lower score aren't kept
    """

    def __init__(self, parts, nbytes, min_score):
        self._parts, self._capacity, self._min_score = parts, nbytes, min_score
        self._device = parts.runtime.device("wrp_cte_cache", "ram", nbytes)
        slots = 1 << max(10, (4 * nbytes // INLINE).bit_length())       # of blobs and their tags, where most take more than a question carries
        self._catalog = Catalog(parts.ranks.on_node, slots, parts.ranks.timeout_s, telemetry=_RING)
        self.counters = Counters(0, 0)

    def close(self):
        """Collective over the node; idempotent."""
        self._catalog.close()

    # getting

    def find(self, tag, blob):
        """The Record of what is kept of a blob, or None: `stamp` is the generation to ask its home for."""
        return self._catalog.find(full_name(tag, blob))

    def get(self, record, offset, out):
        """Fill `out` with bytes from `offset` of the blob, whose home has just said that it has the Record's generation. False when they have left meanwhile."""
        if record.raw:
            data = bytearray(record.size)
            if not self._filled(record, 0, data):
                return False
            unpack(self._parts, record, data, offset, out)
        elif not self._filled(record, offset, out):
            return False
        noted = self._catalog.noted
        noted.read(record.tag, record.blob, offset, len(out))
        noted.counters.note(_HIT, False, len(out))
        return True

    def _filled(self, record, offset, out):
        try:
            pieces.read(self, record, offset, out)
        except Corrupt as error:                 # others' bytes by now, or damaged
            let_out(error)
            self.drop(record)
            return False
        return self._is_there(self._catalog.find(record.name), record)

    def _is_there(self, now, record):
        """True when a record is the very one that was kept: nobody has had its place since."""
        return now is not None and (now.stamp, now.created) == (record.stamp, record.created)

    def read(self, _, offset, out):
        """As Tiers.read, of the cache's own device."""
        self._device.read(offset, out)

    def load(self, extent, out):
        """As Tiers.load."""
        return fetch_checked(address_of(out), address_of(self._device.view(extent[1], extent[2])), extent[2])

    # keeping

    def missed(self, nbytes):
        """So many bytes of a blob were got from another node."""
        self._catalog.noted.counters.note(_MISSED, False, nbytes)

    def wants(self, record):
        """Whether the bytes of a blob of another node are worth their place; its own are none of this node's."""
        return 0 < record.size <= self._capacity and record.score >= self._min_score and not any(map(self._is_here, record.extents))

    def _is_here(self, extent):
        target = extent[0]
        return (is_durable(target) or node_of(target) is not None) and self._parts.tiers.owner(target) == self._parts.ranks.node

    def keep(self, record, data):
        """Keep all bytes of another node's blob as they are stored, if there is room or can be made. `record`: its home's, with just these bytes."""
        for _ in range(_TRIES):
            try:
                extents = self._placed(data)
                break
            except OutOfSpace as error:
                let_out(error)
                if not self._make_room(len(data)):
                    return
        else:
            return
        loose = list(extents)               # what no record names
        try:
            with self._catalog.changing(f"keeping blob {record.blob!r} of another node"):
                old = self._catalog.find(record.name)
                if old is None or old.stamp < record.stamp:
                    # when it was kept tells it from what may get its place, and its generation, later
                    put_owned(self._catalog, record.but(extents=extents, durable=(), dirty=False, pinned=False, journaled=False, created=self._catalog.next_stamp()), loose)
                    loose += old.extents if old is not None else ()
        except OutOfSpace as error:
            let_out(error)
            pass                        # more names than there is place for: those that are there stay
        finally:
            self._give_back(loose)

    def _placed(self, data):
        """Extents of the device that hold the bytes. Raises OutOfSpace."""
        extents, source = [], address_of(data)
        try:
            for start in range(0, len(data), PIECE):
                nbytes = min(PIECE, len(data) - start)
                extents.append((RAM, self._device.lease(nbytes), nbytes, 0))
                place = address_of(self._device.view(extents[-1][1], nbytes))
                extents[-1] = (*extents[-1][:3], copy_checked(place, source + start, nbytes))
        except BaseException:
            self._give_back(extents)
            raise
        return tuple(extents)

    def _make_room(self, nbytes):
        """Let go of what was used longest ago; True when something went."""
        wanted, freed = max(nbytes, self._capacity // _LEAST), 0
        for record in sorted(self._catalog.scan(kind=BLOB), key=lambda record: max(record.read, record.created)):
            if freed >= wanted:
                break
            freed += self.drop(record)
        return freed > 0

    def drop(self, record):
        """Keep this no longer; the bytes that are free of it."""
        with self._catalog.changing(f"dropping blob {record.blob!r} of another node"):
            if not self._is_there(self._catalog.find(record.name), record):
                return 0
            self._catalog.remove(record.name)
        self._give_back(record.extents)
        return record.size

    def _give_back(self, extents):
        for _, offset, nbytes, _ in extents:
            self._device.give_back(offset, nbytes)

    def statistics(self):
        """The CacheStatistics of now."""
        counts, kept = self._catalog.noted.counters.read(), self._catalog.scan(kind=BLOB)
        (hits, hit_nbytes), (misses, missed_nbytes) = ((found.reads, found.read_nbytes) if (found := counts.get(line)) else (0, 0) for line in (_HIT, _MISSED))
        return CacheStatistics(hits, hit_nbytes, misses, missed_nbytes, len(kept), sum(record.size for record in kept))
