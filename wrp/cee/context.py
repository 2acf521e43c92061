"""The Python interface that users of the reference system know: AssimilationCtx and ContextInterface."""

import sys
from dataclasses import dataclass, fields

from wrp.cee import explore
from wrp.cee.opening import borrow, give_back
from wrp.errors import NoSuchTag, UsageError, WrpError

DEFAULT_MAX_RESULTS = 1024
DEFAULT_MAX_CONTEXT_SIZE = 256 << 20


@dataclass(repr=False)
class AssimilationCtx:
    """One source to take in: the fields of a transfer in a job file. `range_off` counts only with `range_size` > 0."""

    src: str
    dst: str
    format: str
    depends_on: str = ""
    range_off: int = 0
    range_size: int = 0
    src_token: str = ""
    dst_token: str = ""

    def __repr__(self):
        return f"<AssimilationCtx src='{self.src}' dst='{self.dst}' format='{self.format}'>"


_FIELDS = {field.name: field.type for field in fields(AssimilationCtx)}


class ContextInterface:
    """Take in, ask for, get and destroy contexts of one store.

    The store is the folder `store`, else the one named by WRP_STORE, else ``wrp-store`` in the current folder. It
    is opened at the first call, for reading only until a call has to write, and closed by `close`, at the end of a
    ``with`` block, or when Python ends. Runs in one plain process; under mpirun every rank gets the same answer.
    """

    def __init__(self, store=None):
        self._folder = store
        self._shared = None
        self.last_error = None

    def context_bundle(self, bundle):
        """Take in a list of AssimilationCtx. 0, or the error's exit code: ``last_error`` has the error. Collective."""
        bundle = list(bundle)
        return self._code(lambda: self._bundle(bundle)) if bundle else 0

    def context_query(self, tag_re, blob_re, max_results=0):
        """Names of the blobs whose tag and name match as a whole, natural order; 0 = all. Collective at the first call."""
        store = self._open().reading()
        return [blob for _, blob in store.blobs(tag_re, blob_re, max_results)] if store else []

    def context_retrieve(self, tag_re, blob_re, max_results=DEFAULT_MAX_RESULTS,
                         max_context_size=DEFAULT_MAX_CONTEXT_SIZE, batch_size=32):
        """A list with at most one `bytes`: the matching blobs one after the other, no delimiters, "description" included.

        As in the reference system a blob that doesn't fit into `max_context_size` bytes ends its batch of `batch_size`
        blobs, and later batches may still add smaller ones. `max_results` 0 = all. Collective at the first call.
        """
        store = self._open().reading()
        if store is None:
            return []
        found = store.blobs(tag_re, blob_re, max_results)
        sizes = [store.size(tag, blob) for tag, blob in found]
        chosen = fitting(sizes, max_context_size, batch_size)
        packed = b"".join(store.get(*found[number]) for number in chosen)
        return [packed] if packed else []

    def context_splice(self, new_tag, tag_re, blob_re):
        """Copy the matching blobs into `new_tag`, in one step. 0, or an exit code as `context_bundle`. Collective.

        Blobs keep their names when they come from one tag, else they are called ``tag/blob``.
        """
        return self._code(lambda: self._splice(new_tag, tag_re, blob_re))

    def context_destroy(self, tags):
        """Remove contexts, an HDF5 one with its datasets. 0, or 1 when one isn't there (the others go). Collective."""
        return 1 if self._code(lambda: self._destroy(list(tags))) else 0

    def close(self):
        """Give the store back; the last interface of a process that does so closes it. Idempotent. Collective."""
        shared, self._shared = self._shared, None
        if shared is not None:
            give_back(shared)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _open(self):
        if self._shared is None:
            self._shared = borrow(self._folder)
        return self._shared

    def _code(self, work):
        """Run `work`; the reference's calls answer with a number, so an error becomes one, and one line for people."""
        self.last_error = None
        try:
            work()
        except WrpError as error:
            self.last_error = error
            if self._shared is None or self._shared.ranks.rank == 0:
                print(f"wrp: {error}", file=sys.stderr, flush=True)
            return error.exit_code
        return 0

    def _bundle(self, bundle):
        from wrp.cae import ingest, omni

        transfers = tuple(_transfer(number, ctx) for number, ctx in enumerate(bundle, start=1))
        omni.check(transfers, "context_bundle")
        shared = self._open()
        ingest.run(omni.Job(transfers), shared.writing(make=True), shared.ranks)

    def _splice(self, new_tag, tag_re, blob_re):
        shared = self._open()
        store, ranks = shared.writing(), shared.ranks
        with ranks.agreed("look for the blobs to splice"):
            rows = explore.query(store, tag_re, blob_re)
        one = len({row.tag for row in rows}) == 1
        with store.batch(f"splice {new_tag}") as batch:
            batch.replace(new_tag)
            for row in rows[ranks.rank::ranks.size]:
                name = row.blob if one else f"{row.tag}/{row.blob}"
                with batch.writing(new_tag, name, row.size) as view:
                    store.get(row.tag, row.blob, out=view)
                ranks.tick()

    def _destroy(self, tags):
        shared = self._open()
        missing = explore.destroy(shared.writing(), tags, shared.ranks, missing_ok=True)
        if missing:
            raise NoSuchTag(f"no tag {missing[0]!r} in the store: it can't be destroyed")


def fitting(sizes, max_nbytes, batch_size):
    """Numbers of the blobs that go into a context of `max_nbytes`, by the reference's rule (see `context_retrieve`)."""
    chosen, used = [], 0
    for start in range(0, len(sizes), max(1, batch_size)):
        for number in range(start, min(start + max(1, batch_size), len(sizes))):
            if used + sizes[number] > max_nbytes:
                break
            if sizes[number]:
                chosen.append(number)
                used += sizes[number]
    return chosen



def _transfer(number, ctx):
    """The transfer of a job file that says the same as an AssimilationCtx."""
    from wrp.cae.omni import Transfer

    for name, kind in _FIELDS.items():
        value = getattr(ctx, name, None)
        if not isinstance(value, kind) or isinstance(value, bool) or kind is int and value < 0:
            wanted = "a string" if kind is str else "an integer of 0 or more"
            raise UsageError(f"context_bundle: {name} of item {number} must be {wanted}, not {value!r}")
    return Transfer(number=number, **{name: getattr(ctx, name) for name in _FIELDS})
