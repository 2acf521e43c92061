"""What stands in place of a container while it leaves and after it has left: tasks for it wait, or go after it. Used by one loop's thread alone."""

import time
from typing import NamedTuple

from wrp.runtime.migrating.codes import Coded
from wrp.runtime.pool import Pool
from wrp.runtime.routing.address import pack
from wrp.runtime.waiting.locks import CoRwLock


class Made(NamedTuple):
    """How a container was made: its Pool, its number in it, and the parameters of its class."""

    pool: Pool
    number: int
    params: dict


class Plugged:
    """A container that is about to leave. `lock` is held until it is known where it is; `held`: records of the tasks that wait for that."""

    def __init__(self, container):
        self.container, self.lock, self.held = container, CoRwLock(), set()

    async def serve(self, loop, offset, words):
        """A task that comes meanwhile runs afterwards, here or there."""
        self.held.add(offset)
        async with self.lock.shared():
            pass
        return await loop.served(offset, words)

    def close(self):
        getattr(self.container, "close", lambda: None)()


class Gone:
    """A container that has left. `made`: its Made."""

    def __init__(self, made):
        self._made = made

    async def serve(self, loop, offset, words):
        """A task that met the old route goes after it."""
        method, args, due = loop.task_of(words)
        left_s = max(1e-9, (due - time.monotonic_ns()) / 1e9) if due else None
        loop.elsewhere.add(offset)
        try:
            future = await far(self._made.pool, self._made.number).submit_async(method, *args, deadline_s=left_s)
            reply = await future
        finally:
            loop.elsewhere.discard(offset)
        return Coded(reply.code, reply.values)


def far(pool, number):
    """The pool towards one container, by the postman also where it was made on this node."""
    return pool._turned(pack(pool._slot.number, number, 1), pool._node.layout.joining, None)
