"""A tag's byte stream (chunk_0, chunk_1, … one after the other) read at any offset. Only reading; no files here."""

from collections import OrderedDict

from wrp.errors import Corrupt, NoSuchBlob, NoSuchTag, RangeError

_KEPT_NBYTES = 64 << 20


class TagStream:
    """The `nbytes` of a tag whose chunks are all of one size but the last. Corrupt when they aren't there."""

    def __init__(self, store, tag, nbytes):
        self._store, self._tag, self.nbytes = store, tag, nbytes
        self.chunk_nbytes = self._of_chunk(store.size, 0) if nbytes else 0
        if nbytes and not self.chunk_nbytes:
            raise self._damaged("chunk_0 is empty")
        self._kept = OrderedDict()

    @property
    def chunks(self):
        """How many chunks there are."""
        return -(-self.nbytes // self.chunk_nbytes) if self.nbytes else 0

    def extent(self, number):
        """(start, nbytes) of a chunk in the stream."""
        start = number * self.chunk_nbytes
        return start, min(self.chunk_nbytes, self.nbytes - start)

    def chunk(self, number):
        """The bytes of one chunk."""
        _, nbytes = self.extent(number)
        data = self._of_chunk(self._store.get, number)
        if len(data) != nbytes:
            raise self._damaged(f"chunk_{number} has {len(data)} bytes, not {nbytes}")
        return data

    def read(self, start, out):
        """Fill the writable buffer `out` with the bytes from `start`, straight from the store."""
        view = memoryview(out).cast("B")
        for number, skip, target in self._parts(start, view):
            self._of_chunk(self._store.get, number, skip, len(target), target)

    def read_kept(self, start, out):
        """As `read` for small pieces near each other: whole chunks are kept a while."""
        view = memoryview(out).cast("B")
        for number, skip, target in self._parts(start, view):
            data = self._kept.pop(number, None)
            self._kept[number] = data = self.chunk(number) if data is None else data
            if len(self._kept) * self.chunk_nbytes > _KEPT_NBYTES:
                self._kept.popitem(last=False)
            target[:] = memoryview(data)[skip:skip + len(target)]

    def _parts(self, start, view):
        """(chunk, offset in it, part of the view) that make up the bytes from `start`."""
        done = 0
        while done < len(view):
            number, skip = divmod(start + done, self.chunk_nbytes)
            count = min(self.chunk_nbytes - skip, len(view) - done)
            yield number, skip, view[done:done + count]
            done += count

    def _of_chunk(self, ask, number, *arguments):
        try:
            return ask(self._tag, f"chunk_{number}", *arguments)
        except (NoSuchTag, NoSuchBlob, RangeError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, reason):
        return Corrupt(f"tag {self._tag!r} doesn't hold the {self.nbytes} bytes it was taken in with ({reason}): "
                       f"something was deleted or replaced; take the source in again")
