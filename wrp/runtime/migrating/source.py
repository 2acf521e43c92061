"""Leaving: how the worker of a container brings it to another node. The old place serves until the new one has taken over.

The container is plugged: its tasks end, new ones wait. Its bytes go to the other node, which makes a container of them that nobody
reaches yet. COMMIT is the point of no return: whether the other node has heard it must be known before a task runs anywhere, so it is
asked again and again while that node is silent. Then this node, and one after the other all others, learn the route; tasks that meet the
old one go after the container.
"""

import contextlib
import logging
import time

import numpy as np

from wrp.comm.digests import crc32_of
from wrp.errors import WaitTimeout, WrpError
from wrp.runtime import tasks
from wrp.runtime.future import NET_TIMEOUT
from wrp.runtime.migrating.codes import (ABORT, BEGIN, BROKEN, BUSY, COMMIT, LOAD, NO_ROOM, NO_SUCH_NODE, NOT_MOVABLE, PERIODIC, PIECE, ROUTE, SAVE_FAILED,
                                         Coded)
from wrp.runtime.migrating.places import Gone, Plugged, far
from wrp.runtime.waiting.coroutines import Cancelled, in_thread, sleep

_LOOK_S, _AGAIN_S = 0.001, 0.1
_UNKNOWN = (NET_TIMEOUT, tasks.CANCELLED, tasks.DEADLINE)       # codes that don't say whether it was heard
_log = logging.getLogger("wrp.runtime")


class Leaving:
    """One container's way to node `to`. `loop`: its worker's; `window`: the RemoteWindow."""

    def __init__(self, loop, window, slot, to):
        self._loop, self._window, self._slot, self._to = loop, window, slot, to
        self._made = loop.made[slot]
        self._pool, self._node = self._made.pool, self._made.pool._node

    async def run(self, own, drain_s):
        """A Coded: 0 when the container is there. `own`: the record of the task that asks."""
        containers, homes = self._loop.containers, self._pool.containers
        container = containers[self._slot]
        if self._to == self._node.number:
            return Coded(0)
        if not homes.first_node <= self._to < homes.first_node + homes.nodes:
            return Coded(NO_SUCH_NODE)
        if not (hasattr(container, "save") and hasattr(container, "load")):
            return Coded(NOT_MOVABLE)
        plugged = containers[self._slot] = Plugged(container)
        async with plugged.lock.exclusive():
            code = None
            try:
                code = await self._moved(plugged, own, drain_s)
            finally:
                containers[self._slot] = Gone(self._made) if code == 0 else container
        if code == 0:
            plugged.close()
            await self._tell_others()
        return Coded(code)

    async def _moved(self, plugged, own, drain_s):
        """Return code; with one that isn't 0 nothing has happened."""
        try:
            code = await self._drained(plugged, own, drain_s)
            if code:
                return code
            state = _bytes_of(plugged.container.save())
        except (Cancelled, GeneratorExit):
            raise
        except BaseException:
            _log.exception("container %d of pool %r can't be saved", self._made.number, self._pool.name)
            return SAVE_FAILED
        try:
            self._version = self._node.table.expect_move(self._pool._slot.number, self._made.number, (self._node.number, self._slot))
        except WrpError as error:
            _log.warning("container %d of pool %r stays: %s", self._made.number, self._pool.name, error)
            return NO_ROOM
        code, (offset, room, ticket) = await self._ask(BEGIN, self._made.number, len(state), self._version)
        if code:
            return BROKEN if code in _UNKNOWN else code
        try:
            code = await self._sent(state, offset, room, ticket) or (await self._ask(LOAD, ticket))[0]
        except Exception:
            await self._ask(ABORT, ticket)
            raise
        if code:
            await self._ask(ABORT, ticket)
            return BROKEN if code in _UNKNOWN else code
        return await self._committed(ticket)

    async def _drained(self, plugged, own, drain_s):
        """Wait until no task of the container runs: 0, BUSY or PERIODIC."""
        until = time.monotonic() + drain_s
        while running := [offset for offset in self._loop.under_way(self._slot) if offset != own and offset not in plugged.held]:
            if any(self._loop.is_periodic(offset) for offset in running):
                return PERIODIC
            if time.monotonic() >= until:
                return BUSY
            await sleep(_LOOK_S)
        return 0

    async def _sent(self, state, offset, room, ticket):
        """Bring the bytes over: a return code."""
        try:
            for start in range(0, len(state), room):
                piece = np.frombuffer(state, np.uint8, min(room, len(state) - start), start)
                await in_thread(self._window.put, self._to, offset, piece)
                code, _ = await self._ask(PIECE, ticket, start, len(piece), crc32_of(piece))
                if code:
                    return code
        except WaitTimeout as error:
            _log.warning("container %d of pool %r stays: %s", self._made.number, self._pool.name, error)
            return BROKEN
        return 0

    async def _committed(self, ticket):
        """Have the other node take over: 0, or a code when it certainly hasn't."""
        code = None
        while code is None or code in _UNKNOWN:
            try:
                if code is not None:
                    await sleep(_AGAIN_S)
                code, _ = await self._ask(COMMIT, ticket, self._made.number)
            except Cancelled:               # now it has to be known
                code = None
            except WrpError:                # no room for the question
                code = NET_TIMEOUT
        if code:
            await self._ask(ABORT, ticket)
            return BROKEN
        while True:
            try:
                self._node.table.set_moved(self._pool._slot.number, self._made.number, (self._to, 0), self._version)
                return 0
            except WrpError:                # somebody has the table for long: without the route nobody may be let through
                _log.warning("container %d of pool %r has moved, and its node can't note it yet", self._made.number, self._pool.name)

    async def _tell_others(self):
        """Who doesn't hear of it goes on asking here, and its tasks go after the container: whatever ends this, the container has moved."""
        homes = self._pool.containers
        with contextlib.suppress(Cancelled, WrpError):
            for node in range(homes.first_node, homes.first_node + homes.nodes):
                if node not in (self._node.number, self._to):
                    way = far(self._pool, homes.first_on(node))
                    await (await way.submit_async(ROUTE, self._made.number, self._to, self._version))

    async def _ask(self, method, *args):
        """(return code, first three results) of the worker that will have the container."""
        homes, number = self._pool.containers, self._made.number
        home, shard = homes.place(number)
        at = homes.first_on(self._to) + (shard if home == self._to else 0)      # where it was made its slot, and so its worker, is given
        reply = await (await far(self._pool, at).submit_async(method, *args))
        return reply.code, reply.values[:3]


def _bytes_of(state):
    """What `save` gave as bytes: bytes-like, or an array. Raises TypeError."""
    return memoryview(np.ascontiguousarray(state) if isinstance(state, np.ndarray) else state).tobytes()
