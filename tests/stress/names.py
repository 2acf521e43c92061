"""The catalog under stress: the loops that put, remove and read its names, and what must hold afterwards.

Even names are there all the time and are replaced, odd ones come and go. A record holds one number in all its words that may be any:
its stamp, ~ its time, its extents. A name's records are of two lengths, so that they move in the heap.
"""

import numpy as np
import pytest

from stress.turns import next_seed, taken
from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.lock import DeadHolder, token_give
from wrp.comm.ranks.solo import Solo
from wrp.cte import layout
from wrp.cte.catalog import Catalog
from wrp.cte.entries import entry_put, entry_remove
from wrp.cte.images import entry_copy
from wrp.cte.records import TAG, Record, encoded, pack

_NAMES = 60                 # few, so that readers meet a change often; with the tag nearly all that the table takes
_SLOTS = 64
_OUT = 4096
_LENGTHS = (1, 8)           # extents


@kernel
def _fill(image, value):
    atomics.store(image + layout.STAMP, value)
    atomics.store(image + layout.CREATED, ~value)
    atomics.store(image + layout.SIZE, value)
    for offset in range(layout.HEAD, layout.name_at(image), 8):
        atomics.store(image + offset, value)


@kernel
def _is_torn(image):
    value = atomics.load(image + layout.STAMP)
    torn = atomics.load(image + layout.CREATED) != ~value
    for offset in range(layout.HEAD, layout.name_at(image), 8):
        torn |= atomics.load(image + offset) != value
    return torn


@kernel
def change_loop(at, holder, until, seed, images, stats):
    """Put and remove; words of `stats`: changes, puts that were refused."""
    token = at + atomics.load(at + layout.TOKEN)
    while atomics.now_ns() < until and taken(token, holder, until):
        seed = next_seed(seed)
        name = seed % len(images)
        image = images[name, seed >> 40 & 1]
        if name % 2 == 1 and seed & 1024:
            entry_remove(at, atomics.load(image + layout.KEY0), atomics.load(image + layout.KEY1))
        else:
            _fill(image, seed >> 8 & 0x7FFFFFFF)
            if entry_put(at, image) != 0:
                atomics.add(stats + 8, 1)
        atomics.add(stats, 1)
        token_give(token)


@kernel
def read_loop(at, until, seed, names, out, stats):
    """Words of `stats`: found, absent, busy, torn records, even names that weren't there. `names`: their addresses and lengths."""
    left = len(names)           # looks that are made though the time is over
    while atomics.now_ns() < until or left > 0:
        left -= 1
        seed = next_seed(seed)
        name = seed % len(names)
        nbytes = entry_copy(at, names[name, 0], names[name, 1], out, _OUT)
        if nbytes > 0:
            atomics.add(stats, 1)
            atomics.add(stats + 24, 1 if _is_torn(out) else 0)
        elif nbytes == layout.ABSENT:
            atomics.add(stats + 8, 1)
            atomics.add(stats + 32, 1 if name % 2 == 0 else 0)
        else:
            atomics.add(stats + 16, 1)


class Names:
    """A catalog that processes share by being forked, with the even names in it."""

    def __init__(self):
        self.catalog = Catalog(Solo(), _SLOTS, 5)
        self.token = self.catalog._token
        self._names = [f"t\0name {number}" for number in range(_NAMES)]
        self._encoded = [encoded(name) for name in self._names]         # its first parts keep the addresses good
        self._texts = np.array([text[1:] for text in self._encoded])
        packed = [[np.frombuffer(bytearray(pack(_record(name, length))), np.uint8) for length in _LENGTHS] for name in self._names]
        self._kept = packed
        self._images = np.array([[image.ctypes.data for image in row] for row in packed])
        with self.catalog.changing("making the names"):
            self.catalog.back(atomics.load(self.catalog.at + layout.HEAP_NBYTES) // 2)
            self.catalog.put(Record("t", TAG))
            for image in self._images[::2, 0].tolist():
                _fill(image, 1)
                assert entry_put(self.catalog.at, image) == 0

    def change(self, holder, until, seed, stats):
        change_loop(self.catalog.at, holder, until, seed, self._images, stats)

    def read(self, until, seed, stats):
        out = np.zeros(_OUT, np.uint8)
        read_loop(self.catalog.at, until, seed, self._texts, out.ctypes.data, stats)

    def are_whole(self):
        """Every way to look shows the same names, no record is torn, what is counted is what is there."""
        catalog = self.catalog
        found = {name: catalog.find(name) for name in self._names}
        there = {name: record for name, record in found.items() if record is not None}
        assert None not in list(found.values())[::2]
        for record in there.values():
            assert {record.stamp, ~record.created, record.size} == {record.stamp}
            assert len(record.extents) in _LENGTHS and all(
                (target << 32 | crc, offset, nbytes) == (record.stamp,) * 3 for target, offset, nbytes, crc in record.extents)
        assert sorted(catalog.scan(tag="t")) == sorted(there.values()) and len(catalog) == len(there) + 1
        assert sorted(catalog.names("t")) == sorted(record.blob for record in there.values())
        assert catalog.sums("t") == (len(there), sum(record.size for record in there.values()))
        assert atomics.load(catalog.at + layout.DIRTY_COUNT) == len(catalog.scan(dirty=True))
        with catalog.changing("removing the names"):
            for name in there:
                assert catalog.remove(name) == there[name]
        assert [record.name for record in catalog.scan()] == ["t"] and catalog.sums("t") == (0, 0)

    def say_who_died(self):
        """Whoever looks gets a whole record or hears of the death; whoever wants to change something hears of it."""
        for name in self._names:        # each costs a reader's patience
            try:
                record = self.catalog.find(name)
                assert record is None or ~record.created == record.stamp
            except DeadHolder as error:
                assert "died while it held" in str(error)
        with pytest.raises(DeadHolder, match="died while it held"):
            self.catalog.scan()


def _record(name, length):
    return Record(name, extents=((0, 0, 0, 0),) * length, dirty=length > 1)
