"""A reservation: memory to fill in place, which a commit makes a blob. Where ram has no run for it, the bytes are copied at the commit."""

import os

import numpy as np

from wrp.comm.digests import crc32_at
from wrp.comm.mapping import close_quietly
from wrp.comm.refusals import let_out
from wrp.comm.sizes import format_size
from wrp.cte.records import RAM
from wrp.cte.tiers import PIECE
from wrp.errors import OutOfSpace, UsageError


class Reservation:
    """`view`: a writable memoryview of the bytes. `commit` publishes them, `abandon` gives them back; as a context manager it does one of both.

    Nothing may be written to the view after the commit. Dropped without either, its bytes are free with a call of the store after the last thing made of the view has gone. Local.
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
                self.view = memoryview(_lent(tiers, offset, nbytes, self._loose))
            except OutOfSpace as error:         # a file may have room
                _drop(tiers, self._loose, self._pid)
                let_out(error)
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
        close_quietly(self.view.release)        # with which the bytes are due mostly
        if self._tiers is not None:
            self._tiers.settle(self._loose)

    def __del__(self):
        # an error of a signal's handler came before there was a view
        if getattr(self, "view", self) is None:
            _drop(self._tiers, self._loose, self._pid)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None and self._open:
            self.commit()
        self.abandon()


class _Lent(np.ndarray):
    """Bytes of a reservation: they are given back when neither that nor anything made of its view is left, which may write there until then."""

    owed = None

    def __del__(self):
        if self.owed is not None:
            _drop(*self.owed)


def _lent(tiers, offset, nbytes, loose):
    array = np.frombuffer(tiers.view(RAM, offset, nbytes), np.uint8).view(_Lent)
    array.owed = tiers, loose, os.getpid()
    return array


def _drop(tiers, loose, pid):
    """Give extents of a list back, with the next call: this one may come in the middle of anything. Not in a child."""
    if loose and pid == os.getpid():
        rest = loose[:],
        # no calls in between
        del loose[:]
        tiers.due += rest


def private(nbytes):
    """A bytearray of zeros. OutOfSpace where this process has no memory for it."""
    try:
        return bytearray(nbytes)
    except (MemoryError, OverflowError):
        raise OutOfSpace(f"this process has no {format_size(nbytes)} of memory for a blob in one piece: make it in parts, with put and offsets") from None
