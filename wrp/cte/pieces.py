"""Bytes to extents and back: writes data into leased space with checksums, and reads ranges of a blob. No names here."""

from contextlib import contextmanager, nullcontext
from itertools import groupby

import numpy as np

from wrp.comm import cached
from wrp.comm.digests import crc32_of
from wrp.comm.refusals import let_out
from wrp.comm.streaming import address_of, copy_checked
from wrp.cte.given import bytes_of
from wrp.cte.records import RAM, Record
from wrp.cte.targets.placing import Wish
from wrp.cte.tiers import PIECE
from wrp.errors import Corrupt


def parcel(extents):
    """A record without a name, to read extents that are no blob (yet)."""
    return Record("parcel\0", size=sum(extent[2] for extent in extents), extents=tuple(extents))


def write(tiers, data, durable=False, wish=Wish(), blob=None, loose=None):
    """Extents that hold a copy of `data` (bytes-like, contiguous), where it is wished. On an error, which names the blob if that is given, the space is given back.

    loose : a list that has the extents from their lease on, too: what is in it the caller gives back, also on an error
    """
    view = bytes_of(data)
    extents, source = [] if loose is None else loose, None
    before = len(extents)
    try:
        for start in range(0, len(view), PIECE):
            nbytes = min(PIECE, len(view) - start)
            target, offset = tiers.lease(nbytes, durable, wish, len(view), blob)
            extents.append((target, offset, nbytes, 0))
            if target == RAM:
                source = address_of(view) if source is None else source
                crc = copy_checked(tiers.ram_address + offset, source + start, nbytes)
            else:
                part = view[start:start + nbytes]
                tiers.write(target, offset, part)
                crc = crc32_of(part)
                if not durable:
                    tiers.begin_sync(target, offset, nbytes)
            extents[-1] = (target, offset, nbytes, crc)
            tiers.counters.note(target, True, nbytes)
        return tuple(extents[before:])
    except BaseException:
        if loose is None:
            tiers.settle(extents)
        raise


@contextmanager
def writing(tiers, nbytes, durable, staging, done):
    """A writable memoryview of nbytes to fill; at the end its bytes are in extents, which `done(extents, loose)` is given; they are its own once it has emptied `loose`.

    In ram it is the place itself; for a file it is the buffer of `staging(nbytes)` (a context manager), written out at the end.
    """
    if nbytes > PIECE or durable or not nbytes:
        with staging(nbytes) as buffer:
            yield buffer
            loose = []
            try:
                done(write(tiers, buffer, durable, loose=loose), loose)
            except BaseException:
                tiers.settle(loose)
                raise
        return
    loose = []
    try:
        target, offset = tiers.lease(nbytes, durable)
        loose += (target, offset, nbytes, 0),
        place = tiers.view(target, offset, nbytes)
        with staging(nbytes) if place is None else nullcontext(place) as buffer:
            yield buffer
            if place is None:
                tiers.write(target, offset, buffer)
            loose[0] = (target, offset, nbytes, crc32_of(buffer))
        done(tuple(loose), loose)
    except BaseException:
        tiers.settle(loose)
        raise


def take(tiers, sizes, fd, offset, loose):
    """Extents, one each, of ranges of `sizes` bytes that lie one behind the other in an open file from `offset`; they are in the list `loose`, too, and the caller's.

    As many of them, from the first on, as are in the page cache and have room in ram; the others are to be written as ever.
    """
    if not sizes or min(sizes) < 1 or max(sizes) > PIECE:
        return []
    places, crcs, count = [], np.empty(len(sizes), np.int64), 0
    try:
        _lease_in_ram(tiers, sizes, places)
        if places:
            count = cached.take(fd, offset, np.array(sizes[:len(places)], np.int64), np.array(places, np.int64) + tiers.ram_address, crcs)
        tiers.counters.note(RAM, True, sum(sizes[:count]), count)
        found, due = [(RAM, *extent) for extent in zip(places, sizes, crcs[:count].tolist())], tiers.due
        unused = [(RAM, place, nbytes, 0) for place, nbytes in zip(places[count:], sizes[count:])],
        # no calls in between
        places = []
        loose += found
        due += unused
    except BaseException:
        tiers.settle([(RAM, place, nbytes, 0) for place, nbytes in zip(places, sizes)])
        raise
    tiers.settle([])
    return found


def _lease_in_ram(tiers, sizes, places):
    """Add the offsets of new space in ram to `places`: of as many sizes, from the first on, as belong there and have room."""
    for nbytes, group in groupby(sizes):
        wanted = len(places) + len(list(group))
        while len(places) < wanted:
            found = tiers.lease_some(nbytes, wanted - len(places))
            if found is None:
                return
            places.extend(found)


def read(tiers, record, offset, out):
    """Fill `out` (writable, contiguous) with bytes from `offset` of the blob, in `tiers` (or what reads as they do); Corrupt, with the blob's name,
    when they don't have their checksum, or can't be read.

    A range of a file's extent is checked too, at the price of reading the whole extent; a range of ram is not.
    """
    position, view = 0, memoryview(out).cast("B")
    for extent in record.extents:
        nbytes = extent[2]
        low, high = max(offset, position), min(offset + len(view), position + nbytes)
        if low < high:
            part = view[low - offset:high - offset]
            try:
                if high - low == nbytes:
                    whole = part
                elif extent[0] == RAM:
                    tiers.read(RAM, extent[1] + low - position, part)
                    whole = None
                else:
                    whole = memoryview(bytearray(nbytes))
                has_changed = whole is not None and tiers.load(extent, whole) != extent[3]
            except Corrupt as error:
                let_out(error)
                if not record.blob:             # a parcel: who has asked for it knows the name
                    raise
                raise Corrupt(f"blob {record.blob!r} of tag {record.tag!r}: {error}") from error
            if has_changed:
                raise Corrupt(f"blob {record.blob!r} of tag {record.tag!r}: bytes {position} to {position + nbytes} don't have "
                              f"the checksum they were stored with: storage or memory changed them; ingest it again")
            if whole is not None and whole is not part:
                part[:] = whole[low - position:high - position]
            tiers.counters.note(extent[0], False, high - low)
        position += nbytes


def fail(record):
    """Raise Corrupt for a blob whose bytes in ram are not what was put."""
    raise Corrupt(f"blob {record.blob!r} of tag {record.tag!r} changed in memory after it was put: ingest it again")
