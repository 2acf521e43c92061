"""One blob that is written in ranges, as programs write files: small ones wait here until they are a piece. No library's interface, and no path, here."""

from wrp.cee.doors.handle import get_range
from wrp.cte.splicing import patch

_SHORTEST, _LONGEST = 1 << 20, 4 << 20      # pieces that are put one behind the other: an extent each
_SCATTERED = 8 << 20                        # bytes of ranges here and there that wait
_BLOCK_NBYTES = 4 << 20                     # as the longest extent: of a file the store reads whole ones


class Growing:
    """A blob that is there. What `write` is given waits, is seen by `read` and `nbytes`, and is put as one change when it is a piece, or by `put`.

    Of one thread. Whoever else changes the blob meanwhile is seen, too; of ranges that both write, those that are put last count.
    """

    def __init__(self, store, tag, blob):
        self._store, self.tag, self.blob = store, tag, blob
        self._segments, self.waits = [], 0          # [(offset, bytearray)] in the order of writing; their bytes
        self._kept = (0, 0, b""), 0                 # (stamp, first byte, bytes) of what was read ahead; where the last read ended

    @property
    def nbytes(self):
        return max([self._store.size(self.tag, self.blob), *(offset + len(data) for offset, data in self._segments)])

    def write(self, offset, data):
        """Put `data` (bytes) at an offset, sooner or later; a gap before it is zeros. OutOfSpace: these bytes aren't taken, those before them still wait."""
        if self._segments and self.waits + len(data) > self._room():
            self.put()
        start, last = self._segments[-1] if self._segments else (0, None)
        if last is not None and start + len(last) == offset:
            last.extend(data)
        else:
            self._segments.append((offset, bytearray(data)))
        self.waits += len(data)

    def read(self, offset, nbytes):
        """Up to `nbytes` bytes from an offset: fewer where the blob ends."""
        end = min(offset + nbytes, self.nbytes)
        if end <= offset:
            return b""
        stored = self._stored(offset, end - offset)
        if not self._segments:
            return stored
        out = bytearray(end - offset)
        out[:len(stored)] = stored
        patch(out, offset, self._segments)
        return bytes(out)

    def truncate(self, nbytes):
        """The blob has its first `nbytes` bytes, or zeros behind them, when it returns."""
        self.put()
        if self._store.size(self.tag, self.blob) != nbytes:
            self._store.truncate(self.tag, self.blob, nbytes)

    def put(self):
        """What waits is in the store when it returns, all of it at one moment. OutOfSpace: it still waits."""
        if self._segments:
            self._store.put_segments(self.tag, self.blob, self._segments)
            self._segments, self.waits = [], 0

    def drop(self):
        """What waits is never put."""
        self._segments, self.waits = [], 0

    def _room(self):
        """How many bytes may wait. Of a frame each put makes the whole blob anew: the longer it is, the more rarely."""
        about = self._store.info(self.tag, self.blob)
        if about.stored != about.size or about.codec != "none" or self._store.compression(self.tag):
            return max(_SCATTERED, about.size // 2)
        return min(max(_SHORTEST, about.size >> 8), _LONGEST) if len(self._segments) == 1 else _SCATTERED

    def _stored(self, offset, nbytes):
        """Bytes that the store has; where they go on from the last ones, as many more as make a block are read ahead."""
        stamp = self._store.info(self.tag, self.blob).stamp
        (known, start, block), end = self._kept
        if known == stamp and start <= offset and offset + nbytes <= start + len(block):
            found = block[offset - start:offset - start + nbytes]
        elif offset == end and nbytes < _BLOCK_NBYTES:
            start, block = offset, get_range(self._store, self.tag, self.blob, offset, offset + _BLOCK_NBYTES)
            known, found = stamp, block[:nbytes]
        else:
            found = get_range(self._store, self.tag, self.blob, offset, offset + nbytes)
        self._kept = (known, start, block), offset + nbytes
        return found
