"""The loop that runs coroutines: which can go on, which wait, for what, and until when. What tasks are to it is pythonworker.py's."""

import heapq
import itertools
import time
from collections import deque

from wrp.comm import atomics
from wrp.errors import UsageError
from wrp.runtime import lanes, records, tasks
from wrp.runtime.meter import block
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.coroutines import DeadlineOver
from wrp.runtime.waiting.threads import Threads

_AT_ONCE = 16                   # waiting tasks taken up before the next new one
_TIMERS = 1024                  # timers before the useless ones are looked for
_THREADS = 8                    # for blocking calls
_POOL, _METHOD = tasks.POOL // 8, tasks.METHOD // 8
_END = object()


class Job:
    """A coroutine. `offset`: of its task, or None, then `then(value, error)` is called at its end."""

    __slots__ = ("offset", "coroutine", "then", "name", "wait", "error", "is_over")

    def __init__(self, offset, coroutine, name, then=None):
        self.offset, self.coroutine, self.name, self.then = offset, coroutine, name, then
        self.wait = self.error = None
        self.is_over = False


class Loop:
    """Coroutines of one thread, which calls `take_up` again and again, and `release` at the end. `tell` is any thread's."""

    def __init__(self, node, context):
        self._node, self._context = node, context
        buffer = node.segment.buffer
        self._words = buffer[:len(buffer) // 8 * 8].cast("q")
        self._base, self._free, self._lane = node.address, node.address + node.layout.free, context[own.LANE]
        self._lane_offset, self._meter = context[own.LANE_OFFSET], context[own.METER]
        self._trace_word = (self._meter - self._base + block.TRACE) // 8
        self._ready, self._timers, self._number = deque(), [], itertools.count()
        self._watched, self._executor = {}, None
        self._sweep_at = _TIMERS

    def release(self):
        """Let go of the node's memory and end the threads. As long as one of them runs this one does: it writes into that memory once it has ended."""
        self._words.release()
        if self._executor:
            self._executor.end()

    def take_up(self):
        """Run some coroutines whose wait is over; True if there was one."""
        if self._watched or not self._ready:
            self._take_finished()
        if self._timers:
            now = time.monotonic_ns()
            while self._timers and self._timers[0][0] <= now:
                wait = heapq.heappop(self._timers)[2]
                if _is_on(wait):
                    wait.time_over(self)
        count = min(len(self._ready), _AT_ONCE)
        for _ in range(count):
            self.step(*self._ready.popleft())
        return count > 0

    @property
    def next_due(self):
        """When the next timer is over, 0 without one."""
        return self._timers[0][0] if self._timers else 0

    # coroutines

    def begin(self):
        """When a step begins, 0 while nothing is traced."""
        return atomics.now_ns() if self._words[self._trace_word] else 0

    def step(self, job, value=None, error=None):
        """Run the coroutine to its next await or its end."""
        begin, wait, result, failure = self.begin(), _END, None, None
        try:
            wait = job.coroutine.send(value) if error is None else job.coroutine.throw(error)
        except StopIteration as end:
            result = end.value
        except BaseException as raised:                 # also sys.exit of a module: the thread is that of others too
            failure = raised
        if begin and job.offset is not None:
            at = job.offset // 8
            block.meter_end(self._meter, begin, self._words[at + _POOL], self._words[at + _METHOD], job.offset, int(wait is _END))
        if wait is _END:
            self.ended(job, result, failure)
        elif job.error is not None:                     # cancelled while it ran
            self._ready.append((job, None, job.error))
            job.error = None
        else:
            self.wait(job, wait)

    def wait(self, job, wait):
        """The job waits for `wait` from now on."""
        try:
            job.wait, wait.job = wait, job
            wait.begin(self, job)
        except AttributeError:
            self.resume(job, error=UsageError(f"{wait!r} can't be awaited on a Python worker: use wrp.runtime.waiting, or in_thread for "
                                              "what belongs to another event loop"))
        except BaseException as failure:
            self.resume(job, error=failure)
        else:
            if wait.due_ns:
                self._set_timer(wait.due_ns, wait)

    def resume(self, job, value=None, error=None):
        """Its wait is over: it runs after those that could before."""
        job.wait = None
        self._ready.append((job, value, error))

    def spawn(self, coroutine, then):
        """Another coroutine of this loop; `then(value, error)` at its end. It begins a little later."""
        job = Job(None, coroutine, "part", then)
        self._ready.append((job, None, None))
        return job

    def cancel(self, job, error):
        """Raise `error` at the job's await: at once if it waits, else at its next."""
        if job.is_over:
            return
        if job.wait is None:
            job.error = error
            return
        job.wait.forget(self)
        self.resume(job, error=error)

    def ended(self, job, value, error):
        """The coroutine has ended; for those with a task there is more to do."""
        job.is_over = True
        if job.then is not None:
            job.then(value, error)

    # timers and records

    def arm(self, job, due):
        """A timer for the deadline of the job's task."""
        if due:
            self._set_timer(due, _Deadline(job))

    def _set_timer(self, due, wait):
        heapq.heappush(self._timers, (due, next(self._number), wait))
        if len(self._timers) > self._sweep_at:          # most waits end before their timers: those are of no use any more
            self._timers = [entry for entry in self._timers if _is_on(entry[2])]
            heapq.heapify(self._timers)
            self._sweep_at = max(_TIMERS, 2 * len(self._timers))

    def _take_finished(self):
        """Records of subtasks that are done come by the lane's stack."""
        if atomics.load(self._lane + lanes.FINISHED) == 0:
            return
        offset, found = atomics.exchange(self._lane + lanes.FINISHED, 0), []
        while offset:
            found.append(offset)
            offset = self._words[(offset + tasks.LINK) // 8]
        for offset in reversed(found):                  # the stack has the last one first
            wait = self._watched.pop(offset, None)
            if wait is None:
                tasks.task_free(self._base, self._free, offset)
            else:
                wait.done(self)

    def watch(self, offset, wait):
        """`wait.done` is called when the task at `offset` is done."""
        if tasks.task_watch(self._base, offset, self._lane_offset):
            self._watched[offset] = wait
        else:
            wait.done(self)

    def unwatch(self, offset):
        """Nobody waits for the task any more; its record is freed by whoever is last."""
        if self._watched.pop(offset, None) is not None:
            tasks.task_unwatch(self._base, self._free, offset)

    def expect(self, wait):
        """A record that a thread finishes by `tell`, or -1."""
        offset = tasks.task_new(self._base, self._free, tasks.WATCHED, -1, 0, 0, 0, 0, 0, 0, 0, 0)
        if offset < 0:
            records.grow(self._node.segment, self._node.layout, self._node.timeout_s)
            return -1
        atomics.store(self._base + offset + tasks.WATCH_LANE, self._lane_offset)
        self._watched[offset] = _Freeing(self, offset, wait)
        return offset

    def tell(self, offset):
        """Any thread's: what was expected has happened."""
        tasks.task_finish(self._base, self._free, offset, 0)

    @property
    def executor(self):
        """Threads for blocking calls."""
        self._executor = self._executor or Threads(_THREADS, "wrp-io")
        return self._executor


def _is_on(wait):
    """True when a timer is still of use."""
    if isinstance(wait, _Deadline):
        return not wait.job.is_over
    return wait.job is not None and wait.job.wait is wait


class _Freeing:
    """Frees the record of something expected, then tells who waits, if it still does."""

    def __init__(self, loop, offset, wait):
        self._loop, self._offset, self._wait = loop, offset, wait

    def done(self, loop):
        tasks.task_free(loop._base, loop._free, self._offset)
        if self._wait.job.wait is self._wait:
            self._wait.done(loop)


class _Deadline:
    """In the timers: the deadline of a task."""

    def __init__(self, job):
        self.job = job

    def time_over(self, loop):
        loop.cancel(self.job, DeadlineOver("the deadline of the task is over"))
