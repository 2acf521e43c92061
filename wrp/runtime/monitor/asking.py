"""Monitoring: asks nodes how they are, over the pool `monitor`. Knows nothing of what they say."""

import struct
import time
import zlib

from wrp.errors import UsageError, WrpError
from wrp.runtime.monitor.query import Query
from wrp.runtime.routing.query import PoolQuery

POOL = MODULE = "monitor"
_ASK, _PART, _PART_NBYTES, _NOBODY = 10, 11, 32, -1         # as in `point`, which a process that asks needn't import
_AT_ONCE = 64                   # parts under way


class Monitoring:
    """`pool`: the pool of the module `monitor`."""

    def __init__(self, pool):
        self._pool = pool

    def ask(self, query, pool_query="local", timeout_s=None):
        """{container: msgpack bytes}. See `start`; raises WrpError when a container can't say."""
        return self.start(query, pool_query).wait(timeout_s)

    def start(self, query, pool_query="local"):
        """Ask, without waiting: an Asked. `pool_query`: which nodes; of a query about a pool its own selector says which containers.

        Raises UsageError for a query that there isn't.
        """
        asked, node = Query.parse(query), self._pool._node
        places = {}                     # what answers which container: (node, shard)
        if asked.pool is None:
            first, count = PoolQuery.parse(pool_query).resolved(self._pool.containers, node.number, node.count)
            places = {number: (number, 0) for number in range(first, first + count)}
        else:
            slot = node.table.find_id(asked.pool)
            if slot is None:
                raise UsageError(f"there is no pool {asked.pool[0]}.{asked.pool[1]}: {query!r} asks for it")
            first, count = PoolQuery.parse(asked.selector).resolved(slot.containers, node.number, node.count)
            places = {number: slot.containers.place(number) for number in range(first, first + count)}
        major, minor = asked.pool or (0, 0)
        return Asked(self._pool, {container: (at, self._pool.submit(_ASK, asked.kind, asked.number, major, minor, shard, query=PoolQuery.direct_id(at)))
                                  for container, (at, shard) in places.items()})


class Asked:
    """Answers that are on their way. `code`, after a wait: the first return code that isn't 0, of the containers that couldn't say."""

    def __init__(self, pool, futures):
        self._pool, self._futures, self._found = pool, futures, None
        self.code = 0

    @property
    def is_complete(self):
        """True when every container has answered; what it said is fetched by the wait."""
        return self._found is not None or all(future.is_done for _, future in self._futures.values())

    def wait(self, timeout_s=None):
        """{container: msgpack bytes}. Raises WaitTimeout at the deadline, WrpError when a container can't say; see `gather`."""
        found = self.gather(timeout_s)
        if self.code:
            silent = sorted(set(self._futures) - set(found))
            raise WrpError(f"containers {', '.join(map(str, silent))} can't say how they are (code {self.code}): see whether their nodes answer, and "
                           "the messages of their workers")
        return found

    def gather(self, timeout_s=None):
        """{container: msgpack bytes} of those that could say; `code` is that of another one. Raises WaitTimeout at the deadline."""
        if self._found is None:
            until = time.monotonic() + (self._pool._node.timeout_s if timeout_s is None else timeout_s)
            found = {container: self._fetched(at, future, until) for container, (at, future) in self._futures.items()}
            self._found = {container: answer for container, answer in found.items() if answer is not None}
        return self._found

    def _fetched(self, at, future, until):
        reply = future.wait(max(0.0, until - time.monotonic()))
        if reply.code or reply.values[0] == _NOBODY:
            self.code = self.code or reply.code or 1
            return None
        number, nbytes = reply.values[:2]
        way, words = self._pool.towards(PoolQuery.direct_id(at)), []
        for first in range(0, nbytes, _AT_ONCE * _PART_NBYTES):
            rows = [(number, place) for place in range(first, min(nbytes, first + _AT_ONCE * _PART_NBYTES), _PART_NBYTES)]
            for part in way.submit_many(_PART, rows).wait(max(0.0, until - time.monotonic())):
                self.code = self.code or part.code
                words.append(struct.pack("<4q", *part.values))
            if self.code:
                return None
        return zlib.decompress(b"".join(words)[:nbytes])
