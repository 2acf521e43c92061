"""The short way as a store uses it: each call says whether it was done, or the long way is needed. No errors of its own."""

import struct
from functools import lru_cache

import numpy as np

from wrp.comm import forking
from wrp.comm.fresh import HEAD_OF_BYTES, fresh_bytes
from wrp.comm.jit import Directly
from wrp.comm.refusals import let_out
from wrp.cte import given, names, pieces
from wrp.cte.blocks import LARGEST
from wrp.cte.direct.desk import FILED, LEFT, OLD, TOOK, Desks
from wrp.cte.direct.getting import direct_get_into, direct_get_whole, direct_view
from wrp.cte.direct.many import direct_get_many, direct_put_many
from wrp.cte.direct.putting import FAILED, MOST, NO_BLOCK, STORED, direct_publish, direct_put_array, direct_put_file, direct_put_run
from wrp.cte.layout import LOW
from wrp.cte.records import RAM, combined_crc, full_name
from wrp.cte.targets import Wish
from wrp.cte.tiers import PIECE
from wrp.cte.views import Shown
from wrp.errors import OutOfSpace, UsageError

_FARTHEST = 1 << 62             # offset from which on a sum of words may be too large
_GUESSED = 16 << 10             # longest blob of which a get makes room before it has looked
_LOOKS = 3                      # of a get, at a blob whose size is another one each time
_LEFT = LEFT >> 3
_WORD, _WORDS = struct.Struct("<q"), struct.Struct("<qqq")


_kernels = Directly(get_into=(direct_get_into, 6), get_whole=(direct_get_whole, 5), publish=(direct_publish, 8), put_array=(direct_put_array, 7),
                    put_run=(direct_put_run, 8), put_file=(direct_put_file, 10), view=(direct_view, 4))


class Direct:
    """The short way of one store on one rank whose node has ram."""

    def __init__(self, catalog, tiers, changes):
        self._tiers, self._changes = tiers, changes
        self._at = catalog.at
        self._guess = 1                     # bytes of the blob that was got last
        self._sit()
        forking.listen(self._sit)           # a child is another holder of tokens

    def _sit(self):
        self._desks = Desks(self._at, self._tiers.blocks.at, self._tiers.ram_address, self._tiers.views.at, self._tiers.open_files.address)

    @property
    def desk(self):
        """Address of a desk of this thread's, for the kernels of `getting`."""
        return self._desks.address

    def put(self, tag, blob, data, score):
        """True when `data` is the whole blob now, False when nothing has happened."""
        array = given.whole_of(data)
        named = _named(tag, blob)
        if array is None or named is None or not array.nbytes:
            return False
        if array.nbytes > LARGEST or not self._tiers.placing.ram_first(array.nbytes, score):
            short = self._put_file if self._tiers.is_full(array.nbytes) else self._put_run
            return short(tag, blob, named, array, score) or self._put_long(tag, blob, named, array, score)
        name, tag_nbytes = named
        desk = self._desks.take()
        try:
            code = _kernels.put_array(desk.address, id(name) + HEAD_OF_BYTES, len(name), tag_nbytes, id(array), array.nbytes, _bits(score))
            done = not code or code != NO_BLOCK and self._finish(tag, blob, array.nbytes, score, code, desk)
        except BaseException:
            self._clear(desk)
            raise
        self._desks.give(desk)
        return done or code == NO_BLOCK and self._put_long(tag, blob, named, array, score)

    def _put_run(self, tag, blob, named, array, score):
        """The same for more bytes than a block has, where one run of ram is free for them."""
        tiers, nbytes = self._tiers, array.nbytes
        if not LARGEST < nbytes <= PIECE or not tiers.placing.ram_first(nbytes, score, exact=True) or not tiers.ram.has_room(nbytes):
            return False
        name, tag_nbytes = named
        desk = self._desks.take()
        try:
            offset = tiers.ram.lease(nbytes)
            desk.loose += (RAM, offset, nbytes, 0),
            code = _kernels.put_run(desk.address, offset, id(name) + HEAD_OF_BYTES, len(name), tag_nbytes, id(array), nbytes, _bits(score))
            done = self._finish(tag, blob, nbytes, score, code, desk)
        except OutOfSpace as error:
            self._clear(desk)
            let_out(error)
            done = False
        except BaseException:
            self._clear(desk)
            raise
        self._desks.give(desk)
        return done

    def _put_file(self, tag, blob, named, array, score):
        """The same where the ram is full, into a run of a file."""
        tiers, nbytes = self._tiers, array.nbytes
        if not LARGEST < nbytes <= PIECE:
            return False
        name, tag_nbytes = named
        desk = self._desks.take()
        try:
            place = tiers.lease_beyond(nbytes)
            if place is None:
                self._desks.give(desk)
                return False
            target, offset, descriptor = place
            desk.loose += (target, offset, nbytes, 0),
            code = _kernels.put_file(desk.address, descriptor, target, offset, id(name) + HEAD_OF_BYTES, len(name), tag_nbytes, id(array), nbytes, _bits(score))
            filed, = _WORD.unpack_from(desk.buffer, FILED)
            if code == FAILED:
                raise tiers.unwritten(target, filed)
            tiers.written(target, offset, nbytes, filed)
            done = self._finish(tag, blob, nbytes, score, code, desk)
        except BaseException:
            self._clear(desk)
            raise
        self._desks.give(desk)
        return done

    def takes(self, nbytes, score):
        """True when bytes of a blob with this score belong into the ram that the kernels know."""
        return self._tiers.placing.ram_first(nbytes, score)

    def _finish(self, tag, blob, size, score, code, desk):
        """What a kernel left to do of a put, on its desk: True when that is done."""
        if code > 0:
            self._give_back(code, desk)
        elif code == STORED:
            loose = _taken_up(desk)
            self._changes.publish(tag, blob, tuple(loose), size, score, loose=loose)
        elif code == 0:
            _taken_up(desk)
        return code >= 0 or code == STORED

    def _clear(self, desk):
        """Give back what nobody owns of a put that an error has ended."""
        self._tiers.settle(_taken_up(desk))

    def put_many(self, tag, blobs, rows, score, put):
        """Put rows (uint8, n x nbytes) under names, one call for all; `put(number)` does one where that needs the long way."""
        names, head = _packed(tag, blobs)
        row, start, desk = 0, 0, self._desks.take()
        try:
            while True:
                row, start, code = direct_put_many(desk.address, names, start, head - 1, rows, row, _bits(score))
                if row == len(rows):
                    break
                if code == NO_BLOCK and self._has_grown(rows.shape[1], len(rows) - row):
                    continue
                if not self._finish(tag, blobs[row], rows.shape[1], score, code, desk):
                    put(row)
                row, start = row + 1, start + head + len(blobs[row].encode()) + 1
        except BaseException:
            self._clear(desk)
            raise
        self._desks.give(desk)

    def _has_grown(self, nbytes, count):
        try:
            self._tiers.blocks.grow(nbytes, count)
        except OutOfSpace as error:
            let_out(error)
            return False
        return True

    def get_many(self, tag, blobs, rows, get):
        """Fill rows (uint8, n x nbytes) from blobs; `get(number)` does one where that needs the long way."""
        names, head = _packed(tag, blobs)
        row = start = 0
        while True:
            row, start = direct_get_many(self._desks.address, names, start, head - 1, rows, row)
            if row == len(rows):
                return
            get(row)
            row, start = row + 1, start + head + len(blobs[row].encode()) + 1

    def _put_long(self, tag, blob, named, data, score):
        """Bytes first, then the record: in ram, or where ram is full in a file."""
        name, tag_nbytes = named
        code, desk = -1, self._desks.take()
        try:
            extents = pieces.write(self._tiers, data, wish=Wish(score), blob=blob, loose=desk.loose)
            size = sum(extent[2] for extent in extents)
            if len(extents) <= MOST:
                for number, (target, offset, length, crc) in enumerate(extents):
                    _WORDS.pack_into(desk.buffer, OLD + _WORDS.size * number, target << 32 | crc, offset, length)
                code = _kernels.publish(desk.address, id(name) + HEAD_OF_BYTES, len(name), tag_nbytes, len(extents), size, combined_crc(extents), _bits(score))
            if code < 0:
                self._changes.publish(tag, blob, extents, size, score, loose=desk.loose)
            else:
                self._give_back(code, desk)
        except BaseException:
            self._clear(desk)
            raise
        self._desks.give(desk)
        return True

    def _give_back(self, code, desk):
        """Give back what a put has replaced, which stands on the desk."""
        loose = _taken_up(desk)
        if code == 1:
            target, offset, nbytes, _ = loose[0]
            if nbytes > LARGEST and self._tiers.owns(target):
                self._tiers.device(target).swap_back(offset, nbytes, loose)
                return
        if loose:
            self._tiers.settle(loose)

    def get(self, tag, blob):
        """A whole blob as bytes, with one copy; None for the long way."""
        try:
            name, nbytes = full_name(tag, blob).encode(), self._guess
        except UnicodeEncodeError:
            return None
        for _ in range(_LOOKS):
            data, place = fresh_bytes(nbytes)
            found = _kernels.get_whole(self._desks.address, id(name) + HEAD_OF_BYTES, len(name), place, nbytes)
            if found == nbytes:
                return data
            if found < 0:
                return None
            # blobs that are got one after the other mostly have one size
            nbytes = found
            if nbytes < _GUESSED:
                self._guess = nbytes
        return None

    def get_into(self, tag, blob, offset, array, wanted):
        """Fill the first `wanted` bytes of a C-contiguous array from the blob's byte `offset`: True, or False for the long way."""
        if offset >= _FARTHEST or offset < 0:
            return False
        try:
            name = full_name(tag, blob).encode()
        except UnicodeEncodeError:
            return False
        return _kernels.get_into(self._desks.address, id(name) + HEAD_OF_BYTES, len(name), offset, id(array), wanted)

    def view(self, tag, blob):
        """A read-only memoryview of a blob that is one run of ram, which stays what it is as long as somebody has that; None for the long way."""
        try:
            name, views = full_name(tag, blob).encode(), self._tiers.views
        except UnicodeEncodeError:
            return None
        slot = views.taken()
        if slot is None:
            return None
        try:
            offset, nbytes = _kernels.view(self._desks.address, id(name) + HEAD_OF_BYTES, len(name), slot.address)
            shown = self._tiers.ram_array[offset:offset + nbytes].view(Shown) if nbytes >= 0 else None
        except BaseException:
            views.end(slot)
            raise
        if shown is None:
            views.end(slot)
            return None
        shown.slot = slot
        return memoryview(shown)


def _taken_up(desk):
    """The desk's `loose`, with what a kernel has left on it instead of what the call had leased: that is somebody's then."""
    words, loose = desk.words, desk.loose
    left = words[_LEFT]
    if left:
        found = [_extent(desk, number) for number in range(left - TOOK)]
        # no calls in between
        words[_LEFT] = 0
        loose[:] = found
    return loose


def _extent(desk, number):
    word, offset, nbytes = _WORDS.unpack_from(desk.buffer, OLD + _WORDS.size * number)
    return word >> 32, offset, nbytes, word & LOW


def _named(tag, blob):
    """(the full name as bytes, bytes of the tag's name); None where one of them can't be a name, which the long way says."""
    try:
        head, own = _headed(tag), blob.encode()
    except (AttributeError, TypeError, UnicodeEncodeError, UsageError) as error:
        let_out(error)
        return None
    return (head + own, len(head) - 1) if 0 < len(own) <= names.LONGEST and b"\0" not in own else None


@lru_cache(1024)
def _headed(tag):
    """What the full names of a tag's blobs begin with, as bytes."""
    return names.checked("tag", tag).encode() + b"\0"


def _packed(tag, blobs):
    """(the full names, each ended by a NUL, as uint8; bytes that each begins with: the tag's name and a NUL)."""
    head = tag + "\0"
    return np.frombuffer(bytearray((head + ("\0" + head).join(blobs) + "\0").encode()), np.uint8), len(head.encode())


@lru_cache(1024)
def _bits(score):
    """The word of a float."""
    return struct.unpack("<q", struct.pack("<d", score))[0]
