"""Threads that make blocking calls for coroutines. One that doesn't come back keeps no process from ending, as those of concurrent.futures would."""

import threading
import time
from concurrent.futures import Future
from queue import SimpleQueue


class Threads:
    """Up to `most` of them, begun as they are needed. Any thread. name : as debuggers show it; see `wrp.comm.inside`"""

    def __init__(self, most, name):
        self._most, self._name, self._works = most, name, SimpleQueue()
        self._threads, self._idle, self._lock = [], threading.Semaphore(0), threading.Lock()

    def submit(self, function, *args):
        """A Future of what the function gives, or raises. RuntimeError where there is no thread, and none can be begun."""
        found = Future()
        with self._lock:
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
                self._begin()
            self._works.put((found, function, args))
        return found

    def _begin(self):
        thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:            # this user may have no more: those that there are do it
            if not self._threads:
                raise
            return
        self._threads.append(thread)

    def _run(self):
        for found, function, args in iter(self._works.get, None):
            try:
                found.set_result(function(*args))
            except BaseException as error:
                found.set_exception(error)
            del found, function, args       # whoever looks at the variables of threads finds nothing of the call
            self._idle.release()

    def end(self, timeout_s=None):
        """They end after what was submitted: True when all have within the time (None: as long as it takes). Idempotent.

        Whoever calls this submits nothing from now on.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        for _ in self._threads:
            self._works.put(None)
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)
