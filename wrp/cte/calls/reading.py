"""Calls that give bytes: get, view, wait for a blob."""

import time

from wrp.comm.refusals import let_out
from wrp.comm.sizes import whole
from wrp.cte import given, names, pieces
from wrp.cte.calls.base import READS, Calls, busy
from wrp.cte.calls.info import info_in
from wrp.cte.records import full_name
from wrp.errors import Corrupt, RangeError, UsageError, WaitTimeout

_SHORTEST_NAP_S, _LONGEST_NAP_S = 50e-6, 10e-3
_VIEWS = 3                      # looks for bytes in ram before a view is a copy


class Reading(Calls):
    """See store.Store."""

    def get(self, tag, blob, offset=0, size=None, out=None):
        """Bytes [offset, offset + size) of a blob as `bytes`; with `out` (writable buffer) fills it and returns the number of bytes.

        Raises NoSuchBlob, RangeError beyond the end, Corrupt when the bytes changed on storage, or can't be read from it.
        """
        tag = self._own(tag)
        if type(offset) is not int or size is not None and type(size) is not int:
            offset, size = place_of(blob, offset, size)
        if self._direct is not None:
            done = self._short_get(tag, blob, offset, size, out) if out is not None else self._direct.get(tag, blob) if size is None and offset == 0 else None
            if done is not None:
                return done
        for _ in range(READS):
            record = self._record(tag, blob)
            target = target_of(record, offset, size, out)
            if self._read_still(record, offset, target):
                self._noted.read(tag, blob, offset, len(target))
                return len(target) if out is not None else bytes(target)
        raise busy(tag, blob)

    def _read_still(self, record, offset, target):
        """Fill `target` from the blob; False when it was replaced meanwhile."""
        try:
            if record.raw:
                self._framing().read(record, offset, target)
            else:
                pieces.read(self._tiers, record, offset, target)
        except Corrupt as error:
            let_out(error)
            if self._catalog.still(record):
                raise
            return False
        return self._catalog.still(record)

    def _short_get(self, tag, blob, offset, size, out):
        """What `get` into a buffer returns, or None: the long way does it, or says why it can't."""
        array = given.whole_of(out, writable=True)
        if array is None or size is not None and not 0 <= size <= array.nbytes:
            return None
        wanted = array.nbytes if size is None else size
        return wanted if self._direct.get_into(tag, blob, offset, array, wanted) else None

    def get_segments(self, tag, blob, ranges):
        """The bytes of ranges [(offset, size)] of a blob, as a list, all of one generation. RangeError where one lies beyond the end."""
        tag, ranges = self._own(tag), places_of(blob, ranges)
        for _ in range(READS):
            record = self._record(tag, blob)
            found = [target_of(record, offset, size, None) for offset, size in ranges]
            if all(self._read_still(record, offset, target) for (offset, _), target in zip(ranges, found)):
                self._noted.read(tag, blob, min((offset for offset, _ in ranges), default=0), sum(map(len, found)))
                return list(map(bytes, found))
        raise busy(tag, blob)

    def get_many(self, tag, blobs, out=None):
        """The blobs as a list of bytes; with `out` (C-contiguous array of two or more dimensions) fills row k from the beginning of blobs[k].

        RangeError when a blob is shorter than a row.
        """
        tag, blobs = self._own(tag), given.listed(blobs, "names of blobs")
        if out is None:
            return [self.get(tag, blob) for blob in blobs]
        rows = given.rows_of(out)
        if rows is None or not rows.flags.writeable or len(rows) != len(blobs):
            raise UsageError(f"{len(blobs)} blobs need a contiguous, writable array with a row for each")
        names.all_checked("blob", blobs)
        if self._direct is None or not rows.size:
            for blob, row in zip(blobs, rows):
                self.get(tag, blob, out=row)
        else:
            self._direct.get_many(tag, blobs, rows, lambda number: self.get(tag, blobs[number], out=rows[number]))

    def view(self, tag, blob):
        """A read-only memoryview of the blob, without a copy where it is one run of ram.

        It shows the blob as it is now, whatever happens to the blob, as long as it is there or anything made of it (arrays, memoryviews).
        """
        tag = self._own(tag)
        for _ in range(_VIEWS if self._direct is not None else 0):
            view = self._direct.view(tag, blob)
            if view is not None:
                return view
            time.sleep(0)
        return memoryview(self.get(tag, blob)).toreadonly()

    def wait(self, tag, blob, timeout_s=None):
        """Wait until the blob is there: its BlobInfo. WaitTimeout after `timeout_s` seconds (default: WRP_TIMEOUT_S); UsageError at once for what no blob can be named."""
        names.checked("tag", tag), names.checked("blob", blob)
        timeout_s = self.ranks.timeout_s if timeout_s is None else given.real(timeout_s, "a time-out")
        deadline, nap = time.monotonic() + timeout_s, _SHORTEST_NAP_S
        while (record := self._catalog.find(full_name(own := self._own(tag), blob)) or self._of_sources(own, blob)) is None:
            if time.monotonic() >= deadline:
                raise nobody_put(tag, blob, timeout_s)
            time.sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP_S)
        return info_in(own, record)


def nobody_put(tag, blob, timeout_s):
    return WaitTimeout(f"waited {timeout_s:g} s for blob {blob!r} of tag {tag!r}, which nobody has put")


def place_of(blob, offset, size):
    """(offset, size) of a range as ints. UsageError."""
    what = f"range of blob {blob!r:.80} that is read: its begin or size"
    return whole(offset, what), size if size is None else whole(size, what)


def places_of(blob, ranges):
    """The same of a list of them."""
    return [place_of(blob, *place) for place in given.pairs_of(ranges, f"ranges of blob {blob!r:.80}")]


def target_of(record, offset, size, out):
    """The buffer to read into, of the length asked; RangeError when the blob is shorter."""
    nbytes = record.raw or record.size
    if out is not None:
        target = given.bytes_of(out, writable=True)
        if size is not None and size > len(target):
            raise RangeError(f"{size} bytes of blob {record.blob!r} don't fit into the buffer of {len(target)}")
        wanted = len(target) if size is None else size
        target = target[:wanted]
    else:
        wanted = nbytes - offset if size is None else size
        target = None
    if offset < 0 or wanted < 0 or offset + wanted > nbytes:
        raise RangeError(f"bytes {offset} to {offset + wanted} lie beyond blob {record.blob!r} of tag {record.tag!r}, "
                         f"which has {nbytes} bytes")
    return bytearray(wanted) if target is None else target
