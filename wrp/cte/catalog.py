"""The catalog of a node: which blobs there are and where their bytes lie, in shared memory of all ranks of the node.

One segment holds a header, a table from names to records, a heap of records, and a Token that lets one rank change them at a time
(layout.py draws them, entries.py changes them). Readers take no lock. No I/O and no policy here.
"""

import ctypes
import time
from functools import partial

import numpy as np

from wrp.comm import atomics, inside, lock, window
from wrp.comm.refusals import let_out
from wrp.comm.turn import Spares
from wrp.cte import layout, records, views
from wrp.cte.blocks import Blocks, blocks_nbytes
from wrp.cte.entries import entry_put, entry_put_all_noted, entry_remove
from wrp.cte.images import entry_copy, entry_find, entry_list, entry_scan
from wrp.cte.layout import ABSENT, FULL, UNBACKED
from wrp.cte.names import HIDDEN
from wrp.cte.naming import latest
from wrp.cte.records import encoded, key_of, pack, packed_nbytes, unpack, unpack_all
from wrp.cte.table import homes_of, table_nbytes
from wrp.cte.telemetry.counters import Counters
from wrp.cte.telemetry.noted import TARGETS, Noted
from wrp.cte.telemetry.ring import Telemetry
from wrp.cte.telemetry.statistics import IndexStatistics
from wrp.errors import OutOfSpace, WaitTimeout

_READS = 200                    # tries of a reader before it takes the token
_RECORD_BYTES = 512             # heap per name: a record of a few extents and a name of some 200 bytes
_STEP = 1 << 20                 # the heap is backed in such steps
_SCRATCH = 4096
_LISTED = 1 << 20               # bytes that one look at a list fetches


class Catalog:
    """The records of one node. Making and closing it is collective over the ranks of the node.

    slots : number of names it can hold
    ram : bytes of the node's ram, whose tables of blocks, and of who looks at it (`views`), lie here too
    telemetry : operations that the ring of `noted` keeps, a power of two; 0: there is none
    """

    def __init__(self, node_ranks, slots, timeout_s, ram=0, telemetry=0):
        self._slots, self._ram = slots, ram
        heap = slots * _RECORD_BYTES
        sizes = {"header": layout.HEADER_NBYTES, "token": lock.NBYTES, "flushing": lock.NBYTES, "naming": 2 * lock.NBYTES, "latest": latest.NBYTES, "table": table_nbytes(slots),
                 "blocks": blocks_nbytes(ram), "views": views.NBYTES if ram else 0, "ring": Telemetry.nbytes(telemetry) if telemetry else 0,
                 "counters": Counters.nbytes(TARGETS), "heap": heap}
        self._segment = window.allocate(node_ranks, sum(sizes.values()) + _STEP)
        self._timeout_s = timeout_s
        places = None
        with node_ranks.agreed("laying out the catalog"):
            if node_ranks.rank == 0:
                places = self._lay_out(sizes, slots, ram, telemetry)
        self._take_places(node_ranks.share(places, "places in the catalog"))
        self._images = Spares(partial(_image, _SCRATCH))

    def _lay_out(self, sizes, slots, ram, telemetry):
        segment = self._segment
        places = {name: segment.place(name, nbytes, 4096)[0] for name, nbytes in sizes.items()}
        segment.reserve(0, places["heap"])
        at, header = segment.address + places["header"], places["header"]
        for word, value in ((layout.TABLE, places["table"] - header), (layout.HOMES, homes_of(slots)), (layout.LIMIT, slots),
                            (layout.HEAP, places["heap"] - header), (layout.HEAP_NBYTES, sizes["heap"]),
                            (layout.NEXT, layout.FIRST * layout.UNIT), (layout.TOKEN, places["token"] - header)):
            atomics.store(at + word, value)
        Blocks.format(segment.address + places["blocks"], ram)
        if telemetry:
            Telemetry.create(segment, places["ring"], telemetry)
            atomics.store(at + layout.TELEMETRY, places["ring"] - header)
            atomics.store(at + layout.COUNTERS, places["counters"] - header)
        return places

    def _take_places(self, places):
        segment = self._segment
        self._token = lock.Token(segment.address + places["token"], "the catalog of the node")
        self.naming = lock.Token(segment.address + places["naming"], "the names of the store's tags")
        self.names_word = ctypes.c_int64.from_address(segment.address + places["naming"] + lock.NBYTES)
        self.names_latest = segment.address + places["latest"]
        self._heap = places["heap"]
        self.at = segment.address + places["header"]
        self.flushes_at = self.at + layout.FLUSHES
        self._flushing = _Flushing(lock.Token(segment.address + places["flushing"], "the journals of the node"), self.flushes_at, self._timeout_s)
        self.blocks_at = segment.address + places["blocks"]
        self.views = views.Views(segment, places["views"]) if self._ram else None
        ring, counters = (atomics.load(self.at + word) for word in (layout.TELEMETRY, layout.COUNTERS))
        self.noted = Noted(self.at, ring and self.at + ring, counters and self.at + counters)

    def close(self):
        """Collective over the node; idempotent."""
        if self._segment is not None:
            is_used = not inside.wait_out(self._segment)
            segment, self._segment = self._segment, None
            if self.views is not None:
                self.views.close()
            segment.close(is_used)

    def __len__(self):
        return atomics.load(self.at + layout.LIVE)

    def statistics(self):
        """The IndexStatistics of now."""
        return IndexStatistics(len(self), self._slots, table_nbytes(self._slots) + atomics.load(self.at + layout.NEXT))

    # reading

    def find(self, name):
        """The Record of a full name, or None. Takes no lock."""
        for _ in range(_READS):
            code, record = self._read(name)
            if record is not None or code == ABSENT:
                return record
            time.sleep(0)
        with self.changing(f"reading {name!r}"):
            return self._read(name)[1]

    def _read(self, name):
        """(bytes of its image or a code of entry_copy, the Record or None)."""
        data, place, count = encoded(name)
        image, address = taken = self._images.take()
        nbytes = entry_copy(self.at, place, count, address, len(image))
        while nbytes <= -layout.HEAD:
            image, address = _image(-nbytes)
            nbytes = entry_copy(self.at, place, count, address, len(image))
        record = unpack(image, 0, name) if nbytes > 0 else None
        self._images.give(taken)
        return nbytes, record

    def has(self, name):
        """True when the name is there; cheaper than `find`. Exact inside `changing`; outside, a busy catalog counts as absent."""
        return self._number(name) > 0

    def _number(self, name):
        data, place, count = encoded(name)
        return entry_find(self.at, place, count)[0]

    def still(self, record):
        """True while `record` is the newest of its name: what was read from its extents is what it says."""
        now = self.find(record.name)
        return now is not None and now.stamp == record.stamp and now.extents == record.extents

    def scan(self, kind=None, tag=None, dirty=None, target=-1):
        """List of Records, in no order: of a kind, of one tag's name, dirty or clean, with bytes in a target. Holds the token: a scan misses nothing."""
        with self.changing("listing the catalog"):
            parts = self._scanned(kind, tag, dirty, target)
        return _unpacked(parts, dirty)

    def scan_held(self, kind=None, tag=None, dirty=None):
        """The same, inside `changing`."""
        return _unpacked(self._scanned(kind, tag, dirty), dirty)

    def _scanned(self, kind, tag, dirty, target=-1):
        """The bytes of the records, part by part; those of a tag dirty or not, wherever they lie."""
        if tag is not None:
            number = self._number(tag)
            return list(self.parts(lambda *rest: entry_list(self.at, number, False, *rest))) if number > 0 else []
        if dirty and not atomics.load(self.at + layout.DIRTY_COUNT):
            return []
        wanted = -1 if dirty is None else int(dirty)
        return list(self.parts(lambda *rest: entry_scan(self.at, kind or 0, wanted, target, *rest)))

    def names(self, tag):
        """Names of a tag's blobs, in no order."""
        with self.changing(f"listing tag {tag!r}"):
            return self.names_held(tag)

    def names_held(self, tag):
        """The same, inside `changing`."""
        number = self._number(tag)
        if number <= 0:
            return []
        whole = b"".join(self.parts(lambda *rest: entry_list(self.at, number, True, *rest)))
        return whole.decode().split("\0")[:-1]

    def sums(self, tag):
        """(number of the tag's blobs, their bytes), or None without the tag."""
        number = self._number(tag)
        if number <= 0:
            return None
        record = self.at + atomics.load(self.at + layout.HEAP) + number * layout.UNIT
        return atomics.load(record + layout.CHECK), atomics.load(record + layout.SIZE)

    def parts(self, look):
        """Bytes of what `look(start, address, capacity)` lists, part by part."""
        buffer, where = np.empty(_LISTED, np.uint8), 0
        while where >= 0:
            done, where = look(where, buffer.ctypes.data, len(buffer))
            if done == 0 and where >= 0:
                buffer = np.empty(2 * len(buffer), np.uint8)
            yield buffer[:done].tobytes()

    # changing

    def changing(self, what):
        """Context manager that holds the token: only inside may `put` and `remove` be called."""
        return self._token.held(what, self._timeout_s)

    def flushing(self):
        """Context manager: only inside may a rank write blobs of the node to its journal, lest two write one. Not inside `changing`.

        Others may wait long: the deadline starts again while whoever is inside gets on.
        """
        return self._flushing

    def check_room(self, records):
        """OutOfSpace unless there are slots and heap for these records, next to what they replace. Inside `changing` only."""
        fresh = sum(not self.has(record.name) for record in records)
        nbytes = sum(2 * packed_nbytes(record) for record in records)       # a size class is less than twice what it holds
        left = atomics.load(self.at + layout.HEAP_NBYTES) - atomics.load(self.at + layout.NEXT)
        if len(self) + fresh > self._slots or nbytes > left:
            raise OutOfSpace(f"the catalog of the node has no room for {fresh} more names next to its {len(self)}: "
                             f"raise runtime.index_slots in the configuration")
        self.back(nbytes)

    def put(self, record):
        """Publish a record in place of the one of its name. Inside `changing` only.

        Raises OutOfSpace when the catalog is full; nothing has changed then.
        """
        image = np.frombuffer(bytearray(pack(record)), np.uint8)
        address = image.ctypes.data
        code = entry_put(self.at, address)
        if code == UNBACKED:
            self.back(4 * len(image) + _SCRATCH)
            code = entry_put(self.at, address)
        if code == FULL:
            raise self._full()

    def put_all(self, records, replaced=None):
        """Publish records, a tag only where it isn't there; the Records that they replaced, which are in the list `replaced`, too, whatever ends this. Inside `changing` only.

        After `check_room` none of them is refused.
        """
        images = np.frombuffer(bytearray(b"".join(map(pack, records))), np.uint8)
        out, note = np.empty(_LISTED, np.uint8), np.zeros(3, np.int64)
        done, replaced = 0, [] if replaced is None else replaced
        while done < len(images):
            note[:] = 0
            try:
                entry_put_all_noted(self.at, images.ctypes.data + done, len(images) - done, out.ctypes.data, len(out), note.ctypes.data)
            finally:
                try:
                    replaced += _listed(out, note)
                except BaseException:       # of a signal's handler: once more, then
                    replaced += _listed(out, note)
                    raise
            count, used, code = note.tolist()
            done += count
            if code == UNBACKED:
                self.back(2 * (len(images) - done) + _SCRATCH)
            elif code == FULL:
                raise self._full()
            elif not count and not used:
                out = np.empty(2 * len(out), np.uint8)
        return replaced

    def _full(self):
        return OutOfSpace(f"the catalog of the node has no room for another name next to its {len(self)}: raise runtime.index_slots "
                          "in the configuration")

    def remove(self, name):
        """Take a name out; return its Record, or None. Inside `changing` only."""
        record = self.find(name)
        if record is not None:
            self.erase(name)
        return record

    def erase(self, name):
        """Take a name out, if it is there. Inside `changing` only."""
        entry_remove(self.at, *key_of(name))

    def put_missing_tags(self, names):
        """No blob without its tag: make the tags of those blobs of `names` that are there. Inside `changing` only."""
        blobs = (records.Record(name) for name in names)
        for tag in {blob.tag for blob in blobs if blob.blob and self.has(blob.name)}:
            if not self.has(tag):
                stamp = self.next_stamp()
                self.put(records.Record(tag, records.TAG, stamp, dirty=tag != HIDDEN, created=stamp))

    def next_stamp(self):
        """A stamp above all stamps of the store: wall-clock nanoseconds, or one more than the last. Inside `changing` only."""
        stamp = max(time.time_ns(), self.last_stamp + 1)
        atomics.store(self.at + layout.LAST, stamp)
        return stamp

    def freeze_removals(self):
        """The stamp, a new one, of every removal until `thaw_removals`, or until the caller's `flushing` ends: what a batch shows meanwhile, whose stamps are above it,
        isn't removed by them at the next opening either. Inside `flushing` and `changing` only: so it is above all that a journal says of names that are at home here."""
        atomics.store(self.at + layout.REMOVALS, 0)
        atomics.store(self.at + layout.REMOVALS_IN, atomics.load(self.flushes_at))
        stamp = self.next_stamp()
        atomics.store(self.at + layout.REMOVALS, stamp)
        return stamp

    def thaw_removals(self):
        """Removals have stamps of their own again. Inside `changing` only."""
        atomics.store(self.at + layout.REMOVALS, 0)

    def removal_stamp(self):
        """The stamp of a removal. Inside `changing` only."""
        frozen = atomics.load(self.at + layout.REMOVALS)
        return frozen if frozen and atomics.load(self.at + layout.REMOVALS_IN) == atomics.load(self.flushes_at) else self.next_stamp()

    @property
    def last_stamp(self):
        """The highest stamp that this node has given out or seen."""
        return atomics.load(self.at + layout.LAST)

    def seen_stamp(self, stamp):
        """Never give out a stamp at or below this one again. Inside `changing` only."""
        if stamp > self.last_stamp:
            atomics.store(self.at + layout.LAST, stamp)

    def back(self, nbytes):
        """Back the heap's pages for `nbytes` more bytes, in steps, before one is written there. Inside `changing` only."""
        end = atomics.load(self.at + layout.NEXT) + nbytes
        backed = atomics.load(self.at + layout.BACKED)
        upto = min(-(-end // _STEP) * _STEP, atomics.load(self.at + layout.HEAP_NBYTES))
        if upto > backed:
            self._segment.reserve(self._heap + backed, upto - backed)
            atomics.store(self.at + layout.BACKED, upto)


class _Flushing:
    # as lock.py says of its own, no generator of contextlib's
    __slots__ = ("_token", "_flushes", "_timeout_s", "__exit__")

    def __init__(self, token, flushes, timeout_s):
        self._token, self._flushes, self._timeout_s = token, ctypes.c_int64.from_address(flushes), timeout_s
        self.__exit__ = token.leaving(flushes)

    @property
    def address(self):
        """Of the token."""
        return self._token.address

    def __enter__(self):
        while True:
            seen = self._flushes.value
            try:
                self._token.acquire("the journals of the node", self._timeout_s)
                return
            except lock.DeadHolder:
                raise
            except WaitTimeout as error:
                let_out(error)
                if self._flushes.value == seen:
                    raise


def _image(nbytes):
    """(room for the image of a record, its address)."""
    image = np.empty(nbytes, np.uint8)
    return image, image.ctypes.data


def _listed(out, note):
    """[Records] that a kernel has put into `out`, whose bytes are the second word of `note`."""
    return unpack_all(out[:int(note[1])].tobytes())


def _unpacked(parts, dirty):
    # what lasts long with many records is done when others may have the token again
    return [record for part in parts for record in unpack_all(part) if dirty in (None, record.dirty)]
