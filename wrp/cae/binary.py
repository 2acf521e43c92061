"""`file::` sources: a file's bytes as they are, or one byte range of them, in chunks of 1 MiB."""

from dataclasses import dataclass

from wrp.cae import source, url
from wrp.cae.assimilator import Item, Survey
from wrp.errors import RangeError

BLOB_NBYTES = 1 << 20


class Binary:
    """The assimilator of `file::path`. The range's offset counts only where its size is above 0."""

    def survey(self, transfer):
        return survey(transfer, source.Stamp.of(url.parse(transfer.src)[1]))


def survey(transfer, stamp):
    """The Survey of the bytes of what the stamp was taken of. RangeError."""
    offset, nbytes = _range(transfer, stamp)
    tag = url.tag_of(transfer.dst)
    item = Item(tag, f"binary<size={nbytes}, offset={offset}>", nbytes, BLOB_NBYTES, nbytes, Span(stamp, offset, nbytes))
    return Survey(tag, (item,), sources=(stamp,))


@dataclass(frozen=True)
class Span:
    """`nbytes` of a file, or of an object, from `offset`."""

    stamp: object
    offset: int
    nbytes: int

    def open(self):
        return SpanReader(self)


class SpanReader:
    """Reads one span straight into the caller's buffers."""

    def __init__(self, span):
        self._offset, self._file = span.offset, span.stamp.open()

    def whereabouts(self, start):
        return self._file.whereabouts(self._offset + start)

    def expect(self, extents):
        self._file.expect([(self._offset + start, nbytes) for start, nbytes in extents])

    def read_into(self, buffer, start):
        self._file.fill(buffer, self._offset + start)

    def close(self):
        self._file.close()


def _range(transfer, stamp):
    if not transfer.range_size:
        return 0, stamp.nbytes
    end = transfer.range_off + transfer.range_size
    if end > stamp.nbytes:
        raise RangeError(f"bytes {transfer.range_off} to {end} lie beyond the end of {stamp.path}, "
                         f"which has {stamp.nbytes} bytes")
    return transfer.range_off, transfer.range_size
