"""A reservation: memory to fill in place, which a commit makes a blob. Where ram has no run for it, the bytes are copied at the commit."""

import os
from contextlib import suppress

from wrp.comm.digests import crc32_at
from wrp.comm.mapping import close_quietly
from wrp.comm.sizes import format_size
from wrp.cte.records import RAM
from wrp.cte.tiers import PIECE
from wrp.errors import OutOfSpace, UsageError, WrpError


class Reservation:
    """`view`: a writable memoryview of the bytes. `commit` publishes them, `abandon` gives them back; as a context manager it does one of both.

    Nothing may be written to the view after the commit. Local.
    """

    def __init__(self, tiers, nbytes, publish, put):
        """`publish(extents, loose)` of ram makes them the blob, see `Changes.publish`; `put(view)` copies. `tiers` is None where the bytes have to be copied."""
        self._tiers, self._publish, self._put = tiers, publish, put
        self._nbytes, self._pid, self._open = nbytes, os.getpid(), True
        self._loose, self.view = [], None
        if tiers is not None and tiers.ram is not None and nbytes:
            try:
                offset = tiers.lease_run(nbytes)
                self._loose += (RAM, offset, nbytes, 0),
                self.view = tiers.view(RAM, offset, nbytes)
            except OutOfSpace:
                pass                    # a file may have room
        if self.view is None:
            self.view = memoryview(private(nbytes))

    def commit(self):
        """The bytes are the blob. Raises OutOfSpace when there is no room; they are given back then."""
        if not self._open:
            raise UsageError("this reservation was committed or abandoned before")
        self._open = False
        try:
            if self._loose:
                self._publish(self._extents(), self._loose)
            else:
                self._put(self.view)
        finally:
            self._give_back()

    def _extents(self):
        found, (_, first, _, _) = [], self._loose[0]
        for start in range(0, self._nbytes, PIECE):
            nbytes = min(PIECE, self._nbytes - start)
            offset = first + start
            found.append((RAM, offset, nbytes, crc32_at(self._tiers.ram_address + offset, nbytes, 0)))
        return tuple(found)

    def abandon(self):
        """Give the bytes back. Idempotent, and without effect after a commit."""
        self._open = False
        self._give_back()

    def _give_back(self):
        close_quietly(self.view.release)
        if self._loose:
            self._tiers.settle(self._loose)

    def __del__(self):
        # dropped without either, as by an error of a signal's handler before anybody has it; who still has an array of the bytes may write there
        if getattr(self, "_loose", None) and self._pid == os.getpid():
            with suppress(BufferError, WrpError):
                if self.view is not None:
                    self.view.release()
                self._tiers.settle(self._loose)

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
