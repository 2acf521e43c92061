"""Fan: a task for several containers, split among neighbours, its results brought together. Sends nothing itself."""

import logging

import numpy as np

from wrp.runtime.future import NET_TIMEOUT, Reply
from wrp.runtime.postman.joins import FAILED
from wrp.runtime.routing.split import pieces

_log = logging.getLogger("wrp.runtime")


class Fan:
    """Runs the pieces of `work` by `run(work, done)`, then calls `done(code, values)` with what `aggregate` makes of their Replies."""

    def __init__(self, work, done, run, aggregate, neighborhood):
        self._work, self._done, self._aggregate = work, done, aggregate
        parts = pieces(work.first, work.count, neighborhood)
        self._replies, self._left = [None] * len(parts), len(parts)
        self._handles = []
        for number, (first, count) in enumerate(parts):
            self._handles.append(run(work._replace(first=first, count=count), lambda code, values, number=number: self._take(number, code, values)))

    def cancel(self):
        """Cancel all pieces."""
        for handle in self._handles:
            handle.cancel()

    def _take(self, number, code, values):
        self._replies[number] = Reply(code, (*values, 0, 0, 0, 0)[:4])
        self._left -= 1
        if self._left == 0:
            replies = self._replies
            if self._work.skips:            # silent nodes are left out, unless there is nobody else
                replies = [reply for reply in replies if reply.code != NET_TIMEOUT] or replies
            try:
                code, values = self._aggregate(replies)
                code, *values = np.array([code, *values], np.int64).tolist()
            except BaseException:               # sys.exit of a module ends no postman
                _log.exception("%d replies of method %d can't be brought together", len(replies), self._work.method)
                code, values = FAILED, ()
            self._done(code, tuple(values))
