"""Deferred puts: taken at once, stored soon by a thread, many in one call. What was put is read from here before it is stored; errors are kept until somebody asks."""

import threading
from collections import OrderedDict
from contextlib import suppress
from typing import NamedTuple

from wrp.comm.sizes import whole
from wrp.cte.background import Background
from wrp.cte.calls.reading import place_of
from wrp.cte.given import bytes_of, score_of
from wrp.cte.names import checked
from wrp.errors import OutOfSpace, RangeError, UsageError, WaitTimeout, WrpError

BUDGET, MOST = 64 << 20, 64     # bytes that may wait; puts in one call
_NAP_S = 0.05


class Failed(NamedTuple):
    """A put that couldn't be stored: the blob is as it was."""

    tag: str
    blob: str
    error: Exception


class Deferred:
    """Whole blobs of one Client, from any thread. A context manager: its end waits for all puts, and raises the first error.

    budget : bytes that may wait; a put beyond that waits for room. `error_count`: puts that failed since `errors` was called last
    """

    def __init__(self, client, budget=BUDGET):
        budget = whole(budget, "a budget of bytes:", 1)
        self._client, self._budget, self._timeout_s = client, budget, client.store.ranks.timeout_s
        self._changed = threading.Condition()
        self._waiting, self._under_way = OrderedDict(), {}      # (tag, blob): (bytes, score)
        self._failed, self._nbytes = [], 0
        self._thread = Background("wrp-deferred")
        self._thread.start(self._run)

    def put_blob(self, tag_id, blob_name, data, score=1.0):
        """Take a whole blob: its bytes are copied. A put of the same name that still waits is replaced. UsageError, NoSuchTag as of a put; WaitTimeout without room."""
        tag, data = self._name(tag_id), bytes(bytes_of(data))
        self._client.store.tag_stamp(tag)
        score = score_of(score, f"blob {checked('blob', blob_name)!r}")
        if len(data) > self._budget:
            raise OutOfSpace(f"blob {blob_name!r} of {len(data)} bytes is more than the {self._budget} that may wait: put it with Client.put_blob")
        key = tag, blob_name
        with self._changed:
            self._await_held(lambda: self._nbytes - len(self._waiting.get(key, (b"",))[0]) + len(data) <= self._budget, "room for a put")
            before = self._waiting.pop(key, None)
            self._nbytes += len(data) - (len(before[0]) if before is not None else 0)
            self._waiting[key] = data, score
            self._changed.notify_all()

    def get_blob(self, tag_id, blob_name, offset=0, size=None):
        """Bytes of a blob, as Client.get_blob: of the newest put, stored or not."""
        tag = self._name(tag_id)
        offset, size = place_of(checked("blob", blob_name), offset, size)
        with self._changed:
            found = self._waiting.get((tag, blob_name)) or self._under_way.get((tag, blob_name))
        if found is None:
            return self._client.get_blob(tag, blob_name, offset, size)
        end = len(found[0]) if size is None else offset + size
        if offset < 0 or end < offset or end > len(found[0]):
            raise RangeError(f"bytes {offset} to {end} lie beyond blob {blob_name!r} of tag {tag!r}, which has {len(found[0])} bytes")
        return found[0][offset:end]

    def await_space(self, nbytes):
        """Wait until a put of so many bytes would be taken at once. WaitTimeout; OutOfSpace for more than may ever wait."""
        if (nbytes := whole(nbytes, "bytes to wait for:", 0)) > self._budget:
            raise OutOfSpace(f"room for {nbytes} bytes is more than the {self._budget} that may wait")
        with self._changed:
            self._await_held(lambda: self._nbytes + nbytes <= self._budget, f"room for {nbytes} bytes")

    def await_puts(self):
        """Wait until all puts are stored, or have failed: raises the first error, which stays until `errors` is called. WaitTimeout."""
        with self._changed:
            self._await_held(lambda: not self._waiting and not self._under_way, "all puts")
            if self._failed:
                raise self._failed[0].error

    @property
    def nbytes(self):
        """Bytes of the puts that are not stored yet."""
        return self._nbytes

    @property
    def error_count(self):
        return len(self._failed)

    def errors(self):
        """[Failed] since the last time."""
        with self._changed:
            failed, self._failed = self._failed, []
        return failed

    def close(self):
        """Wait for all puts and end the thread; raises the first error. Idempotent. WaitTimeout: what is under way may be stored yet, nothing else is."""
        if self._thread.is_stopped:
            return
        try:
            self.await_puts()
        except BaseException as error:
            with suppress(WaitTimeout):         # this one says more; what takes longer than that already isn't waited for again
                self._thread.stop(0 if isinstance(error, WaitTimeout) else self._timeout_s)
            raise
        self._thread.stop(self._timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        with suppress(*() if kind is None else (Exception,)):       # the block's own error is to be told
            self.close()

    def _name(self, tag_id):
        return self._client.get_tag_name(tag_id) if not isinstance(tag_id, str) else tag_id

    def _await_held(self, condition, what):
        if self._thread.is_stopped:
            raise UsageError("these deferred puts were closed")
        if not self._changed.wait_for(condition, self._timeout_s):
            raise WaitTimeout(f"waited {self._timeout_s:g} s for {what}: {len(self._waiting) + len(self._under_way)} puts of this process aren't stored yet")

    def _run(self):
        while not self._thread.is_stopped:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting, _NAP_S)
                self._under_way = self._next_held()
            if self._under_way:
                failed = self._store(self._under_way)
                with self._changed:
                    self._nbytes -= sum(len(data) for data, _ in self._under_way.values())
                    self._failed += failed
                    self._under_way = {}
                    self._changed.notify_all()

    def _next_held(self):
        """The oldest puts of one tag and score."""
        taken = {}
        for key, (data, score) in self._waiting.items():
            first = next(iter(taken.items()), (key, (data, score)))
            if (key[0], score) == (first[0][0], first[1][1]):
                taken[key] = data, score
            if len(taken) == MOST:
                break
        for key in taken:
            del self._waiting[key]
        return taken

    def _store(self, puts):
        """Put them, at once where that works; [Failed]."""
        (tag, _), (_, score) = next(iter(puts.items()))
        store, failed = self._client.store, []
        try:
            store.put_many(tag, [blob for _, blob in puts], [data for data, _ in puts.values()], score)
        except Exception:
            # which ones can't be stored is found one by one
            for (_, blob), (data, _) in puts.items():
                try:
                    if not self._is_stored(tag, blob, data, score):
                        store.put(tag, blob, data, score=score)
                except Exception as error:
                    failed.append(Failed(tag, blob, error))
        return failed

    def _is_stored(self, tag, blob, data, score):
        """True when the blob is this one: a put of it again may need room twice."""
        store = self._client.store
        try:
            return store.size(tag, blob) == len(data) and store.score(tag, blob) == score and store.get(tag, blob) == data
        except WrpError:
            return False
