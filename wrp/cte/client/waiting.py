"""Waits for blobs that are answered later: each has a thread of its own, since a call that waits may keep none from being made. They end with the client, and with Python."""

import threading
import time
from concurrent.futures import Future as Inner

from wrp.cte.given import real
from wrp.errors import RuntimeGone, UsageError, WaitTimeout

_SLICE_S = 0.2                  # after which a wait looks whether the client is still there


class Waits:
    """Of one client; timeout_s : of a wait that doesn't say one."""

    def __init__(self, client, timeout_s):
        self._client, self._timeout_s = client, timeout_s
        self._closing, self._threads = threading.Event(), set()

    def submit(self, *args, **named):
        """A concurrent.futures.Future of Client.wait_blob. RuntimeError once it was closed, as of a pool of threads."""
        if self._closing.is_set():
            raise RuntimeError("closed")
        inner = Inner()
        thread = threading.Thread(target=self._answer, args=(inner, args, named), name="wrp later wait", daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except BaseException:           # this user may have no more, or a handler's of a signal: `join` doesn't wait for it
            self._threads.discard(thread)
            raise
        return inner

    def _answer(self, inner, args, named):
        try:
            if inner.set_running_or_notify_cancel():
                try:
                    inner.set_result(self._waited(*args, **named))
                except BaseException as error:
                    inner.set_exception(error)
        finally:
            self._threads.discard(threading.current_thread())

    def _waited(self, tag_id, blob_name, timeout_s=None):
        timeout_s = self._timeout_s if timeout_s is None else real(timeout_s, "a time-out")
        deadline, left = time.monotonic() + timeout_s, timeout_s
        while left > _SLICE_S:
            try:
                return self._client.wait_blob(tag_id, blob_name, _SLICE_S)
            except RuntimeGone:
                raise
            except WaitTimeout:
                if self._closing.is_set():
                    raise UsageError(f"the client was closed while it waited for blob {blob_name!r:.80}") from None
            left = deadline - time.monotonic()
        try:
            return self._client.wait_blob(tag_id, blob_name, left)
        except RuntimeGone:
            raise
        except WaitTimeout as error:
            raise WaitTimeout(str(error).replace(f"waited {left:g} s", f"waited {timeout_s:g} s", 1)) from None

    def end(self):
        """Those that wait end with UsageError. Idempotent."""
        self._closing.set()

    def join(self):
        """Their threads have ended when it returns, or go on after the time-out."""
        for thread in list(self._threads):
            thread.join(self._timeout_s)
