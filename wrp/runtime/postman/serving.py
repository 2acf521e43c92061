"""Serving: tasks that the postman hands to workers of its own node. Knows nothing of other nodes."""

from collections import deque

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import lanes, records, tasks

MOST_PARKED = 64                # tasks that found no room, before no more are taken in


@kernel
def served_new(base, free, lane_offset, due, pool, method, count, a0, a1, a2, a3, a4, a5):
    """A record of a task whose end is told to the lane at this offset, or NO_RECORD."""
    offset = tasks.task_new(base, free, tasks.WATCHED, pool, method, count, a0, a1, a2, a3, a4, a5)
    if offset >= 0:
        atomics.store(base + offset + tasks.WATCH_LANE, lane_offset)
        atomics.store(base + offset + tasks.WATCHER, 0)
        atomics.store(base + offset + tasks.DUE, due)
    return offset


class Serving:
    """`lane_offset`: of the postman's lane, which is told of their ends; `finished()`: offsets of records that are done."""

    def __init__(self, node, lane_offset, finished=None):
        self._node, self._lane_offset = node, lane_offset
        self._base, self._free, self._lane = node.address, node.address + node.layout.free, node.address + lane_offset
        self._running, self._parked, self._words = {}, deque(), deque()
        self._finished = finished or self._stack
        self._lanes = {}

    @property
    def is_full(self):
        """True when tasks wait for room: no more should be taken in."""
        return len(self._parked) >= MOST_PARKED

    @property
    def is_calm(self):
        """True when nothing waits for room."""
        return not self._parked and not self._words

    def start(self, work, slot, done):
        """Have a worker run `work` in the shard with this slot's number; `done(code, values)` at its end: a Served."""
        served = Served(self, work, slot, done)
        if self._parked or not self._hand(served):
            self._parked.append(served)
        return served

    def turn(self):
        """Take what is done, try again what found no room: True if anything was done."""
        worked = False
        while self._parked and (self._parked[0].is_over or self._hand(self._parked[0])):
            self._parked.popleft()
            worked = True
        while self._words and self._tell(*self._words[0]):
            self._words.popleft()
        for offset in self._finished():
            worked = True
            code, *values = tasks.task_result(self._base + offset)
            tasks.task_free(self._base, self._free, offset)
            self._running.pop(offset).end(code, tuple(values))
        return worked

    def _hand(self, served):
        work = served.work
        if work.due_ns and atomics.now_ns() >= work.due_ns:
            served.end(tasks.DEADLINE, ())
            return True
        padded = work.args + (0,) * (tasks.ARGUMENTS - len(work.args))
        offset = served_new(self._base, self._free, self._lane_offset, work.due_ns, served.slot, work.method, len(work.args), *padded)
        if offset < 0:
            records.grow(self._node.segment, self._node.layout, self._node.timeout_s)
            return False
        self._running[offset] = served
        served.offset = offset
        if lanes.lane_push(self._lane_of(served.slot), offset):
            return True
        del self._running[offset]
        served.offset = None
        tasks.task_free(self._base, self._free, offset)
        return False

    def cancel(self, served):
        """Ask the worker, or end it at once if none has it yet."""
        if served.is_over:
            return
        if served.offset is None:
            served.end(tasks.CANCELLED, ())
            return
        self.cancel_record(served.offset, served.slot)

    def cancel_record(self, offset, slot):
        """Ask the worker of the shard with this slot's number to cancel the task with this record."""
        atomics.store(self._base + offset + tasks.CANCEL, 1)
        if not self._tell(offset, slot):
            self._words.append((offset, slot))

    def _tell(self, offset, slot):
        # late word of a task that is over does nothing: its record isn't marked any more
        return lanes.lane_push(self._lane_of(slot), offset + 1)

    def _lane_of(self, slot):
        lane = self._lanes.get(slot)
        if lane is None:
            lane = self._lanes[slot] = self._base + self._node.layout.lane(self._node.table.slot(slot).lane)
        return lane

    def _stack(self):
        """The lane's stack of records that are done, the first one first."""
        if not atomics.load(self._lane + lanes.FINISHED):
            return ()
        offset, found = atomics.exchange(self._lane + lanes.FINISHED, 0), []
        while offset:
            found.append(offset)
            offset = atomics.load(self._base + offset + tasks.LINK)
        return reversed(found)


class Served:
    """A task that a worker of this node runs, or will."""

    def __init__(self, serving, work, slot, done):
        self.work, self.slot, self.offset, self.is_over = work, slot, None, False
        self._serving, self._done = serving, done

    def cancel(self):
        """See `Serving.cancel`."""
        self._serving.cancel(self)

    def end(self, code, values):
        """Its end."""
        self.is_over = True
        self._done(code, values)
