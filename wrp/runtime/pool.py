"""Pool: how a caller hands tasks to the worker of a pool. Makes no pools; for the waits see `future`."""

import copy
import time
from functools import partial
from operator import index

import numpy as np

from wrp.comm import atomics
from wrp.comm.lock import is_alive
from wrp.errors import UsageError, WaitTimeout
from wrp.runtime import lanes, pools, records, tasks
from wrp.runtime.asking import DONE, OPEN, ask, way_of
from wrp.runtime.batch import Batch, batch_collect, batch_submit, words_of
from wrp.runtime.future import Future, Reply, Watch
from wrp.runtime.group import Group
from wrp.runtime.joint import Several
from wrp.runtime.migrating import migrate
from wrp.runtime.routing.address import is_far, pack
from wrp.runtime.routing.query import DYNAMIC, PoolQuery
from wrp.runtime.waiting.coroutines import current, sleep

__all__ = ["Future", "Pool", "Reply"]

_NAP_S = 200e-6
_LIMIT = 1 << 63
_WAYS = 1024                    # routes that a pool remembers
_ZEROS = [(0,) * (tasks.ARGUMENTS - given) for given in range(tasks.ARGUMENTS + 1)]
_new = tuple.__new__            # without the frame of Reply's own
_LONGEST_S = 1e9                # of deadlines and periods: 31 years


class Pool:
    """Tasks for one pool. Made by `Runtime.pool`; any thread may use it.

    Every method that hands over tasks takes `query`, a PoolQuery or its text, which says which containers they go to: by default
    where the module's `route` says, else that of the own node.
    """

    _driver = _doer = 0             # see `asking`: of a way to other nodes, where this rank has the postman; of one to where this process may do the tasks
    _is_attached = False            # attached processes have records of their own: see wrp.runtime.daemon.attached
    _join = None                    # (key, window in ns, -1: until all have come) of tasks that become one

    def __init__(self, node, slot, name, module=None):
        self._node = node
        self._slot = slot
        self.name = name
        self.id = slot.id
        self.module = module            # its class, where it is a user's and known to this process
        self.number = slot.number       # how jitted handlers name it
        self.containers = slot.containers
        self._asks = slot.routes        # tasks go where the module says
        self._lane = node.address + node.layout.lane(slot.lane)
        self._free = node.address + node.layout.free
        self._ways = {}
        self._prepare()

    def _prepare(self):
        """See who does the tasks, and whether calls can be made by one kernel, and for what."""
        is_here = not self._is_attached and not is_far(self.number) and (self._slot.kind == pools.BDEV_KIND or self._lane == self._node.own_lane)
        self._doer = self._node.doer if is_here else 0          # also of a copy that goes elsewhere now
        self._is_plain = not (self._is_attached or self._asks or self._join)
        if self._is_plain:
            self._words = way_of(self, self._driver)
            self._ask = self._words.ctypes.data

    def towards(self, query, method=0, args=()):
        """A Pool whose tasks all go where `query` says (PoolQuery or text); `method` and `args` are for the module's `route`.

        Raises UsageError for containers that there are not.
        """
        query = PoolQuery.parse(DYNAMIC if query is None else query)
        if query.kind == DYNAMIC and self._asks:
            if self.module is None:
                raise UsageError(f"where tasks of pool {self.name!r} go its module says, which this process doesn't know: register it, or give `query`")
            query = PoolQuery.parse(self.module.route(method, tuple(args)))
        way = self._ways.get(query)
        if way is None:
            if len(self._ways) >= _WAYS:
                self._ways.clear()
            way = self._ways[query] = self._way(query)
        return way

    @property
    def _plain(self):
        """The class whose tasks all go to one lane."""
        return Pool

    def _way(self, query):
        node = self._node
        first, count = query.resolved(self.containers, node.number, node.count)
        at, shard = self.containers.place(first)
        if count == 1 and at == node.number and not query.joins:
            return self._turned(self._slot.number + shard, node.table.slot(self._slot.number + shard).lane, None)
        if node.count == 1 and not query.joins:
            return Several(self, [self.towards(PoolQuery.direct_id(container)) for container in range(first, first + count)])
        word = pack(self._slot.number, first, count, query.net_timeout_s, query.joins)
        join = (query.numbers[1], (*query.numbers, -1)[2]) if query.joins else None
        return self._turned(word, node.layout.joining, join)

    def _turned(self, number, lane, join):
        """This pool towards another lane."""
        way = copy.copy(self)
        if is_far(number):
            way.__class__ = self._plain
        way._asks, way.number, way._join, way._ways = False, number, join, {}
        way._lane = self._node.address + self._node.layout.lane(lane)
        way._driver = 0 if self._is_attached or not is_far(number) else self._node.driver
        way._prepare()
        return way

    def call_each(self, method, *args, query="broadcast", timeout_s=None):
        """As `call`, of each container of `query`: their Replies in order."""
        first, count = PoolQuery.parse(query).resolved(self.containers, self._node.number, self._node.count)
        limit_s = PoolQuery.parse(query).net_timeout_s
        futures = [self.submit(method, *args, query=PoolQuery.direct_id(container, limit_s), timeout_s=timeout_s)
                   for container in range(first, first + count)]
        return [future.wait(timeout_s) for future in futures]

    def call(self, method, *args, timeout_s=None, query=None):
        """Submit and wait: the Reply. Raises WaitTimeout, UsageError."""
        if query is None and self._is_plain and self._node.is_open and type(method) is int:
            # every line here is paid for by each call
            for word in args:
                if type(word) is not int:
                    break
            else:
                reply = self._asked(method, args, timeout_s)
                if reply is not None:
                    return reply
        return self.submit(method, *args, timeout_s=timeout_s, query=query).wait(timeout_s)

    def submit(self, method, *args, timeout_s=None, deadline_s=None, period_s=None, query=None):
        """Hand a task with up to six integers to the pool's worker: a Future.

        timeout_s : how long to wait for room when the lane is full
        deadline_s : the task's own deadline, seconds from now: it ends with code 98 if it hasn't begun, or still waits, then
        period_s : run it at once and then every so many seconds until it is cancelled; `Future.runs` counts
        Raises WaitTimeout when there is no room until the deadline, UsageError.
        """
        if query is not None or self._asks:
            return self.towards(query, method, args).submit(method, *args, timeout_s=timeout_s, deadline_s=deadline_s, period_s=period_s)
        method, padded = self._number(method), self._padded(args)
        if deadline_s is not None or period_s is not None or self._join is not None:
            kind = self._kind(tasks.SUBMITTED, deadline_s, period_s)
            return Future(self, self._submit_special(method, len(args), padded, timeout_s, kind), method)
        # made before: an error of a signal's handler comes where something is called, and from the push on the record is to be somebody's
        future = Future(self, None, method)
        offset = self._push(method, len(args), padded)
        if offset < 0:
            offset = self._later(lambda: self._push(method, len(args), padded), method, timeout_s, offset)
        future.offset = offset
        return future

    def post(self, method, *args, timeout_s=None, deadline_s=None, query=None):
        """Fire and forget: as `submit`, without a Future; its result goes nowhere."""
        if query is not None or self._asks:
            return self.towards(query, method, args).post(method, *args, timeout_s=timeout_s, deadline_s=deadline_s)
        padded = self._padded(args)
        if self._is_attached:
            self.submit(method, *args, timeout_s=timeout_s, deadline_s=deadline_s)
        else:
            self._submit_special(self._number(method), len(args), padded, timeout_s, self._kind(tasks.ABANDONED, deadline_s))

    def submit_many(self, method, rows, timeout_s=None, query=None):
        """Hand over a task for each of `rows`, tuples of equally many integers or an int64 array (n, k), with one wake.

        Gives a Batch: the sequence of their Futures, with a `wait` for all at once. Raises as `submit` does; tasks that were
        handed over before are forgotten then.
        """
        if query is not None:
            return self.towards(query).submit_many(method, rows, timeout_s)
        method, words = self._number(method), words_of(self, rows)
        if self._asks or self._join is not None:
            return Batch(self, method, (), [self.submit(method, *row, timeout_s=timeout_s) for row in words.tolist()])
        offsets, done = np.empty(len(words), np.int64), 0
        try:
            while done < len(words):
                done += self._push_many(method, words[done:], offsets[done:])
                if done < len(words):                   # wait for room with the next one
                    push = partial(self._push, method, words.shape[1], self._padded(words[done].tolist()))
                    offset = push()
                    offsets[done] = offset if offset >= 0 else self._later(push, method, timeout_s, offset)
                    done += 1
        except BaseException:
            for offset in offsets[:done].tolist():
                self._abandon_record(offset)
            raise
        return Batch(self, method, offsets)

    def migrate(self, container, node, drain_s=10.0, timeout_s=None):
        """Bring a container with what it has to another node: its tasks get `drain_s` seconds to end, those that come meanwhile wait and go after it.

        Raises UsageError for a container that can't move, WrpError when it couldn't just now: then it is where it was.
        """
        migrate(self, container, node, drain_s, timeout_s)

    def other(self, name):
        """The pool `name` of the same node, for modules that call it. Raises UsageError when there is none yet."""
        slot = self._node.table.find(name)
        if slot is None:
            raise UsageError(f"the node has no pool {name!r}: make it before pool {self.name!r} needs it")
        return type(self)(self._node, slot, name)

    def group(self):
        """A Group of tasks that are waited for, or cancelled, together."""
        return Group(self)

    async def submit_async(self, method, *args, timeout_s=None, deadline_s=None, query=None):
        """As `submit`, in a coroutine of a module: it awaits room."""
        if query is not None or self._asks:
            return await self.towards(query, method, args).submit_async(method, *args, timeout_s=timeout_s, deadline_s=deadline_s)
        method, padded, kind = self._number(method), self._padded(args), self._kind(tasks.SUBMITTED, deadline_s)
        watch = Watch(self._node.timeout_s if timeout_s is None else timeout_s)
        while True:
            offset = self._try(method, len(args), padded, kind) if deadline_s is not None or self._join else \
                self._push(method, len(args), padded)
            if offset >= 0:
                return Future(self, offset, method)
            self._refuse_late(watch, method, timeout_s, offset)
            if offset != tasks.NO_RECORD or not self._grow(watch):
                await sleep(_NAP_S)

    async def call_async(self, method, *args, timeout_s=None, deadline_s=None, query=None):
        """As `call`, in a coroutine of a module: the worker runs others meanwhile."""
        future = await self.submit_async(method, *args, timeout_s=timeout_s, deadline_s=deadline_s, query=query)
        return await future.within(self._node.timeout_s if timeout_s is None else timeout_s)

    def _asked(self, method, args, timeout_s):
        """The Reply to integers, by one kernel; None when nothing was handed over."""
        try:
            state, code, values = ask(self._ask, method, len(args), *args, *_ZEROS[len(args)])
        except (IndexError, OverflowError):
            return None
        if state == DONE:
            return _new(Reply, (code, values))
        return Future(self, code, method).wait(timeout_s) if state == OPEN else None

    def _padded(self, args):
        """The arguments as six plain integers: a kernel is compiled again for every other type."""
        if len(args) > tasks.ARGUMENTS:
            raise UsageError(f"a task of pool {self.name!r} has {len(args)} arguments: at most {tasks.ARGUMENTS}")
        self._node.check_open()
        try:
            words = tuple(map(index, args))
        except TypeError as error:
            raise UsageError(f"an argument of a task of pool {self.name!r} is no integer: {error}") from error
        if words and not (-_LIMIT <= min(words) and max(words) < _LIMIT):
            raise UsageError(f"an argument of a task of pool {self.name!r} doesn't fit into 64 bits: {words}")
        return words + (0,) * (tasks.ARGUMENTS - len(words))

    def _number(self, method):
        """The method as a plain integer."""
        if type(method) is int and -_LIMIT <= method < _LIMIT:
            return method
        try:
            return int(np.int64(index(method)))
        except (TypeError, OverflowError):
            raise UsageError(f"{method!r} is no method of pool {self.name!r}: methods are called by their numbers, of 64 bits") from None

    def _kind(self, state, deadline_s, period_s=None):
        """(state that a task begins in, its deadline, its period), ns, 0: none. Raises UsageError."""
        due = 0 if deadline_s is None else max(1, time.monotonic_ns() + _ns("deadline_s", deadline_s))
        period = 0 if period_s is None else _ns("period_s", period_s)
        if period_s is not None and (period_s <= 0 or is_far(self.number)):
            raise UsageError(f"a period of {period_s} s: it must be more than 0, and of one container of this node")
        return state, due, max(1, period) if period_s is not None else 0

    def _push(self, method, count, args):
        return tasks.task_submit(self._node.address, self._free, self._lane, self.number, method, count, *args)

    def _push_many(self, method, words, offsets):
        """Fill `offsets` with the tasks' records, as far as there is room: how many."""
        return batch_submit(self._node.address, self._free, self._lane, self.number, method, words, offsets)

    def _submit_special(self, method, count, args, timeout_s, kind):
        """Offset of a task of another kind, see `_kind`."""
        offset = self._try(method, count, args, kind)
        return offset if offset >= 0 else self._later(lambda: self._try(method, count, args, kind), method, timeout_s, offset)

    def _try(self, method, count, args, kind):
        base, (state, due, period) = self._node.address, kind
        offset = tasks.task_new(base, self._free, state, self.number, method, count, *args)
        if offset < 0:
            return offset
        if due:
            atomics.store(base + offset + tasks.DUE, due)
        if period:
            atomics.store(base + offset + tasks.PERIOD, period)
            atomics.store(base + offset + tasks.RUNS, 0)
            atomics.store(base + offset + tasks.MISSED, 0)
        self._mark(base + offset)
        return tasks.task_hand(base, self._free, self._lane, offset)

    def _mark(self, task):
        """Say in its record which other tasks it becomes one with."""
        if self._join is not None:
            atomics.store(task + tasks.LOCALS, self._join[0])
            atomics.store(task + tasks.LOCALS + 8, self._join[1])

    def _notify(self, offset):
        """Tell the worker to look at a task that was cancelled; False when its lane is full."""
        return self._is_attached or lanes.lane_push(self._lane, offset + 1)

    # attached processes override these three

    def _free_record(self, offset):
        tasks.task_free(self._node.address, self._free, offset)

    def _collect_many(self, offsets, out):
        batch_collect(self._node.address, self._free, offsets, out)

    def _abandon_record(self, offset):
        tasks.task_abandon(self._node.address, self._free, offset)

    def _later(self, push, method, timeout_s, offset):
        """The same once there is room, looking again and again until the deadline. `offset`: what it gave before."""
        watch = Watch(self._node.timeout_s if timeout_s is None else timeout_s)
        if current() is not None and self._lane == current()._lane and offset == tasks.LANE_FULL:
            raise WaitTimeout(f"method {method} of pool {self.name!r} finds no room in the lane of the worker that submits it, which "
                              "would wait for itself: use `await pool.submit_async(...)`")
        while True:
            if offset != tasks.NO_RECORD or not self._grow(watch):
                time.sleep(_NAP_S)
            offset = push()
            if offset >= 0:
                return offset
            self._refuse_late(watch, method, timeout_s, offset)

    def _refuse_late(self, watch, method, timeout_s, offset):
        if watch.is_over():
            timeout_s = self._node.timeout_s if timeout_s is None else timeout_s
            if offset == tasks.NO_RECORD:
                raise WaitTimeout(f"method {method} of pool {self.name!r} found no room for {timeout_s:g} s: no record of a task is "
                                  "free, all are of tasks that run, wait, or whose replies nobody has taken; submit fewer at once")
            raise WaitTimeout(f"method {method} of pool {self.name!r} found no room in the lane of {self._worker()} for {timeout_s:g} s: "
                              "it has too many tasks; submit fewer at once, or raise runtime.queue_depth")
        if watch.is_due():
            self._check_worker(method)

    def _grow(self, watch):
        """True when there are more records of tasks now."""
        return not self._is_attached and not watch.is_over() and records.grow(self._node.segment, self._node.layout, self._node.timeout_s)

    def _check_worker(self, method):
        """WaitTimeout when nobody serves the lane any more."""
        pid = atomics.load(self._lane + lanes.PID)
        if atomics.load(self._lane + lanes.ENDED) == 1:
            how = "was stopped" if atomics.load(self._lane + lanes.STOP) else "has ended by an error, see its message"
            raise WaitTimeout(f"method {method} of pool {self.name!r} isn't served: {self._worker()} {how}")
        if pid and not is_alive(pid):
            raise WaitTimeout(f"method {method} of pool {self.name!r} isn't served: the process of {self._worker()} has ended; "
                              "see its own message, and start the job again")

    def _worker(self):
        if is_far(self.number):
            return f"what brings tasks to other nodes, and together, on this one (process {atomics.load(self._lane + lanes.PID)})"
        return f"the worker of rank {atomics.load(self._lane + lanes.RANK)} (process {atomics.load(self._lane + lanes.PID)})"

    def __repr__(self):
        return f"<Pool {self.name!r}, id {self.id[0]}.{self.id[1]}>"


def _ns(name, seconds):
    """Nanoseconds of seconds. UsageError for what is no number, or lasts longer than anybody."""
    try:
        if abs(seconds) <= _LONGEST_S:
            return int(seconds * 1e9)
    except TypeError:
        pass
    raise UsageError(f"{name}={seconds!r}: give a number of seconds, at most {_LONGEST_S:.0f}")
