"""Joining: tasks that become one in a job of one node, which has no postman: a Python worker brings them together. How is in postman/joins.py."""

import logging
from functools import partial

from wrp.runtime import lanes, tasks
from wrp.runtime.pool import Pool
from wrp.runtime.postman.joins import FAILED, Joins
from wrp.runtime.postman.desk import post_finish
from wrp.runtime.postman.work import Work
from wrp.runtime.routing.address import unpack
from wrp.runtime.routing.query import PoolQuery
from wrp.runtime.waiting.coroutines import Cancelled

_POOL, _METHOD, _COUNT, _ARGS, _DUE, _CANCEL = (word // 8 for word in (tasks.POOL, tasks.METHOD, tasks.COUNT, tasks.ARGS, tasks.DUE, tasks.CANCEL))
_log = logging.getLogger("wrp.runtime")


class Joining:
    """Of one Loop, whose thread alone uses it. `modules`: class of a user's module by its pool's slot."""

    def __init__(self, loop, node, modules):
        self._loop, self._node, self._modules = loop, node, modules
        self._joins = Joins(node.number, self._run)
        self._own, self._jobs = {}, set()           # contributions by record, the one tasks under way

    def start(self, offset, words, join):
        """A task that becomes one with others. `words`: of its record; `join`: (key, window in ns, -1: until all nodes have come)."""
        slot, first, _, net_timeout_s, _ = unpack(words[_POOL])
        work = Work(self._node.table.key(slot), first, 1, words[_METHOD], tuple(words[_ARGS:_ARGS + words[_COUNT]]), words[_DUE], net_timeout_s, join,
                    self._node.number)
        self._own[offset] = None            # it may be over at once
        if words[_CANCEL]:
            self._end(offset, tasks.CANCELLED, ())
            return
        each = self._joins.start(work, self._node.table.slot(slot), self._modules.get(slot), partial(self._end, offset))
        if offset in self._own:
            self._own[offset] = each

    def cancel(self, offset):
        """The task with this record counts no more, unless the one task has begun."""
        each = self._own.get(offset)
        if each is not None:
            each.cancel()

    def turn(self):
        """Look at clocks: when they are to be looked at next (ns), 0: not before something comes."""
        if self._joins.is_calm:
            return 0
        self._joins.turn()
        return self._joins.next_ns

    def end_all(self):
        """The runtime is being closed."""
        for job in list(self._jobs):
            self._loop.cancel(job, Cancelled("the runtime is being closed"))
        for each in list(self._own.values()):
            each.cancel()

    def _run(self, work, done):
        job = self._loop.spawn(self._called(work), lambda reply, error: self._ran(job, done, reply, error))
        self._jobs.add(job)

    async def _called(self, work):
        slot = self._node.table.find_key(work.key)
        future = await Pool(self._node, slot, f"{slot.id[0]}.{slot.id[1]}").submit_async(work.method, *work.args, query=PoolQuery.direct_id(work.first))
        return await future

    def _ran(self, job, done, reply, error):
        self._jobs.discard(job)
        if error is None:
            done(reply.code, reply.values)
        elif isinstance(error, Cancelled):
            done(tasks.CANCELLED, ())
        else:
            _log.error("the task that others became can't be run", exc_info=error)
            done(FAILED, ())

    def _end(self, offset, code, values):
        del self._own[offset]
        lanes.lane_done(self._loop._lane)           # before the caller may look
        post_finish(self._node.address, self._node.address + self._node.layout.free, offset, code, *(*values, 0, 0, 0, 0)[:4])
