"""The catalog of a node: which blobs there are and where their bytes lie, in shared memory of all ranks of the node.

One segment holds an Index (key -> offset and nbytes of a record), a heap of immutable records, and a Token that lets one rank change it at
a time. Readers take no lock: they copy a record, check its checksum and that the index still names it. No I/O and no policy here.
"""

import threading
import time
from contextlib import contextmanager

import numpy as np

from wrp.comm import atomics, lock
from wrp.comm.extents import Extents
from wrp.comm.index import BUSY, FOUND, Index, index_find
from wrp.comm.segment import Segment
from wrp.cte import records
from wrp.cte.records import key_of, pack, packed_nbytes, unpack
from wrp.errors import OutOfSpace, WaitTimeout

_READS = 200                    # tries of a reader before it takes the token
_RECORD_BYTES = 512             # heap per slot: a record of a few extents and a name of some 200 bytes
_ALIGN = 64
_STEP = 1 << 20                 # the heap is backed in such steps


class Catalog:
    """The records of one node. Making and closing it is collective over the ranks of the node.

    slots : number of names it can hold
    """

    def __init__(self, node_ranks, slots, timeout_s):
        # between n records there are at most n + 1 gaps, so the table of free runs never fills
        self._slots, self._gaps = slots, slots + 2
        sizes = {"token": lock.NBYTES, "flushing": lock.NBYTES, "words": 64, "index": Index.nbytes(slots),
                 "runs": Extents.nbytes(self._gaps), "heap": slots * _RECORD_BYTES}
        self._segment = Segment.window(node_ranks, sum(sizes.values()) + _STEP)
        self._timeout_s = timeout_s
        places = None
        with node_ranks.agreed("laying out the catalog"):
            if node_ranks.rank == 0:
                places = self._lay_out(sizes, slots)
        self._take_places(node_ranks.share(places, "places in the catalog"))
        self._scratch = threading.local()

    def _lay_out(self, sizes, slots):
        segment = self._segment
        places = {name: segment.place(name, nbytes, 4096)[0] for name, nbytes in sizes.items()}
        segment.reserve(0, places["heap"])
        Index.create(segment, places["index"], slots)
        Extents.create(segment, places["runs"], sizes["heap"], self._gaps)
        return places

    def _take_places(self, places):
        segment = self._segment
        self._token = lock.Token(segment.address + places["token"], "the catalog of the node")
        self._flushing = lock.Token(segment.address + places["flushing"], "the journals of the node")
        self._index = Index.attach(segment, places["index"])
        self._runs = Extents.attach(segment, places["runs"])
        self._heap = places["heap"]
        self._stamp = segment.address + places["words"]
        self._backed, self._flushes = self._stamp + 8, self._stamp + 16
        self._words = np.frombuffer(segment.buffer, np.int64)

    def close(self):
        """Collective over the node; idempotent."""
        if self._segment is not None:
            segment, self._segment, self._words = self._segment, None, None
            segment.close()

    # reading

    def find(self, name):
        """The Record of a full name, or None. Takes no lock."""
        key0, key1 = key_of(name)
        for _ in range(_READS):
            state, offset, nbytes = self._look(key0, key1)
            if state == FOUND:
                record = self._copy(offset, nbytes)
                if record is not None and record.name == name:
                    return record
            elif state != BUSY:
                return None
            time.sleep(0)
        with self.changing(f"reading {name!r}"):
            state, offset, nbytes = self._look(key0, key1)
            return self._copy(offset, nbytes) if state == FOUND else None

    def has(self, name):
        """True when the name is there; cheaper than `find`. Exact inside `changing`; outside, a busy index counts as absent."""
        return self._look(*key_of(name))[0] == FOUND

    def still(self, record):
        """True while `record` is the newest of its name: what was read from its extents is what it says."""
        now = self.find(record.name)
        return now is not None and now.stamp == record.stamp and now.extents == record.extents

    def scan(self, kind=None, tag=None, dirty=None):
        """List of Records, in no order: of a kind, of one tag's name, dirty or clean. Holds the token: a scan misses nothing."""
        with self.changing("listing the catalog"):
            return self.scan_held(kind, tag, dirty)

    def scan_held(self, kind=None, tag=None, dirty=None):
        """The same, inside `changing`."""
        values = self._index.values()
        heads = (self._heap + values[:, 0]) // 8
        chosen = np.ones(len(heads), bool)
        words = self._words
        if kind is not None:
            chosen &= words[heads + records.KIND] == kind
        if tag is not None:
            chosen &= words[heads + records.TAG_HASH] == records.tag_hash(tag)
        if dirty is not None:
            chosen &= (words[heads + records.FLAGS] & records.DIRTY == records.DIRTY) == dirty
        found = [self._copy(*value) for value in values[chosen].tolist()]
        return [record for record in found if tag is None or record.tag == tag]

    def _look(self, key0, key1):
        """(state, offset, nbytes of the record) from the index; takes no lock."""
        scratch = self._scratch
        try:
            found, address = scratch.found, scratch.address
        except AttributeError:
            found = scratch.found = np.zeros(2, np.int64)
            address = scratch.address = found.ctypes.data
        return index_find(self._index.address, key0, key1, address), *found.tolist()

    def _copy(self, offset, nbytes):
        start = self._heap + offset
        return unpack(bytes(self._segment.buffer[start:start + nbytes]))

    # changing

    def changing(self, what):
        """Context manager that holds the token: only inside may `put` and `remove` be called."""
        return self._token.held(what, self._timeout_s)

    @contextmanager
    def flushing(self):
        """Only inside may a rank write blobs of the node to its journal, lest two write one. Not inside `changing`.

        Others may wait long: the deadline starts again while whoever is inside gets on.
        """
        seen = atomics.load(self._flushes)
        while True:
            try:
                self._flushing.acquire("the journals of the node", self._timeout_s)
                break
            except lock.DeadHolder:
                raise
            except WaitTimeout:
                if atomics.load(self._flushes) == seen:
                    raise
                seen = atomics.load(self._flushes)
        try:
            yield
        finally:
            atomics.add(self._flushes, 1)
            self._flushing.release()

    def check_room(self, records):
        """OutOfSpace unless there are slots and heap for these records, next to what they replace. Inside `changing` only."""
        fresh = sum(not self.has(record.name) for record in records)
        nbytes = sum(_rounded(packed_nbytes(record)) for record in records)
        if len(self._index) + fresh > self._slots or nbytes > self._runs.free:
            raise OutOfSpace(f"the catalog of the node has no room for {fresh} more names next to its {len(self._index)}: "
                             f"raise runtime.index_slots in the configuration")

    def put(self, record):
        """Publish a record in place of the one of its name. Inside `changing` only.

        Raises OutOfSpace when the catalog is full; nothing has changed then.
        """
        data = pack(record)
        offset = None
        try:
            offset = self._runs.take(_rounded(len(data)), _ALIGN)
            self._back(offset + len(data))
            start = self._heap + offset
            self._segment.buffer[start:start + len(data)] = data
            old = self._index.insert(record.key, (offset, len(data)))
        except OutOfSpace as error:
            if offset is not None:
                self._runs.give(offset, _rounded(len(data)))
            raise OutOfSpace(f"the catalog of the node has no room for another name: raise runtime.index_slots in the "
                             f"configuration ({error})") from error
        if old is not None:
            self._runs.give(old[0], _rounded(old[1]))

    def remove(self, name):
        """Take a name out; return its Record, or None. Inside `changing` only."""
        old = self._index.remove(key_of(name))
        if old is None:
            return None
        record = self._copy(*old)
        self._runs.give(old[0], _rounded(old[1]))
        return record

    def put_missing_tags(self, names):
        """No blob without its tag: make the tags of those blobs of `names` that are there. Inside `changing` only."""
        blobs = (records.Record(name) for name in names)
        for tag in {blob.tag for blob in blobs if blob.blob and self.has(blob.name)}:
            if not self.has(tag):
                self.put(records.Record(tag, records.TAG, self.next_stamp()))

    def next_stamp(self):
        """A stamp above all stamps of the store: wall-clock nanoseconds, or one more than the last. Inside `changing` only."""
        stamp = max(time.time_ns(), atomics.load(self._stamp) + 1)
        atomics.store(self._stamp, stamp)
        return stamp

    @property
    def last_stamp(self):
        """The highest stamp that this node has given out or seen."""
        return atomics.load(self._stamp)

    def seen_stamp(self, stamp):
        """Never give out a stamp at or below this one again. Inside `changing` only."""
        if stamp > atomics.load(self._stamp):
            atomics.store(self._stamp, stamp)

    def _back(self, end):
        """Back the heap's pages up to `end`, in steps, before a byte is written there."""
        backed = atomics.load(self._backed)
        if end > backed:
            upto = -(-end // _STEP) * _STEP
            self._segment.reserve(self._heap + backed, upto - backed)
            atomics.store(self._backed, upto)


def _rounded(nbytes):
    return -(-nbytes // _ALIGN) * _ALIGN
