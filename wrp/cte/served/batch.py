"""AttachedBatch: a batch of a daemon's store that one attached program fills: all of it becomes visible and durable at the commit, or nothing."""

from contextlib import contextmanager

from wrp.comm.sizes import whole
from wrp.cte import given, names
from wrp.cte.batch import Entry
from wrp.cte.reservation import private
from wrp.cte.served.wire import Part


class AttachedBatch:
    """As wrp.cte.batch.Batch, of one participant: `link` to the daemon. It ends with the daemon, or with this process, uncommitted."""

    def __init__(self, link, label):
        self._link, self._label, self._number = link, label, None       # None: the daemon has none now
        self.entries = None
        self._begun()

    @contextmanager
    def writing(self, tag, blob, nbytes):
        """As Batch.writing."""
        nbytes = whole(nbytes, f"the size of blob {blob!r}:", 0)
        names.checked("tag", tag), names.checked("blob", blob)
        buffer = memoryview(private(nbytes))
        yield buffer
        self.put(tag, blob, buffer)

    def put(self, tag, blob, data, score=1.0):
        """As Batch.put."""
        view, score = given.bytes_of(data), given.score_of(score, f"blob {blob!r:.80}")
        self._do("put", tag, blob, Part(0, len(view)), score, parts=(view,))

    def create(self, tag):
        """As Batch.create."""
        self._do("create", tag)

    def replace(self, tag):
        """As Batch.replace."""
        self._do("replace", tag)

    def remove(self, tag):
        """As Batch.remove."""
        self._do("remove", tag)

    def expect(self, nbytes):
        """Nothing is leased here."""

    def take(self, tag, blobs, sizes, fd, offset):
        """0: nothing comes straight from files into another process."""
        return 0

    def commit(self):
        """As Batch.commit."""
        number, self._number = self._begun(), None
        self.entries = [Entry(*entry) for entry in self._link.ask("commit", [number])]
        return self.entries

    def abandon(self):
        """As Batch.abandon."""
        number, self._number = self._number, None
        if number is not None:
            self._link.forsake(number)

    def _begun(self):
        """The daemon's number of the batch: another one, after a commit or when it was abandoned."""
        if self._number is None:
            self._number = self._link.ask("batch", [self._label])
        return self._number

    def _do(self, *args, parts=()):
        self._link.ask("in_batch", [self._begun(), *args], parts=parts)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.abandon()
        else:
            self.commit()
        return False
