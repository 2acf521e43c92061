"""Group: tasks that are waited for, or cancelled, together."""

import time

from wrp.errors import WaitTimeout


class Group:
    """Tasks of one pool or of several. As a ``with`` block it waits at the end, or cancels what is left after an error."""

    def __init__(self, pool):
        self._pool, self._futures, self.replies = pool, [], []

    def submit(self, method, *args, pool=None, **options):
        """As `Pool.submit`, of the group's pool or another one: the Future."""
        future = (pool or self._pool).submit(method, *args, **options)
        self._futures.append(future)
        return future

    def submit_many(self, method, rows, pool=None):
        """As `Pool.submit_many`."""
        futures = (pool or self._pool).submit_many(method, rows)
        self._futures += futures
        return futures

    def wait(self, timeout_s=None):
        """The Replies of all tasks, in the order of submission. Raises WaitTimeout, and cancels what is left, at the deadline."""
        timeout_s = self._pool._node.timeout_s if timeout_s is None else timeout_s
        over_at = time.monotonic() + timeout_s
        try:
            self.replies = [future.wait(max(0.0, over_at - time.monotonic())) for future in self._futures]
        except WaitTimeout:
            self.cancel()
            raise
        return self.replies

    @property
    def code(self):
        """The first return code that isn't 0 of what `wait` gave, else 0."""
        return next((reply.code for reply in self.replies if reply.code), 0)

    def cancel(self):
        """Cancel all tasks that aren't done."""
        for future in self._futures:
            if future.reply is None and future.offset is not None:
                future.cancel()

    def __len__(self):
        return len(self._futures)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None:
            self.wait()
        else:
            self.cancel()
