"""The module wrp_cte_core of a daemon: its ranks have a store open together, and answer what attached programs ask of it.

A question lies in memory that the attached process has leased, and the answer comes there too; what is longer than that goes piece by piece
through a stash. What can be asked is in calls.py, the other side in link.py.
"""

import os
import time
from contextlib import suppress

from wrp.cte import ending, names
from wrp.cte.calls.reading import nobody_put
from wrp.cte.names import DAEMON
from wrp.cte.reservation import private
from wrp.cte.served import place, quick, wire
from wrp.cte.served.calls import TOGETHER, Calls
from wrp.cte.served.carrying import Carrying
from wrp.cte.served.quick import LATER, LONGEST
from wrp.cte.served.stashes import Stash, Stashes
from wrp.cte.served.together import MAKE, TURN, Together
from wrp.cte.store import Store
from wrp.errors import ConfigError, NoSuchBlob, NoSuchTag, RuntimeGone, StoreError, UsageError
from wrp.runtime.waiting import Cancelled, sleep
from wrp.runtime.waiting.coroutines import current

ASK, WAIT, ASK_ALL, FILL, MORE, DROP = 10, 11, 12, 13, 14, 15
VALUE, ERROR, BYTES = 0, 1, 2           # what an answer is
_LONGEST_NAME = 1000
_SHORTEST_NAP_S, _LONGEST_NAP_S = 0.5e-3, 20e-3
_SWEEP_S = 1.0
_TOLD_S = 2.0


class Serving:
    """folder : of the store; WRP_STORE by default, else it is in memory; keys : {key: value} of the store's configuration besides the daemon's."""

    methods = {ASK: "ask", WAIT: "wait", ASK_ALL: "ask_all", FILL: "fill", MORE: "more", DROP: "drop", TURN: "turn", MAKE: "make"}
    on_every_rank = True

    def __init__(self, pool_name, folder="", keys=None):
        if len(pool_name.encode()) > _LONGEST_NAME:
            raise ConfigError(f"pool {pool_name:.40}... has a name of more than {_LONGEST_NAME} bytes")
        if folder.startswith(DAEMON):
            raise ConfigError(f"pool {pool_name!r}: {folder} is another daemon's store: name the folder that this one is to serve")
        elsewhere = os.environ.get("WRP_STORE", "")
        self._name, self._folder = pool_name, folder or (elsewhere if not elsewhere.startswith(DAEMON) else "") or None
        self._keys = keys or {}
        self._store, self._together, self._stashes, self._carrying = None, None, Stashes(), Carrying()
        self._has_left, self._sweeps, self._waits = False, False, 0

    def join(self, runtime):
        """Open the store. Collective over all ranks of the runtime."""
        there = place.told(runtime.segment)
        if there is not None:
            raise UsageError(f"pool {self._name!r} can't be made: the daemon serves a store already, as pool {there!r}; one is all that a daemon has")
        self._device = runtime.device(place.CALLS, "ram", place.CALLS_NBYTES)
        self._store = Store.open(self._folder, config=runtime.config.but(self._keys, f"pool {self._name}"), runtime=runtime)
        self._calls, self._quick = Calls(self._store).table, quick.table(self._store)
        by_all = {name: getattr(self._store, name) for name in TOGETHER}
        self._together = Together(self._store.ranks, runtime.making, {**by_all, "commit_batch": self._commit_batch})
        self.turn, self.make = self._together.turn, self._together.make
        if runtime.ranks.local_rank == 0:
            place.tell(runtime.segment, self._name)

    def started(self, pool):
        self._together.started(pool)

    def leave(self, together):
        """Close the store, once what attached programs have asked for is answered. Collective where `together`."""
        store, has_left, self._has_left = self._store, self._has_left, True
        if store is None or has_left:
            return
        if together:
            try:
                self._end_calls(store, store.config.get("runtime.timeout_s"))
            except BaseException:
                ending.forget(store)        # the end of Python would flush it, and wait for what these calls wait for
                raise
            self._stashes.clear()
            store.close()
        else:
            self._carrying.forget()
            if self._together is not None:
                self._together.forget()
            store._leave(False)

    def _end_calls(self, store, timeout_s):
        goes_on = store._parts.tiers.counters.watch()
        self._together.end(timeout_s, goes_on)
        with store.ranks.agreed("ending the calls of attached programs"):
            self._carrying.end(timeout_s, goes_on)
            self._end_waits()

    def _end_waits(self):
        """Who waits for a blob is told, before the workers end."""
        until = time.monotonic() + _TOLD_S
        while self._waits and time.monotonic() < until:
            time.sleep(_SHORTEST_NAP_S)

    # what attached programs ask: integers come, and go back

    def ask(self, at, head, nbytes, room, stash, owner):
        """Make the call of a question of `head` bytes at `at`, with `nbytes` bytes behind it, or the stash: (what the answer is, its bytes, number of the stash that has it, or 0).

        room : bytes of the memory at `at`; owner : identity of the process
        """
        value = self._at_once(at, head, nbytes) if not stash and head + nbytes <= LONGEST else LATER
        if value is not LATER:
            return self._laid(value, at, room, owner)
        return self._answered(self._carrying.out(self._called, at, head, nbytes, stash, owner), at, room, owner)

    async def wait(self, at, head, room, owner):
        """The same of a question whether a blob is there, answered when it is: no thread waits."""
        self._waits += 1
        try:
            return await self._answered(self._there(at, head), at, room, owner)
        finally:
            self._waits -= 1

    async def ask_all(self, at, head, nbytes, room, stash, owner):
        """As `ask`, of a call that all ranks of the daemon make together."""
        return await self._answered(self._called_by_all(at, head, stash), at, room, owner)

    async def fill(self, at, nbytes, stash, start):
        """Bytes of a stash from `start` on are those at `at`: 0, or ERROR when the daemon ends before that."""
        return await self._piece(self._device.read, at, nbytes, stash, start)

    async def more(self, at, nbytes, stash, start):
        """The same the other way."""
        return await self._piece(self._device.write, at, nbytes, stash, start)

    async def drop(self, stash):
        """Nobody wants a stash any more."""
        await self._moved(lambda: self._stashes.drop(stash))

    # how

    def _at_once(self, at, head, nbytes):
        """What a call gives that needs no thread, or LATER."""
        try:
            whole = self._device.view(at, head + nbytes)
            call, args, options = wire.asked(whole[:head], whole[head:])
            return self._carrying.here(self._quick[call], *args, **options) if call in self._quick else LATER
        except Exception:
            return LATER            # and says there what is wrong

    async def _piece(self, move, at, nbytes, stash, start):
        def moved():
            with self._stashes.of(stash).used() as found:
                move(at, found.view[start:start + nbytes])
        return await self._moved(moved)

    async def _moved(self, move):
        try:
            await self._carrying.out(move)
        except RuntimeGone:
            return ERROR
        return 0

    def _called(self, at, head, nbytes, stash, owner):
        """What the call of a question gives; of one that makes a stash its number. In a thread."""
        whole = self._stashes.take(stash).view if stash else self._device.view(at, head + nbytes)
        call, args, options = wire.asked(whole[:head], whole[head:])
        if call in ("buffer", "reserve"):
            return self._stashes.keep(self._stash(owner, *args))
        if call == "batch":
            return self._store.ranks.rank, self._stashes.keep(Stash(owner, None, self._store.batch(*args)))
        if call == "in_batch":
            return self._in_batch(*args)
        if call == "commit":
            return self._committed(*args)
        if call not in self._calls:
            raise UsageError(f"{call!r} is no call that an attached program can make")
        return self._calls[call](*args, **options)

    async def _called_by_all(self, at, head, stash):
        whole = self._stashes.take(stash).view if stash else self._device.view(at, head)
        return await self._together.call(bytes(whole[:head]))

    def _stash(self, owner, nbytes, *of_blob):
        """A Stash of so many bytes, to be filled; the blob that they are to be."""
        if not of_blob:
            return Stash(owner, memoryview(private(nbytes)))
        tag, blob, score = of_blob
        reservation = self._store.reserve(tag, blob, nbytes, score)
        return Stash(owner, reservation.view, reservation)

    def _in_batch(self, number, call, *args):
        if call not in ("create", "put", "replace", "remove"):
            raise UsageError(f"{call!r} is no call that an attached program can make in a batch")
        with self._stashes.of(number).used() as stash:
            getattr(stash.whole, call)(*args)

    def _committed(self, number):
        """Make the reservation of a stash a part of the store."""
        stash = self._stashes.take(number)
        try:
            stash.whole.commit()
        except BaseException:
            self._stashes.put_back(number, stash)
            self._stashes.drop(number)
            raise

    def _commit_batch(self, label, shares):
        """Commit one batch of attached programs, whose shares are (rank, number of a stash there): its Entries as tuples. Collective."""
        mine = [(number, self._stashes.pop(number)) for rank, number in shares if rank == self._store.ranks.rank]
        limit_s = self._store.ranks.timeout_s / 2       # the others wait in the batch for as long as all of it
        until = time.monotonic() + limit_s
        try:
            with self._store.batch(label) as batch:
                if any(stash is None for _, stash in mine):
                    raise StoreError(f"{label}: a program that had a share in it has ended: nothing of it has happened")
                for _, stash in mine:           # a put whose program gave up waiting for it may still be at work
                    if not stash.rest(max(0.0, until - time.monotonic())):
                        raise StoreError(f"{label}: a put of it is still at work after {limit_s:g} s: nothing of it has happened; look whether the storage answers")
                    batch._join(stash.whole)
        finally:
            for number, stash in mine:
                if stash is not None:
                    self._stashes.put_back(number, stash)
                    self._stashes.drop(number)
        return list(map(tuple, batch.entries))

    async def _there(self, at, head):
        """The BlobInfo of a blob, once it is there."""
        _, (tag, blob, timeout_s), _ = wire.asked(self._device.view(at, head), b"")
        names.checked("tag", tag), names.checked("blob", blob)
        timeout_s = self._store.ranks.timeout_s if timeout_s is None else timeout_s
        deadline, nap = time.monotonic() + timeout_s, _SHORTEST_NAP_S
        while True:
            if await self._carrying.out(self._store.exists, tag, blob):
                with suppress(NoSuchTag, NoSuchBlob):
                    return await self._carrying.out(self._store.info, tag, blob)
            if time.monotonic() >= deadline:
                raise nobody_put(tag, blob, timeout_s)
            await sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP_S)

    async def _answered(self, asked, at, room, owner):
        try:
            return self._laid(await asked, at, room, owner)
        except Cancelled:
            raise
        except Exception as error:
            return self._lay(ERROR, wire.error_of(error), at, room, owner)
        finally:
            self._sweep()               # a cancelled call may have made a stash, too

    def _laid(self, value, at, room, owner):
        kind, data = (BYTES, value) if isinstance(value, (bytes, memoryview)) else (VALUE, wire.answer_of(value))
        return self._lay(kind, data, at, room, owner)

    def _lay(self, kind, data, at, room, owner):
        """Put an answer where it is awaited, or into a stash: what `ask` gives."""
        if len(data) <= room:
            self._device.write(at, data)
            return kind, len(data), 0
        return kind, len(data), self._stashes.keep(Stash(owner, memoryview(data)))

    def _sweep(self):
        if len(self._stashes) and not self._sweeps:
            self._sweeps = True
            current().spawn(self._sweeping(), lambda *_: None)

    async def _sweeping(self):
        """As long as there are stashes, let go of those of dead processes."""
        try:
            while len(self._stashes):
                await sleep(_SWEEP_S)
                await self._carrying.out(self._stashes.sweep)
        finally:
            self._sweeps = False
