"""A reservation: memory to fill in place, which a commit makes a blob. Where ram has no run for it, the bytes are copied at the commit."""

from wrp.comm.digests import crc32_at
from wrp.comm.mapping import close_quietly
from wrp.comm.sizes import format_size
from wrp.cte.records import RAM
from wrp.cte.tiers import PIECE
from wrp.errors import OutOfSpace, UsageError


class Reservation:
    """`view`: a writable memoryview of the bytes. `commit` publishes them, `abandon` gives them back; as a context manager it does one of both.

    Nothing may be written to the view after the commit. Local.
    """

    def __init__(self, tiers, nbytes, publish, put):
        """`publish(extents)` of ram makes them the blob; `put(view)` copies. `tiers` is None where the bytes have to be copied."""
        self._tiers, self._publish, self._put = tiers, publish, put
        self._offset, self.view = None, None
        if tiers is not None and tiers.ram is not None and nbytes:
            try:
                self._offset = tiers.lease_run(nbytes)
                self.view = tiers.view(RAM, self._offset, nbytes)
            except OutOfSpace:
                pass                    # a file may have room
        if self.view is None:
            self.view = memoryview(private(nbytes))
        self._nbytes = nbytes
        self._open = True

    def commit(self):
        """The bytes are the blob. Raises OutOfSpace when there is no room; they are given back then."""
        if not self._open:
            raise UsageError("this reservation was committed or abandoned before")
        self._open = False
        if self._offset is not None:
            self._publish(self._extents())
        else:
            self._put(self.view)
        close_quietly(self.view.release)

    def _extents(self):
        found = []
        for start in range(0, self._nbytes, PIECE):
            nbytes = min(PIECE, self._nbytes - start)
            offset = self._offset + start
            found.append((RAM, offset, nbytes, crc32_at(self._tiers.ram_address + offset, nbytes, 0)))
        return tuple(found)

    def abandon(self):
        """Give the bytes back. Idempotent, and without effect after a commit."""
        if self._open:
            self._open = False
            close_quietly(self.view.release)
            if self._offset is not None:
                self._tiers.give_back([(RAM, self._offset, self._nbytes, 0)])

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None and self._open:
            self.commit()
        self.abandon()


def private(nbytes):
    """A bytearray of zeros. OutOfSpace where this process has no memory for it."""
    try:
        return bytearray(nbytes)
    except (MemoryError, OverflowError):
        raise OutOfSpace(f"this process has no {format_size(nbytes)} of memory for a blob in one piece: make it in parts, with put and offsets") from None
