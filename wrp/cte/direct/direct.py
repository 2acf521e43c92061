"""The short way as a store uses it: each call says whether it was done, or the long way is needed. No errors of its own."""

import os
import struct
from functools import lru_cache
from threading import get_native_id

import numpy as np

from wrp.comm.checksum import crc32
from wrp.comm.fresh import fresh_bytes
from wrp.comm.streaming import fetch_checked
from wrp.cte import names, pieces
from wrp.cte.blocks import LARGEST
from wrp.cte.direct.getting import direct_get_array, direct_look, direct_pin, direct_still
from wrp.cte.direct.many import direct_get_many, direct_put_many
from wrp.cte.direct.putting import MOST, NO_BLOCK, OLD, SCRATCH_NBYTES, STORED, direct_publish, direct_put_array, direct_put_run
from wrp.cte.records import RAM, combined_crc, encoded, full_name
from wrp.cte.targets import Wish
from wrp.cte.tiers import PIECE
from wrp.errors import OutOfSpace

_FUSED = 64 << 10               # from here on a get takes one pass for copy and checksum
_WORDS = struct.Struct("<qqq")
_FOUND = struct.Struct("<qqq")


class Direct:
    """The short way of one store on one rank whose node has ram."""

    def __init__(self, catalog, tiers, changes):
        self._catalog, self._tiers, self._changes = catalog, tiers, changes
        self._at, self._ram, self._blocks = catalog.at, tiers.ram_address, tiers.blocks.at

    @property
    def places(self):
        """Addresses of the catalog and of the ram, as the kernels of `getting` take them."""
        return self._at, self._ram

    def put(self, tag, blob, data, score):
        """True when `data` is the whole blob now, False when nothing has happened."""
        array = pieces.array_of(data)
        if array is None or not array.size:
            return False
        if array.size > LARGEST or not self.takes(array.size, score):
            return self._put_run(tag, blob, array, score) or self._put_long(tag, blob, data, score)
        kept, name, nbytes, tag_nbytes = _placed(tag, blob)
        buffer, scratch = self._catalog.scratch(SCRATCH_NBYTES)
        code = direct_put_array(self._at, self._blocks, self._ram, name, nbytes, tag_nbytes, array, _bits(score), _holder(), scratch)
        if code == NO_BLOCK:
            return self._put_long(tag, blob, data, score)
        return self._finish(tag, blob, array.size, score, buffer, code)

    def _put_run(self, tag, blob, array, score):
        """The same for more bytes than a block has, where one run of ram is free for them."""
        tiers = self._tiers
        if not LARGEST < array.size <= PIECE or not tiers.placing.ram_first(array.size, score, exact=True):
            return False
        kept, name, nbytes, tag_nbytes = _placed(tag, blob)
        buffer, scratch = self._catalog.scratch(SCRATCH_NBYTES)
        try:
            offset = tiers.ram.lease(array.size)
        except OutOfSpace:
            return False
        code = direct_put_run(self._at, self._ram, offset, name, nbytes, tag_nbytes, array, _bits(score), _holder(), scratch)
        return self._finish(tag, blob, array.size, score, buffer, code)

    def takes(self, nbytes, score):
        """True when bytes of a blob with this score belong into the ram that the kernels know."""
        return self._tiers.placing.ram_first(nbytes, score)

    def _finish(self, tag, blob, size, score, buffer, code):
        """What a kernel left to do of a put: True when that is done."""
        if code == STORED:
            crc, offset, _ = _WORDS.unpack_from(buffer, OLD)
            self._changes.publish(tag, blob, ((RAM, offset, size, crc),), size, score)
            return True
        if code > 0:
            self._give_back(buffer, code)
        return code >= 0

    def put_many(self, tag, blobs, rows, score, put):
        """Put rows (uint8, n x nbytes) under names, one call for all; `put(number)` does one where that needs the long way."""
        names, full, tag_nbytes = _packed(tag, blobs)
        buffer, scratch = self._catalog.scratch(SCRATCH_NBYTES)
        row = start = 0
        while True:
            row, start, code = direct_put_many(self._at, self._blocks, self._ram, full.ctypes.data, tag_nbytes, names, start, rows, row,
                                               _bits(score), _holder(), scratch)
            if row == len(rows):
                return
            if code == NO_BLOCK and self._has_grown(rows.shape[1], len(rows) - row):
                continue
            if not self._finish(tag, blobs[row], rows.shape[1], score, buffer, code):
                put(row)
            row, start = row + 1, start + len(blobs[row].encode()) + 1

    def _has_grown(self, nbytes, count):
        try:
            self._tiers.blocks.grow(nbytes, count)
        except OutOfSpace:
            return False
        return True

    def get_many(self, tag, blobs, rows, get):
        """Fill rows (uint8, n x nbytes) from blobs; `get(number)` does one where that needs the long way."""
        names, full, tag_nbytes = _packed(tag, blobs)
        row = start = 0
        while True:
            row, start = direct_get_many(self._at, self._ram, full.ctypes.data, tag_nbytes, names, start, rows, row)
            if row == len(rows):
                return
            get(row)
            row, start = row + 1, start + len(blobs[row].encode()) + 1

    def _put_long(self, tag, blob, data, score):
        """Bytes first, then the record: in ram, or where ram is full in a file."""
        kept, name, nbytes, tag_nbytes = _placed(tag, blob)
        extents = pieces.write(self._tiers, data, wish=Wish(score))
        size = sum(extent[2] for extent in extents)
        code = -1
        if len(extents) <= MOST and not any(extent[0] for extent in extents):
            buffer, scratch = self._catalog.scratch(SCRATCH_NBYTES)
            for number, (_, offset, length, crc) in enumerate(extents):
                _WORDS.pack_into(buffer, OLD + _WORDS.size * number, crc, offset, length)
            code = direct_publish(self._at, name, nbytes, tag_nbytes, len(extents), size, combined_crc(extents), _bits(score), _holder(), scratch)
        if code < 0:
            self._changes.publish(tag, blob, extents, size, score)
        elif code > 0:
            self._give_back(buffer, code)
        return True

    def _give_back(self, buffer, count):
        """Give back what a put has replaced: `count` extents of ram."""
        if count == 1:
            _, offset, nbytes = _WORDS.unpack_from(buffer, OLD)
            if nbytes > LARGEST:
                self._tiers.ram.give_back(offset, nbytes)
                return
        found = (_WORDS.unpack_from(buffer, OLD + _WORDS.size * number) for number in range(count))
        self._tiers.give_back([(RAM, offset, nbytes, crc) for crc, offset, nbytes in found])

    def get(self, tag, blob):
        """A whole blob as bytes, with one copy; None for the long way."""
        found = self._look(tag, blob)
        if found is None:
            return None
        offset, nbytes, crc = _FOUND.unpack_from(found[0])
        if nbytes < _FUSED:
            data = bytes(self._tiers.ram_bytes[offset:offset + nbytes])
            return data if direct_still(self._at, found[1]) and crc32(data) == crc else None
        data, place = fresh_bytes(nbytes)
        return data if fetch_checked(place, self._ram + offset, nbytes) == crc and direct_still(self._at, found[1]) else None

    def get_into(self, tag, blob, offset, out):
        """Fill `out` (uint8 array) from the blob's byte `offset`: True, or False for the long way."""
        kept, name, nbytes = encoded(full_name(tag, blob))
        return direct_get_array(self._at, self._ram, name, nbytes, offset, out)

    def view(self, tag, blob):
        """A read-only memoryview of a blob that is one run of ram, which stays where it is; None for the long way."""
        found = self._look(tag, blob)
        if found is None or not direct_pin(self._at, _holder(), found[1]):
            return None
        offset, nbytes, _ = _FOUND.unpack_from(found[0])
        return self._tiers.ram_bytes[offset:offset + nbytes].toreadonly()

    def _look(self, tag, blob):
        kept, name, nbytes = encoded(full_name(tag, blob))
        scratch = self._catalog.scratch(SCRATCH_NBYTES)
        return scratch if direct_look(self._at, name, nbytes, scratch[1]) else None


def _placed(tag, blob):
    """(what keeps it, address, bytes of the full name, of the tag's name); UsageError when one of them can't be a name."""
    tag_nbytes = _nbytes_of(tag)
    try:
        kept, address, nbytes = encoded(tag + "\0" + blob)
    except (TypeError, UnicodeEncodeError):
        nbytes = 0
    if not 1 < nbytes - tag_nbytes <= names.LONGEST + 1 or kept.count(0) != 1:
        names.checked("blob", blob)
    return kept, address, nbytes, tag_nbytes


@lru_cache(1024)
def _nbytes_of(tag):
    return len(names.checked("tag", tag).encode())


def _packed(tag, blobs):
    """(the names, each ended by a NUL, as uint8; memory that begins with the tag's name and a NUL; bytes of the tag's name)."""
    names = np.frombuffer(bytearray(("\0".join(blobs) + "\0").encode()), np.uint8)
    ends = np.flatnonzero(names == 0)
    longest = int(np.diff(ends, prepend=-1).max())
    head = tag.encode() + b"\0"
    return names, np.frombuffer(bytearray(head + bytes(longest)), np.uint8), len(head) - 1


@lru_cache(1024)
def _bits(score):
    """The word of a float."""
    return struct.unpack("<q", struct.pack("<d", score))[0]


def _holder():
    """Who takes a token, see comm/lock.py."""
    return os.getpid() << 32 | get_native_id()
