"""AttachedBatch: a batch of a daemon's store that an attached program, or the ranks of a job, fill: all of it becomes visible and durable at the commit, or nothing."""

from contextlib import contextmanager

from wrp.comm.sizes import whole
from wrp.cte import given, names
from wrp.cte.batch import Entry
from wrp.cte.batch.share import check_open
from wrp.cte.reservation import private
from wrp.cte.served.ends import Gone, Late
from wrp.cte.served.wire import Part
from wrp.errors import RuntimeGone, StoreError, Uncertain


class AttachedBatch:
    """As wrp.cte.batch.Batch. Each rank fills a share in the daemon, which commits them as one. It ends with the daemon, or with a process that has a share, uncommitted.

    linked(ask) : what `ask` gives of the Link to the daemon of now; ranks : those that have a share
    """

    def __init__(self, linked, label, ranks):
        self._linked, self._label, self._ranks = linked, label, ranks
        self._link = self._share = None         # None: the daemon has none of it now
        self._is_filled = self._is_lost = self._is_over = False
        self.entries = None

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
        """As Batch.commit; Uncertain where the daemon ends, or doesn't answer, while it commits. Collective."""
        return self._commit(None)

    def abandon(self):
        """As Batch.abandon."""
        if self._share is not None:
            self._link.begun.discard(self._share[1])
            self._link.forsake(self._share[1])
            self._share = None

    def __del__(self):
        if getattr(self, "_share", None) is not None:       # an error of a signal's handler came before it was abandoned
            self._link.forsaken.append(self._share[1])

    def _begun(self):
        """(rank of the daemon, its number) of this share: another one, after a commit or when it was abandoned."""
        if self._share is None:
            self._link, self._share = self._linked(lambda link: (link, link.ask("batch", [self._label])))
            self._link.begun.add(self._share[1])
        return self._share

    def _do(self, *args, parts=()):
        check_open(self)
        _, number = self._begun()
        self._is_filled, self._is_lost = True, False
        self._link.ask("in_batch", [number, *args], parts=parts)

    def _commit(self, error):
        """As Batch._commit: one of the ranks has the daemon commit all shares."""
        shares = self._ranks.gather_of(lambda: self._handed_over(error), f"the ranks' shares of {self._label}")
        try:
            entries = self._ranks.share_of(lambda: self._committed(shares), f"committing {self._label}")
        except BaseException:
            self._is_lost = self._is_filled
            raise
        finally:
            self._is_filled = False
            self.abandon()          # the daemon has it no more, unless it was never asked
        self.entries = [Entry(*entry) for entry in entries]
        return self.entries

    def _committed(self, shares):
        try:
            return self._link.ask("commit_batch", [self._label, shares])
        except Gone as error:
            raise RuntimeGone(f"{error}. Nothing of {self._label} has happened") from error
        except (RuntimeGone, Late) as error:
            raise Uncertain(f"{error}. Whether {self._label} has been committed, as a whole, isn't known: look at what the store has once a daemon answers") from error

    def _handed_over(self, error):
        if error is not None:
            raise error
        if self._is_lost:
            raise StoreError(f"{self._label}: what was put went with the commit that failed: put it again")
        return self._begun()

    def __enter__(self):
        self._is_over = False
        return self

    def __exit__(self, kind, error, trace):
        self._is_over = True
        try:
            if kind is None or issubclass(kind, Exception):
                self._commit(error)
        finally:
            self.abandon()
        return False
