"""The calls of the reference's Client that are answered later, by its names: AsyncPutBlob and so on, and puts that are deferred. Its other calls: facade.py."""

import atexit
import sys
import threading

from wrp.cee.values import BdevType, PoolQuery, UniqueId, bytes_in, found_by_time, found_by_words, plain, telemetry_of
from wrp.comm.sizes import whole
from wrp.cte.client.deferred import BUDGET

_deferring, _lock = [], threading.Lock()        # of this process, at most one: the client, its Deferred


class Future:
    """One call. `shaped` makes the reference's result of what the call gave."""

    def __init__(self, inner, shaped=lambda found: None):
        self._inner, self._shaped = inner, shaped

    def wait(self, max_sec=-1.0):
        """The reference's result code, or None when `max_sec` seconds are over first. 0: only a look; less: as long as WRP_TIMEOUT_S says, then WaitTimeout."""
        if max_sec < 0:
            self._inner.wait()
        elif max_sec:
            self._inner.wait(max_sec)
        return self._inner.get_return_code() if self.done() else None

    def done(self):
        return self._inner.is_complete()

    def result(self, max_sec=-1.0):
        """What the call gave, None where that is only a code; its error is raised. TimeoutError when `max_sec` seconds are over first."""
        return self._shaped(self._inner.result(None if max_sec < 0 else max_sec))

    def __await__(self):
        return self._shaped((yield from self._inner.__await__()))


class Asynchronous:
    """See facade.Client, which says what `_client()` is."""

    def AsyncGetOrCreateTag(self, tag_name, pool_query=PoolQuery.Dynamic()):
        return Future(self._client().later.get_or_create_tag(tag_name), lambda found: UniqueId(*found))

    def AsyncGetBlobSize(self, tag_id, blob_name, pool_query=PoolQuery.Dynamic()):
        return Future(self._client().later.get_blob_size(plain(tag_id), blob_name), _same)

    def AsyncGetContainedBlobs(self, tag_id, pool_query=PoolQuery.Broadcast()):
        return Future(self._client().later.get_contained_blobs(plain(tag_id)), _same)

    def AsyncPutBlob(self, tag_id, blob_name, data, off=0):
        """As Tag.PutBlob. `data` belongs to the call until it has ended."""
        return Future(self._client().later.put_blob(plain(tag_id), blob_name, off, None, bytes_in(data)))

    def AsyncGetBlob(self, tag_id, blob_name, data_size, off=0):
        return Future(self._client().later.get_blob(plain(tag_id), blob_name, off, data_size), _same)

    def AsyncDelBlob(self, tag_id, blob_name):
        return Future(self._client().later.del_blob(plain(tag_id), blob_name))

    def AsyncReorganizeBlob(self, tag_id, blob_name, new_score):
        return Future(self._client().later.reorganize_blob(plain(tag_id), blob_name, new_score))

    def AsyncRegisterTarget(self, target_name, bdev_type, total_size):
        """Collective, so not for jobs of several ranks that do other things meanwhile."""
        return Future(self._client().later.register_target(target_name, "ram" if bdev_type == BdevType.kRam else "file", total_size))

    def AsyncTagQuery(self, tag_regex, max_tags=0, pool_query=PoolQuery.Broadcast()):
        return Future(self._client().later.tag_query(tag_regex, max_tags, pool_query.query), lambda found: found.results)

    def AsyncBlobQuery(self, tag_regex, blob_regex, max_blobs=0, pool_query=PoolQuery.Broadcast()):
        return Future(self._client().later.blob_query(tag_regex, blob_regex, max_blobs, pool_query.query), lambda found: list(zip(found.tag_names, found.blob_names)))

    def AsyncSemanticSearch(self, tag_regex, blob_regex, query_text, k=10, pool_query=PoolQuery.Broadcast()):
        return Future(self._client().later.call(found_by_words, self._client(), tag_regex, blob_regex, query_text, k), _same)

    def AsyncTemporalSearch(self, tag_regex, blob_regex, time_begin=0, time_end=0, max_entries=0, pool_query=PoolQuery.Broadcast()):
        return Future(self._client().later.call(found_by_time, self._client(), tag_regex, blob_regex, time_begin, time_end, max_entries), _same)

    def AsyncPollTelemetryLog(self, minimum_logical_time, pool_query=PoolQuery.Dynamic()):
        return Future(self._client().later.poll_telemetry_log(minimum_logical_time, pool_query.query), telemetry_of)

    # puts that are deferred

    def AsyncPutBlobDefer(self, tag_id, blob_name, data, off=0, max_inflight_bytes=0):
        """0: the bytes are copied, a thread stores them soon. At an offset: they are stored at once, after those that wait. `max_inflight_bytes`: as AwaitPutsUntilSpace before."""
        off, most = whole(off, f"offset of a put into blob {blob_name!r}:"), whole(max_inflight_bytes, "bytes that may wait:", 0)
        if off or most:
            self.AwaitPutsUntilSpace(0 if off else most)
        if off:
            self._client().put_blob(plain(tag_id), blob_name, off, None, bytes_in(data))
        else:
            _deferred(self._client()).put_blob(plain(tag_id), blob_name, bytes_in(data))
        return 0

    def AsyncGetBlobDefer(self, tag_id, blob_name, data_size, off=0):
        """As AsyncGetBlob, of the newest put, stored or not."""
        return Future(self._client().later.call(_deferred(self._client()).get_blob, plain(tag_id), blob_name, off, data_size), _same)

    def AwaitPutsUntilSpace(self, max_inflight_bytes):
        """Wait until at most so many bytes of deferred puts aren't stored (0: all are, or have failed); how many aren't."""
        deferred = _deferred(self._client())
        deferred.await_space(max(0, BUDGET - whole(max_inflight_bytes, "bytes that may wait:", 0)))
        return deferred.nbytes

    def DeferErrorCount(self):
        """Deferred puts that couldn't be stored."""
        return _deferred(self._client()).error_count


def _same(found):
    return found


def _deferred(client):
    """The Deferred of the store that is open; what waits is stored before that is closed at the end of Python."""
    with _lock:
        if not _deferring:
            atexit.register(_end)
        if not _deferring or _deferring[0] is not client:
            _deferring[:] = [client, client.deferred()]
        return _deferring[1]


def _end():
    with _lock:
        deferred = _deferring[1] if _deferring else None        # it may not have begun
    if deferred is None:
        return
    try:
        deferred.close()
    except Exception as error:          # Python would add where it came from
        failed = deferred.errors()
        what = f"{len(failed)} deferred put{'s' * (len(failed) != 1)} could not be stored, the first of blob {failed[0].blob!r} in tag {failed[0].tag!r}" if failed else "not all deferred puts were stored"
        print(f"wrp: {what}: {error}; AwaitPutsUntilSpace(0) and DeferErrorCount() tell in time", file=sys.stderr, flush=True)
