"""One blob that is written in ranges, as programs write files: small ones wait here until they are a piece. No library's interface, and no path, here."""

from dataclasses import replace

from wrp.cee.doors.handle import get_range
from wrp.cte.splicing import patch
from wrp.errors import Changed, NoSuchBlob

_SHORTEST, _LONGEST = 1 << 20, 4 << 20      # pieces that are put one behind the other: an extent each
_SCATTERED = 8 << 20                        # bytes of ranges here and there that wait
_MOST_SEGMENTS = 4096                       # of them: a read looks at each
_TRIES = 1000                               # of a put, while others change the blob between each look at it and the put
_BLOCK_NBYTES = 4 << 20                     # as the longest extent: of a file the store reads whole ones


class Growing:
    """A blob that is there. What `write` is given waits, is seen by `read` and `nbytes`, and is put as one change when it is a piece, or by `put`.

    One call at a time. What others do to the blob is seen after `refresh`, `truncate`, or a `put`; of ranges that both write, those that are put last count. Where
    they remove it these raise NoSuchBlob, also when another one of its name is there: it is never made anew.
    """

    def __init__(self, store, tag, blob):
        self._store, self.tag, self.blob = store, tag, blob
        self._framed = store.compression(tag) is not None
        self._about, self._block, self._last = None, (0, b""), 0        # of the blob in the store; what was read ahead: first byte, bytes; where the last read ended
        self.drop()
        self.refresh()

    @property
    def nbytes(self):
        return max(self._about.size, self._end)

    @property
    def is_waiting(self):
        """True where others don't see the blob as it is here: for its bytes, or for its length alone."""
        return bool(self._segments)

    def refresh(self):
        """Look what the blob is now."""
        before, about = self._about, self._store.info(self.tag, self.blob)
        if before is not None and before.stamp and before.created != about.created:
            raise NoSuchBlob(f"blob {self.blob!r} of tag {self.tag!r} was removed or replaced since it was opened: open it again")
        self._about = about
        if before is None or before.stamp != self._about.stamp:
            self._block = 0, b""
            self._framed = self._framed or self._about.stored != self._about.size or self._about.codec != "none"

    def write(self, offset, data):
        """Put `data` (bytes) at an offset, sooner or later; a gap before it is zeros. OutOfSpace: these bytes aren't taken, those before them still wait."""
        if self._segments and (self.waits + len(data) > self._room() or len(self._segments) >= _MOST_SEGMENTS):
            self.put()
        start, last = self._segments[-1] if self._segments else (0, None)
        if last is not None and start + len(last) == offset:
            last.extend(data)
        else:
            self._segments.append((offset, bytearray(data)))
        self.waits, self._end = self.waits + len(data), max(self._end, offset + len(data))

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
        """The blob has its first `nbytes` bytes, or zeros behind them; of what waits, the bytes behind are never put, and take no room."""
        self.refresh()
        if nbytes == self.nbytes:
            return
        if nbytes < self._about.size or nbytes > self.nbytes:
            self._store.truncate(self.tag, self.blob, nbytes)
            self.refresh()
        kept = [(offset, data[:nbytes - offset]) for offset, data in self._segments if offset < nbytes]
        if self._segments and nbytes > self._about.size:
            kept.append((nbytes, bytearray()))
        self._segments, self.waits, self._end = kept, sum(len(data) for _, data in kept), nbytes if kept else 0

    def put(self):
        """What waits is in the store when it returns, all of it at one moment. OutOfSpace, NoSuchBlob: it still waits."""
        if self._segments:
            self._put()
            self.drop()
            self.refresh()

    def _put(self):
        for tries in range(_TRIES):
            if tries or not self._about.stamp:
                self.refresh()
            try:
                return self._store.put_segments(self.tag, self.blob, self._segments, if_generation=self._about.stamp or None)
            except Changed:
                if tries == _TRIES - 1:
                    raise

    def follow(self, tag, blob):
        """The blob has another name now, and may be a copy."""
        self.tag, self.blob, self._about = tag, blob, replace(self._about, stamp=0)

    def drop(self):
        """What waits is never put."""
        self._segments, self.waits, self._end = [], 0, 0        # [(offset, bytearray)] in the order of writing; their bytes; where the last of them ends

    def _room(self):
        """How many bytes may wait. Of a frame each put makes the whole blob anew: the longer it is, the more rarely."""
        if self._framed:
            return max(_SCATTERED, self._about.size // 2)
        return min(max(_SHORTEST, self._about.size >> 8), _LONGEST) if len(self._segments) == 1 else _SCATTERED

    def _stored(self, offset, nbytes):
        """Bytes that the store has; where they go on from the last ones, as many more as make a block are read ahead."""
        start, block = self._block
        if offset == self._last and not start <= offset <= offset + nbytes <= start + len(block) and nbytes < _BLOCK_NBYTES:
            start, block = self._block = offset, get_range(self._store, self.tag, self.blob, offset, offset + _BLOCK_NBYTES)
        self._last = offset + nbytes
        if start <= offset and offset + nbytes <= start + len(block):
            return block[offset - start:offset - start + nbytes]
        return get_range(self._store, self.tag, self.blob, offset, offset + nbytes)
