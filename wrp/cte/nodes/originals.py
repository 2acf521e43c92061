"""Originals: what keepers want to know of the blobs at home on a node, and the way back of bytes to a home whose own are damaged."""

from wrp.comm.digests import crc32_of
from wrp.comm.refusals import let_out
from wrp.cte import pieces
from wrp.cte.nodes.wire import INLINE, extents_of
from wrp.cte.records import combined_crc
from wrp.cte.targetnumbers import is_durable
from wrp.cte.targets import Wish
from wrp.errors import Corrupt

_MOST = 4 << 20                 # bytes of blobs in one answer


class Originals:
    """The blobs at home on one node; `moves` of its Store; `loans`: Loans of the node."""

    def __init__(self, parts, moves, loans):
        self._catalog, self._tiers, self._moves, self._loans = parts.catalog, parts.tiers, moves, loans

    def table(self):
        """{name: function} of what can be asked of the node."""
        return {"states": self.states, "mend": self.mend}

    def states(self, names, stamps):
        """What there is under full names: None where the generation is the one given, else what Copies.keep takes.

        stamps : of each name, 0 where the answer before was that there is nothing to keep
        """
        found, left = [], _MOST
        for name, known in zip(names, stamps):
            state = self._state(name, known, min(left, INLINE))
            left -= len(state[1]) if state and isinstance(state[1], bytes) else 0
            found.append(state)
        return found

    def _state(self, name, known, most):
        record = self._catalog.find(name)
        if record is None:
            with self._catalog.changing("looking for a blob that is gone"):
                record = self._catalog.find(name)
                if record is None:
                    # above all that it had, below all that it will have
                    return [None, [name, self._catalog.next_stamp()]] if known else None
        if not record.dirty and all(is_durable(extent[0]) for extent in record.extents):
            return [None, [name, record.stamp + 1]] if known else None      # what files hold needs no keeper
        if record.stamp == known:
            return None
        return [record, self._bytes(record) if record.size <= most else None]

    def _bytes(self, record):
        """All bytes of a blob as they are stored; None when they changed."""
        data = bytearray(record.size)
        try:
            pieces.read(self._tiers, record, 0, data)
        except Corrupt as error:
            let_out(error)
            return None
        return bytes(data)

    def mend(self, name, stamp, data):
        """Let a blob of this generation have these bytes, or extents of the node that hold them, in place of its own; False when it can't be.

        Its generation stays: they are the ones it had.
        """
        record = self._catalog.find(name)
        extents = None if isinstance(data, bytes) else self._loans.take(extents_of(data))
        crc = crc32_of(data) if extents is None else combined_crc(extents)
        if record is None or record.stamp != stamp or crc != combined_crc(record.extents):
            self._tiers.give_back(extents or ())
            return False
        return self._moves.switch(record, extents if extents is not None else pieces.write(self._tiers, data, wish=Wish(record.score)))
