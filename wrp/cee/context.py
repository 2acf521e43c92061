"""The Python interface that users of the reference system know: AssimilationCtx and ContextInterface."""

import operator
import sys
from contextlib import contextmanager
from dataclasses import dataclass, fields

from wrp.cee import explore
from wrp.cee.opening import borrow, give_back, no_store
from wrp.comm.ranks import speaks, watch
from wrp.cte.names import matcher
from wrp.errors import NoSuchTag, UsageError, WrpError

DEFAULT_MAX_RESULTS = 1024
DEFAULT_MAX_CONTEXT_SIZE = 256 << 20


@dataclass(repr=False)
class AssimilationCtx:
    """One source to take in: the fields of a transfer in a job file. `range_off` counts only with `range_size` > 0, `src_data` for string:: sources."""

    src: str = ""
    dst: str = ""
    format: str = ""
    depends_on: str = ""
    range_off: int = 0
    range_size: int = 0
    src_token: str = ""
    dst_token: str = ""
    src_data: str | bytes = ""
    s3_region: str = ""
    s3_profile: str = ""

    def __repr__(self):
        return f"<AssimilationCtx src='{self.src}' dst='{self.dst}' format='{self.format}'>"


_FIELDS = {field.name: field.type for field in fields(AssimilationCtx)}
_WANTED = {str: "a string", int: "an integer of 0 or more"}


class ContextInterface:
    """Take in, ask for, get and destroy contexts of one store.

    The store is the folder `store`, else the one named by WRP_STORE, else that of a daemon, else ``wrp-store`` in the current folder. It
    is opened at the first call, for reading only until a call has to write, and closed by `close`, at the end of a
    ``with`` block, or when Python ends. Runs in one plain process; under mpirun every rank makes each call and gets the same answer.
    """

    def __init__(self, store=None):
        self._folder = store
        self._shared = None
        self.last_error = None
        watch()

    def context_bundle(self, bundle):
        """Take in a list of AssimilationCtx. 0, or the error's exit code: ``last_error`` has the error. Collective."""
        return self._code(lambda: self._bundle(_listed("context_bundle", bundle, "AssimilationCtx")))

    def context_query(self, tag_re, blob_re, max_results=0, prompt="", time_begin=0, time_end=0):
        """Names of the blobs whose tag and name match as a whole, natural order; 0 = all. Collective at the first call.

        time_begin, time_end : only those changed last from the one to the other (ns since 1970, 0 = no bound), the oldest first
        prompt : without times: those that have words of it, the best first, 10 where max_results is 0
        Raises UsageError for wrong arguments. Where there is no store the answer is [], and ``last_error`` says so.
        """
        with self._remembered():
            _check("context_query", (tag_re, blob_re), prompt, max_results=max_results, time_begin=time_begin, time_end=time_end)
            store = self._reading()
            return [blob for _, blob in explore.find(store, tag_re, blob_re, prompt, (time_begin, time_end), max_results)] if store else []

    def context_retrieve(self, tag_re, blob_re, max_results=DEFAULT_MAX_RESULTS,
                         max_context_size=DEFAULT_MAX_CONTEXT_SIZE, batch_size=32, prompt="", time_begin=0, time_end=0):
        """A list with at most one `bytes`: the matching blobs one after the other, no delimiters, "description" included.

        As in the reference system a blob that doesn't fit into `max_context_size` bytes ends its batch of `batch_size`
        blobs, and later batches may still add smaller ones. `max_results` 0 = all. When blobs that match are left out,
        ``last_error`` says so, and one line on standard error. Otherwise, and in what prompt and times mean, as `context_query`.
        """
        with self._remembered():
            limits = dict(max_results=max_results, max_context_size=max_context_size, batch_size=batch_size)
            _check("context_retrieve", (tag_re, blob_re), prompt, **limits, time_begin=time_begin, time_end=time_end)
            store = self._reading()
            wanted = max_results if prompt else 0       # of the others all are counted, to tell how many are left out
            matching = explore.find(store, tag_re, blob_re, prompt, (time_begin, time_end), wanted) if store else []
            found = matching[:max_results] if max_results else matching
            sizes = [store.size(tag, blob) for tag, blob in found]
            chosen = fitting(sizes, max_context_size, batch_size)
            fit = len(chosen) + sizes.count(0)          # those of no bytes always do
            if fit < len(matching):
                self._left_out(fit, len(matching), "max_context_size" if fit < len(found) else "max_results", limits)
            packed = b"".join(store.get(*found[number]) for number in chosen)
            return [packed] if packed else []

    def context_splice(self, new_ctx, tag_re, blob_re):
        """Copy the matching blobs into `new_ctx`, in one step. 0, or an exit code as `context_bundle`. Collective.

        Blobs keep their names when they come from one tag, else they are called ``tag/blob``. UsageError when two would have
        one name, or `new_ctx` belongs to an HDF5 context, which could not be exported any more.
        """
        return self._code(lambda: self._splice(new_ctx, tag_re, blob_re))

    def context_destroy(self, context_names):
        """Remove contexts, an HDF5 one with its datasets. 0, or 1 when one isn't there (the others go). Collective."""
        return 1 if self._code(lambda: self._destroy(_listed("context_destroy", context_names, "tags"))) else 0

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

    def _reading(self):
        """The store opened for reading; None, and the error remembered, where there is none."""
        shared = self._open()
        store = shared.reading()
        if store is None:
            self.last_error = no_store(shared.path)
        return store

    @contextmanager
    def _remembered(self):
        """``last_error`` belongs to the call that the block is."""
        self.last_error = None
        try:
            yield
        except WrpError as error:
            self.last_error = error
            raise

    def _code(self, work):
        """Run `work`; the reference's calls answer with a number, so an error becomes one, and one line for people."""
        try:
            with self._remembered():
                work()
        except WrpError as error:
            self._print(error)
            return error.exit_code
        return 0

    def _left_out(self, fit, matched, name, limits):
        self.last_error = WrpError(f"{fit} of {matched} blobs fit into {name}={limits[name]}: raise it, or use wrp_cee retrieve")
        self._print(self.last_error)

    def _print(self, error):
        if speaks():
            print(f"wrp: {error}", file=sys.stderr, flush=True)

    def _bundle(self, bundle):
        from wrp.cae import ingest, omni

        if not bundle:
            return
        transfers = tuple(_transfer(number, ctx) for number, ctx in enumerate(bundle, start=1))
        omni.check(transfers, "context_bundle")
        shared = self._open()
        ingest.run(omni.Job(transfers), shared.writing(make=True), shared.ranks)

    def _splice(self, new_tag, tag_re, blob_re):
        _check("context_splice", (tag_re, blob_re))
        shared = self._open()
        store, ranks = shared.writing(), shared.ranks
        with ranks.agreed("look for the blobs to splice"):
            _check_free(store, new_tag)
            named = _named(explore.query(store, tag_re, blob_re))
        with store.batch(f"splice {new_tag}") as batch:
            batch.replace(new_tag)
            for name, row in named[ranks.rank::ranks.size]:
                with batch.writing(new_tag, name, row.size) as view:
                    store.get(row.tag, row.blob, out=view)
                ranks.tick()

    def _destroy(self, tags):
        shared = self._open()
        missing = explore.destroy(shared.writing(), tags, shared.ranks, missing_ok=True)
        if missing:
            raise NoSuchTag(f"no tag {missing[0]!r} in the store: it can't be destroyed")


def _check_free(store, tag):
    """UsageError when the tag is an HDF5 context, or one dataset of it."""
    context = tag if store.exists(tag, explore.LAYOUT) else explore.context_of(store, tag)
    if context:
        raise UsageError(f"context_splice: {tag!r} belongs to the HDF5 context {context!r}: choose another tag, or destroy that context first")


def _named(rows):
    """[(name in a tag made of all of them, BlobRow)]."""
    one = len({row.tag for row in rows}) == 1
    named = {}
    for row in rows:
        name = row.blob if one else f"{row.tag}/{row.blob}"
        if name in named:
            raise UsageError(f"context_splice: {row.blob!r} of {row.tag!r} and {named[name].blob!r} of {named[name].tag!r} would both be called {name!r}")
        named[name] = row
    return list(named.items())


def _listed(call, items, what):
    """The items as a list; UsageError for what is none."""
    if isinstance(items, (str, bytes)) or not hasattr(items, "__iter__"):
        raise UsageError(f"{call} wants a list of {what}, not {items!r}")
    return list(items)


def _check(call, patterns, prompt="", **numbers):
    """UsageError unless the patterns are regular expressions, the prompt text, and the numbers integers of 0 or more."""
    if not isinstance(prompt, str):
        raise UsageError(f"{call}: prompt must be text, not {prompt!r}")
    for pattern in patterns:
        try:
            matcher("its", pattern)
        except UsageError as error:
            raise UsageError(f"{call}: {error}") from error
    for name, value in numbers.items():
        try:
            wrong = isinstance(value, bool) or operator.index(value) < 0
        except TypeError:
            wrong = True
        if wrong:
            raise UsageError(f"{call}: {name} must be an integer of 0 or more, not {value!r}")


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
    from wrp.cae import inline
    from wrp.cae.omni import Transfer

    for name, kind in _FIELDS.items():
        value = getattr(ctx, name, None)
        if not isinstance(value, kind) or isinstance(value, bool) or kind is int and value < 0:
            wanted = _WANTED.get(kind, "text or bytes")
            raise UsageError(f"context_bundle: {name} of item {number} must be {wanted}, not {value!r}")
    return Transfer(number=number, **{**{name: getattr(ctx, name) for name in _FIELDS}, "src_data": inline.bytes_of(ctx.src_data)})
