"""The telemetry of one node's store, as Python uses it: notes operations by names, and reads ring and counters."""

from wrp.cte.records import encoded, full_name, key_of
from wrp.cte.telemetry.counters import TARGETS, Counters
from wrp.cte.telemetry.noting import note_read_of
from wrp.cte.telemetry.ring import Telemetry
from wrp.errors import UsageError


def identity(tag, blob=None):
    """The number by which a ring's entries name a tag, or a blob of it: the first word of the name's key."""
    return key_of(full_name(tag, blob))[0]


class Noted:
    """at: the header of the catalog; ring, counters: addresses, 0: off."""

    def __init__(self, at, ring=0, counters=0):
        self._at = at
        self._ring = Telemetry(ring) if ring else None
        self.counters = Counters(counters, TARGETS if counters else 0)

    @property
    def is_on(self):
        return self._ring is not None

    def note(self, op, tag=None, blob=None, offset=0, size=0):
        """An operation on a tag or blob (names) has happened."""
        if self._ring is not None:
            self._ring.record(op, identity(tag) if tag is not None else 0, identity(tag, blob) if blob is not None else 0, offset, size)

    def read(self, tag, blob, offset, nbytes):
        """A blob was read, not by a kernel that notes it itself."""
        _, place, count = encoded(full_name(tag, blob))
        note_read_of(self._at, place, count, offset, nbytes)

    @property
    def ring(self):
        """The Telemetry. UsageError where it is off."""
        if self._ring is None:
            raise UsageError("telemetry is off: set performance.telemetry_entries to the number of operations to keep")
        return self._ring
