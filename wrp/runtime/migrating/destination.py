"""Arriving: how a worker takes a container in. Until COMMIT nobody reaches it, and what is half here goes when something else comes."""

import logging
import time

from wrp.comm.digests import crc32_of
from wrp.errors import WrpError
from wrp.runtime.migrating.codes import ABORT, BEGIN, BROKEN, COMMIT, LOAD, LOAD_FAILED, NO_ROOM, OCCUPIED, PIECE, ROUTE, Coded
from wrp.runtime.migrating.places import Made

ROOM = 256 << 10                # bytes that come at once
_PATIENCE_S = 60.0              # without a word from the source, before another container may come
_log = logging.getLogger("wrp.runtime")


class Arriving:
    """What one loop takes in, one container at a time. All methods give a Coded; `slot`: of the pool, or shard, that was asked."""

    def __init__(self, loop, node):
        self._loop, self._node = loop, node
        self._now, self._tickets, self._committed = None, 0, {}     # the last: ticket that a container, (pool, number), came with last
        self._methods = {BEGIN: self._begin, PIECE: self._piece, LOAD: self._load, COMMIT: self._commit, ABORT: self._abort, ROUTE: self._route}

    async def serve(self, slot, method, args):
        """Do what another worker asks."""
        return await self._methods[method](slot, *args)

    async def _begin(self, slot, number, nbytes, version):
        if self._now is not None and time.monotonic() < self._now.heard_at + _PATIENCE_S:
            return Coded(OCCUPIED)
        try:
            offset, _ = self._node.segment.place(f"runtime.moving.{self._loop.lane_number}", ROOM)
            self._node.segment.reserve(offset, ROOM)
        except WrpError as error:
            _log.warning("no container can come: %s", error)
            return Coded(NO_ROOM)
        self._tickets += 1
        self._now = _Coming(self._tickets, self._loop.made[slot].pool, number, nbytes, version, offset)
        return Coded(0, (offset, ROOM, self._tickets))

    async def _piece(self, slot, ticket, start, nbytes, checksum):
        now = self._of(ticket)
        if now is None or start != len(now.data) or nbytes > ROOM:
            return Coded(BROKEN)
        piece = bytes(self._node.segment.buffer[now.offset:now.offset + nbytes])
        if crc32_of(piece) != checksum:            # a late put of a source that has given up came into the same room
            return Coded(BROKEN)
        now.data += piece
        return Coded(0)

    async def _load(self, slot, ticket):
        now = self._of(ticket)
        if now is None or len(now.data) != now.nbytes:
            return Coded(BROKEN)
        params = self._loop.made[slot].params
        try:
            now.container = now.pool.module(now.pool.name, **params)
            now.container.load(bytes(now.data))
            getattr(now.container, "started", lambda _: None)(now.pool)
        except BaseException:
            _log.exception("container %d of pool %r can't be loaded", now.number, now.pool.name)
            return Coded(LOAD_FAILED)
        try:
            now.slot = self._slot_for(now)
        except WrpError as error:
            _log.warning("no container can come: %s", error)
            return Coded(NO_ROOM)
        return Coded(0)

    def _slot_for(self, now):
        """The slot that tasks find it in: where it was made its own, else the one it had when it was here before, or a new one."""
        home, shard = now.pool.containers.place(now.number)
        if home == self._node.number:
            return now.pool._slot.number + shard
        before = next((slot for slot, made in self._loop.made.items() if made.number == now.number and made.pool._slot.number == now.pool._slot.number), None)
        return self._node.table.add_guest(now.pool._slot, self._loop.lane_number) if before is None else before

    async def _commit(self, slot, ticket, number):
        which = self._loop.made[slot].pool._slot.number, number
        if ticket <= self._committed.get(which, 0):
            return Coded(0)                 # asked again; meanwhile others may have come, and it may have gone on and come back
        now = self._of(ticket)
        if now is None or now.slot is None:
            return Coded(BROKEN)
        # first what may fail: then nothing has happened, and the source is told so
        self._node.table.set_moved(now.pool._slot.number, now.number, (self._node.number, now.slot), now.version)
        self._loop.made[now.slot] = Made(now.pool, now.number, self._loop.made[slot].params)
        self._loop.containers[now.slot] = now.container
        self._now, self._committed[which] = None, ticket
        return Coded(0)

    async def _abort(self, slot, ticket):
        now, self._now = self._of(ticket), None if self._of(ticket) is not None else self._now
        if now is not None and now.container is not None:
            getattr(now.container, "close", lambda: None)()
        return Coded(0)

    async def _route(self, slot, number, node, version):
        self._node.table.set_moved(self._loop.made[slot].pool._slot.number, number, (node, 0), version)
        return Coded(0)

    def _of(self, ticket):
        """What comes with this ticket, or None."""
        if self._now is None or self._now.ticket != ticket:
            return None
        self._now.heard_at = time.monotonic()
        return self._now


class _Coming:
    """A container on its way. `offset`: where its bytes come to in the segment."""

    def __init__(self, ticket, pool, number, nbytes, version, offset):
        self.ticket, self.pool, self.number, self.nbytes, self.version, self.offset = ticket, pool, number, nbytes, version, offset
        self.data, self.container, self.slot, self.heard_at = bytearray(), None, None, time.monotonic()
