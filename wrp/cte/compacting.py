"""When a rank's journal has grown long: a thread writes it anew with what counts of it, while others add to it. What the journals promise stays the same at every moment."""

import os
import time

from wrp.comm.turn import Turn
from wrp.cte.background import Background
from wrp.errors import StoreError, WaitTimeout, WrpError

_WORKS_S, _NAPS_S = 0.5e-3, 0.2e-3      # Python's interpreter is somebody else's after so long, for so long


class Compacting:
    """The renewals of the journal of one rank, one at a time. parts : of the rank"""

    def __init__(self, parts):
        self._parts, self._thread, self._turn, self._is_begun = parts, Background("wrp-journal"), Turn(), False

    def begin(self):
        """Have the journal shortened if it is longer than performance.transaction_log_capacity. Local."""
        if self._parts.journal.is_long and not self._is_begun:
            try:
                self._thread.start(self._renew)
            except WrpError:                    # of a signal's handler
                raise
            except RuntimeError:                # this user may have no more threads: it grows on
                pass

    def stop(self):
        """End it: the journal is as it was, or shorter. Idempotent. WaitTimeout: see Background.stop."""
        self._thread.stop(self._parts.config.get("runtime.timeout_s"))
        self.wait()                             # should two have been started, by calls that a signal's handler interrupted

    def wait(self):
        """Until none is under way. WaitTimeout."""
        timeout_s = self._parts.config.get("runtime.timeout_s")
        try:
            if not self._turn.acquire(timeout=timeout_s):
                raise WaitTimeout(f"the journal of process {os.getpid()} is still being shortened after {timeout_s:g} s (runtime.timeout_s): look whether its storage answers")
        finally:
            try:                        # one step, as in Parts.sync
                self._turn.release()
            except WrpError:            # of a signal's handler
                raise
            except RuntimeError:        # the wait was in vain
                pass

    def _renew(self):
        if self._turn.acquire(blocking=False):
            try:
                self._is_begun = True
                if not self._thread.is_stopped:
                    self._shorten()
            finally:
                self._is_begun = False
                self._turn.release()

    def _shorten(self):
        parts = self._parts
        try:
            with parts.catalog.flushing():      # no rank of the node is between a record and its journal
                begin = parts.journal.nbytes
            parts.sync(0)                       # bytes that it holds up to there, whenever they were written
            parts.journal.shorten(self._needed, begin, self._paced)
        except WrpError:
            pass                                # it grows on, and the next opening writes what it holds to its places

    def _paced(self, items):
        """The same items; others may have the interpreter in between. StoreError once nobody waits for the end."""
        turn = time.monotonic() + _WORKS_S
        for item in items:
            if time.monotonic() > turn:
                if not self._thread.naps(_NAPS_S):
                    raise StoreError("the store is being closed")
                turn = time.monotonic() + _WORKS_S
            yield item

    def _needed(self, removals):
        """Names whose removal has to stay: where something older of the name may stand in a file, or come into one yet."""
        if not removals or self._parts.ranks.nodes > 1:
            return removals                     # another node may be about to write an older record down
        beside = self._parts.folder.names_beside(self._parts.journal.path, self._paced)
        return {name for name, stamp in self._paced(removals.items()) if name in beside or _is_older(self._parts.catalog.find(name), stamp)}


def _is_older(record, stamp):
    # of a batch that is in the journal and not yet in the catalog: a flush may still come by the old record
    return record is not None and record.stamp < stamp
