"""Together: calls that all ranks of a daemon make together, on behalf of attached programs, one after the other. What may be asked for is its table's.

The rank that is asked tells the conductor, which is the rank of the pool's first container; the conductor gives every rank a task, and waits for all of them
before the next call. The ranks have the call's words by an exchange, which shows too whether its asker still wants it: all make it, or none.
"""

import threading
import time
from contextlib import contextmanager
from itertools import count

from wrp.cte.served import wire
from wrp.cte.served.carrying import Carrying
from wrp.errors import RuntimeGone, StoreError, WaitTimeout
from wrp.runtime.pythonworker import EXCEPTION
from wrp.runtime.routing import PoolQuery
from wrp.runtime.waiting import CoMutex

TURN, MAKE = 16, 17             # methods of the module: it is the turn of a rank's call, of the conductor; make it, of every rank
_LOOK_S = 0.2
_NOBODY = -1                    # in place of the rank that was asked: no more calls
_ENDS, _APART = 1, 2            # why no more calls are made: the daemon ends; a rank missed one, and would take the next exchange for that one's


class Together:
    """Those of one rank. Making it is collective. ranks : of the daemon's store; making : a lock, of the runtime; table : {call: function}, collective ones."""

    def __init__(self, ranks, making, table):
        self._ranks, self._making, self._table = ranks, making, table
        self._on_nodes = sorted(set(ranks.gather((ranks.node, ranks.local_size), "the ranks of the daemon's nodes")))
        self._carrying, self._mutex, self._over = Carrying(1), CoMutex(), threading.Event()
        self._asked, self._numbers, self._refuses = {}, count(1), 0

    def started(self, pool):
        shards = pool.containers.shards
        self._pool, self._conductor = pool, PoolQuery.direct_id(0)
        self._everybody = [PoolQuery.direct_id(node * shards + shard) for node, size in self._on_nodes for shard in range(size)]

    async def call(self, question):
        """What the call of a question gives on this rank. Raises RuntimeGone when it isn't made since the daemon ends."""
        number = next(self._numbers)
        self._asked[number] = asked = _Asked(question)
        try:
            reply = await (await self._pool.submit_async(TURN, self._ranks.rank, number, query=self._conductor))
            if reply.values[0] == _ENDS:
                raise RuntimeGone("the daemon ends: its store takes no more calls")
            if reply.values[0] == _APART:
                raise StoreError("a rank of the daemon didn't answer when all ranks were to do something together, and they can't any more: stop the daemon and start it again")
            return asked.value(reply)
        finally:
            del self._asked[number]

    async def turn(self, rank, number):
        """Of the conductor: have all ranks make the call that a rank was asked for, when those before it are made; 0, or why it isn't made."""
        async with self._mutex:
            if self._refuses and rank != _NOBODY:
                return self._refuses
            self._refuses = self._refuses or _APART         # until all have been asked and have answered
            futures = [await self._pool.submit_async(MAKE, rank, number, query=each) for each in self._everybody]
            codes = {(await future).code for future in futures}
            self._refuses = _ENDS if rank == _NOBODY else _APART if codes - {0, EXCEPTION} else 0
            return 0

    async def make(self, rank, number):
        """Make the call that a rank was asked for, as all others do now."""
        if rank == _NOBODY:
            self._over.set()
        else:
            await self._carrying.out(self._made, rank, number)

    def end(self, timeout_s, goes_on=lambda: False):
        """No more calls, on any rank; those under way have ended. WaitTimeout. All ranks make this call; nobody exchanges anything here. goes_on : as of Carrying.end"""
        if self._ranks.rank == 0:
            self._pool.submit(TURN, _NOBODY, 0, query=self._conductor).wait(timeout_s, goes_on)
        until = time.monotonic() + timeout_s
        while not self._over.wait(min(_LOOK_S, timeout_s)):
            if goes_on():
                until = time.monotonic() + timeout_s
            if time.monotonic() >= until:
                raise WaitTimeout(f"rank {self._ranks.rank} of the daemon waited {timeout_s:g} s for the end of what its ranks do together for attached programs: "
                                  "look at their messages")
        self._carrying.end(timeout_s, goes_on)

    def forget(self):
        """Of this rank alone, after an error."""
        self._carrying.forget()

    def _made(self, rank, number):
        asked = self._asked.get(number) if self._ranks.rank == rank else None
        try:
            question = self._ranks.share_of(lambda: asked.question, "what an attached program wants of all ranks", root=rank)
            call, args, options = wire.asked(question, b"")
            with self._apart(call):
                found = self._table[call](*args, **options)
        except Exception as error:
            if asked is not None:
                asked.error = error
            elif self._ranks.broken:
                raise                       # into the messages: who asked may never hear of it
        else:
            if asked is not None:
                asked.found = (found,)

    @contextmanager
    def _apart(self, call):
        """Devices are made by the ranks of a node together: never while these make a pool, in other threads."""
        is_mine, has_it = call == "add_target" and self._ranks.local_rank == 0, False
        try:
            if call == "add_target":
                with self._ranks.agreed("waiting for pools that are being made"):
                    has_it = is_mine and self._making.acquire(timeout=self._ranks.timeout_s)
                    if is_mine and not has_it:
                        raise WaitTimeout(f"a pool of the daemon is being made for longer than {self._ranks.timeout_s:g} s: no target is made meanwhile")
            yield
        finally:
            if has_it:
                self._making.release()


class _Asked:
    """A call that this rank was asked for. `found`: (what it gave,) here; `error`: what it raised."""

    def __init__(self, question):
        self.question, self.found, self.error = question, None, None

    def value(self, reply):
        if self.error is not None:
            raise self.error
        if self.found is None:
            raise StoreError(f"the daemon's ranks couldn't make this call together: code {reply.code}, {reply.meaning or 'see their messages'}")
        return self.found[0]
