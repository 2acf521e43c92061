"""Calls that are answered later: a few threads make them, a bounded number is under way, errors are kept until somebody asks."""

import asyncio
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait

from wrp.cte.client.codes import code_of
from wrp.cte.client.waiting import Waits
from wrp.errors import UsageError, WaitTimeout, WrpError

THREADS, DEPTH = 2, 64


class Future:
    """One call, or one batch of them, that was handed over."""

    def __init__(self, call, inner, timeout_s):
        self._call, self._inner, self._timeout_s = call, inner, timeout_s

    def wait(self, max_sec=0.0):
        """True when it has ended, within `max_sec` seconds; 0: as long as WRP_TIMEOUT_S says, then WaitTimeout."""
        if not wait([self._inner], max_sec or self._timeout_s).done and not max_sec:
            raise WaitTimeout(f"waited {self._timeout_s:g} s for {self._call}, which a thread of this process is still at")
        return self._inner.done()

    def result(self, timeout_s=None):
        """What the call gave, or its error raised. WaitTimeout after `timeout_s` seconds (default: WRP_TIMEOUT_S)."""
        if timeout_s is None:
            self.wait()
        elif not self.wait(timeout_s or 1e-9):
            raise WaitTimeout(f"waited {timeout_s:g} s for {self._call}, which a thread of this process is still at")
        return self._inner.result()

    def error(self):
        """The error of a call that has ended, or None."""
        try:
            return self._inner.exception() if self._inner.done() else None
        except CancelledError as error:
            return error

    def is_complete(self):
        return self._inner.done()

    def get_return_code(self):
        """The reference's result code, see codes.py. UsageError while the call is under way."""
        if not self._inner.done():
            raise UsageError(f"{self._call} hasn't ended: wait for it first")
        return code_of(self._call, self.error())

    def __await__(self):
        return asyncio.wrap_future(self._inner).__await__()


class Later:
    """The calls of a Client as Futures: ``later.put_blob(...)``. They are made in no promised order; buffers given to them belong to them until the end.

    threads : that make calls; depth : calls under way at most: one more waits for its turn, up to WRP_TIMEOUT_S. `wait_blob` takes none of the threads.
    """

    def __init__(self, client, threads=THREADS, depth=DEPTH):
        if threads < 1 or depth < 1:
            raise UsageError(f"{threads} threads and {depth} calls under way: both must be 1 or more")
        self._client, self._timeout_s, self._depth = client, client.store.ranks.timeout_s, depth
        self._pool = ThreadPoolExecutor(threads, "wrp later")
        self._turns, self._waits = threading.BoundedSemaphore(depth), Waits(client, self._timeout_s)

    def __getattr__(self, name):
        if name.startswith("_") or name in ("close", "deferred", "later", "store"):
            raise AttributeError(name)
        function, submit = getattr(self._client, name), self._waits.submit if name == "wait_blob" else None
        return lambda *args, **named: self._submit(name, function, args, named, submit)

    def call(self, function, *args):
        """A Future of `function(*args)`, which is made as the calls are."""
        return self._submit(function.__name__, function, args, {})

    def batch(self, calls):
        """One Future of many calls [(name, arguments…)]: made one after the other, a list of results; the first error ends it."""
        work = [(getattr(self._client, name), args) for name, *args in calls]
        name = calls[0][0] if calls else "a batch of no calls"
        return self._submit(name, lambda: [function(*args) for function, args in work], (), {})

    def _submit(self, name, function, args, named, submit=None):
        """`submit`: what makes a Future of it in place of the threads."""
        if not self._turns.acquire(timeout=self._timeout_s):
            raise WaitTimeout(f"waited {self._timeout_s:g} s to hand over {name}: {self._depth} calls of this client are under way")
        try:
            inner = self._pool.submit(function, *args, **named) if submit is None else submit(*args, **named)
        except WrpError:                # of a signal's handler
            self._turns.release()
            raise
        except RuntimeError:
            self._turns.release()
            raise UsageError("the client was closed") from None
        inner.add_done_callback(lambda _: self._turns.release())
        return Future(name, inner, self._timeout_s)

    def close(self):
        """Wait for what is under way and end the threads; a `wait_blob` ends at once. Idempotent. WaitTimeout: calls go on, and their threads end later."""
        self._waits.end()
        self._pool.shutdown(wait=False)
        until, taken = time.monotonic() + self._timeout_s, 0
        try:
            while taken < self._depth:          # each call under way has one
                if not self._turns.acquire(timeout=max(0.0, until - time.monotonic())):
                    raise WaitTimeout(f"waited {self._timeout_s:g} s for the end of calls of this client, which threads of this process are still at")
                taken += 1
        finally:
            for _ in range(taken):
                self._turns.release()
        self._waits.join()
        self._pool.shutdown()
