"""`file::` sources: a file's bytes as they are, or one byte range of them, in chunks of 1 MiB."""

import os
from dataclasses import dataclass

from wrp.cae import source, url
from wrp.cae.assimilator import Item, Survey
from wrp.errors import RangeError, SourceError

BLOB_NBYTES = 1 << 20


class Binary:
    """The assimilator of `file::path`. The range's offset counts only where its size is above 0."""

    def survey(self, transfer):
        stamp = source.Stamp.of(url.parse(transfer.src)[1])
        offset, nbytes = _range(transfer, stamp)
        tag = url.tag_of(transfer.dst)
        item = Item(tag, f"binary<size={nbytes}, offset={offset}>", nbytes, BLOB_NBYTES, nbytes, Span(stamp, offset, nbytes))
        return Survey(tag, (item,), sources=(stamp,))


@dataclass(frozen=True)
class Span:
    """`nbytes` of a file from `offset`."""

    stamp: source.Stamp
    offset: int
    nbytes: int

    def open(self):
        return SpanReader(self)


class SpanReader:
    """Reads one span straight into the caller's buffers."""

    def __init__(self, span):
        self._span = span
        self._fd = span.stamp.open()

    def whereabouts(self, start):
        if self._fd is None:
            raise SourceError(f"the reader of {self._span.stamp.path} is closed")
        return self._fd, self._span.offset + start

    def read_into(self, buffer, start):
        fd, offset = self.whereabouts(start)
        source.fill(fd, buffer, offset, self._span.stamp.path)

    def close(self):
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _range(transfer, stamp):
    if not transfer.range_size:
        return 0, stamp.nbytes
    end = transfer.range_off + transfer.range_size
    if end > stamp.nbytes:
        raise RangeError(f"bytes {transfer.range_off} to {end} lie beyond the end of {stamp.path}, "
                         f"which has {stamp.nbytes} bytes")
    return transfer.range_off, transfer.range_size
