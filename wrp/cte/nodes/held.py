"""Held: all bytes of one blob as they are stored, which this process has already, read as Tiers are. Knows no node."""

from wrp.comm.digests import crc32_of
from wrp.cte.records import RAM


def unpack(parts, record, data, offset, out):
    """Fill `out` with bytes from `offset` of the blob of a Record, whose stored bytes are `data`."""
    if not record.raw:
        out[:] = memoryview(data)[offset:offset + len(out)]
        return
    from wrp.cte.framing import Framing

    known = parts.framing
    held = record.but(extents=((RAM, 0, len(data), crc32_of(data)),))
    Framing(_Held(data, parts.tiers.counters), {}, known.cipher if known is not None else None).read(held, offset, out)


class _Held:
    """Bytes of this process."""

    def __init__(self, data, counters):
        self._data, self.counters = memoryview(data), counters

    def read(self, _, offset, out):
        memoryview(out).cast("B")[:] = self._data[offset:offset + len(out)]

    def load(self, extent, out):
        self.read(extent[0], extent[1], out)
        return extent[3]
