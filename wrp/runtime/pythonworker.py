"""The loop of a rank's Python worker: it calls the methods of modules and runs those that are coroutines, as many as wait."""

import heapq
import inspect
import itertools
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.errors import UsageError
from wrp.runtime import lanes, records, tasks
from wrp.runtime.lanes import lane_next, lane_poll
from wrp.runtime.meter import block
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.coroutines import Cancelled, DeadlineOver, enter
from wrp.runtime.waiting.period import period_missed, period_next

EXCEPTION = 99                  # return code of a handler in Python that raised
UNKNOWN_METHOD = -1
_AT_ONCE = 16                   # waiting tasks taken up before the next new one
_TIMERS = 1024                  # timers before the useless ones are looked for
_THREADS = 8                    # for blocking calls
_HEAD = tasks.NEXT_AT // 8      # words of a record that the loop looks at
_POOL, _METHOD, _COUNT, _ARGS, _DUE, _CANCEL, _PERIOD = (
    word // 8 for word in (tasks.POOL, tasks.METHOD, tasks.COUNT, tasks.ARGS, tasks.DUE, tasks.CANCEL, tasks.PERIOD))
_END = object()
_log = logging.getLogger("wrp.runtime")


@kernel
def python_finish(context, offset, code, v0, v1, v2, v3):
    """Put the results into the task's record, count it, and tell who waits."""
    base, lane = atomics.load(context + own.BASE), atomics.load(context + own.LANE)
    task = base + offset
    atomics.store(task + tasks.VALUES, v0)
    atomics.store(task + tasks.VALUES + 8, v1)
    atomics.store(task + tasks.VALUES + 16, v2)
    atomics.store(task + tasks.VALUES + 24, v3)
    block.meter_done(atomics.load(context + own.METER), task, offset, code, 0)
    if atomics.load(task + tasks.PERIOD) == 0:
        lanes.lane_done(lane)       # before the caller may look
    tasks.task_finish(base, atomics.load(context + own.FREE), offset, code)


class Job:
    """A coroutine. `offset`: of its task, or None, then `then(value, error)` is called at its end."""

    __slots__ = ("offset", "coroutine", "then", "name", "wait", "error", "is_over")

    def __init__(self, offset, coroutine, name, then=None):
        self.offset, self.coroutine, self.name, self.then = offset, coroutine, name, then
        self.wait = self.error = None
        self.is_over = False


class PythonLoop:
    """Serves the tasks of pools whose module is a Python class. `containers`: object by the pool's slot."""

    def __init__(self, node, context, containers):
        self._node, self._context, self._containers = node, context, containers
        buffer = node.segment.buffer
        self._words = buffer[:len(buffer) // 8 * 8].cast("q")
        self._base, self._free, self._lane = node.address, node.address + node.layout.free, context[own.LANE]
        self._lane_offset, self._meter = context[own.LANE_OFFSET], context[own.METER]
        self._trace_word = (self._meter - self._base + block.TRACE) // 8
        self._ready, self._timers, self._number = deque(), [], itertools.count()
        self._watched, self._jobs, self._executor = {}, {}, None
        self._sweep_at = _TIMERS

    def __call__(self):
        enter(self)
        try:
            while self._turn():
                pass
            self._end_all()
        finally:
            enter(None)
            self._words.release()
            if self._executor:
                self._executor.shutdown()

    def _turn(self):
        """Take up what can go on, then one new task; False when the worker is to end."""
        if self._take_up():
            offset = lane_poll(self._lane)
        else:
            offset = lane_next(self._lane, 0, self._timers[0][0] if self._timers else 0)
        if offset >= 0:
            self._start(offset)
            return True
        return atomics.load(self._lane + lanes.STOP) == 0

    # tasks

    def _start(self, offset):
        """A task that has just come in, or word that one is to be cancelled (its offset + 1)."""
        if offset & 1:
            self._cancel_task(offset - 1)
            lanes.lane_done(self._lane)
            return
        at = offset // 8
        words = self._words[at:at + _HEAD].tolist()
        if words[_CANCEL]:
            self._finish(offset, tasks.CANCELLED)
        elif words[_DUE] and time.monotonic_ns() >= words[_DUE]:
            self._finish(offset, tasks.DEADLINE)
        elif words[_PERIOD]:
            lanes.lane_done(self._lane)     # it never ends by itself: nobody is to wait for that
            self._jobs[offset] = job = Job(offset, self._periodic(offset, words), "periodic")
            self._arm(job, words[_DUE])
            self._step(job, None, None)
        else:
            self._call(offset, words)

    def _call(self, offset, words):
        begin = self._begin()
        code, values = self._called(words)
        if inspect.iscoroutine(values):
            self._jobs[offset] = job = Job(offset, values, words[_METHOD])
            if words[_DUE]:
                self._arm(job, words[_DUE])
            self._step(job, None, None)
        else:
            if begin:
                block.meter_end(self._meter, begin, words[_POOL], words[_METHOD], offset, 1)
            self._finish(offset, code, values)

    def _begin(self):
        """When a step begins, 0 while nothing is traced."""
        return atomics.now_ns() if self._words[self._trace_word] else 0

    def _called(self, words):
        """Return code and what the method returned."""
        container = self._containers.get(words[_POOL])
        name = getattr(container, "methods", {}).get(words[_METHOD])
        if name is None:
            return UNKNOWN_METHOD, ()
        try:
            return 0, getattr(container, name)(*words[_ARGS:_ARGS + words[_COUNT]])
        except Exception:
            _log.exception("method %s (%d) of %s failed", name, words[_METHOD], type(container).__name__)
            return EXCEPTION, ()

    async def _periodic(self, offset, words):
        """Run the method at every period until it is cancelled; what falls due meanwhile is counted, not made up for."""
        task, period, due = self._base + offset, words[_PERIOD], time.monotonic_ns()
        while True:
            code, values = self._called(words)
            if inspect.iscoroutine(values):
                try:
                    await values
                except Cancelled:
                    raise
                except Exception:
                    _log.exception("a run of a periodic task failed")
            atomics.add(task + tasks.RUNS, 1)
            now = time.monotonic_ns()
            atomics.add(task + tasks.MISSED, period_missed(due, period, now))
            due = period_next(due, period, now)
            await _Until(due)

    def _finish(self, offset, code, values=()):
        """The task is done: results of the four kinds that a method may return."""
        try:
            values = () if values is None else values if isinstance(values, tuple) else (values,)
            if len(values) > tasks.RESULTS:
                raise ValueError(f"{len(values)} results: a task has room for {tasks.RESULTS}")
            padded = [int(value) for value in values] + [0] * (tasks.RESULTS - len(values))
            python_finish(self._context.address, offset, code, *padded)
        except (TypeError, ValueError, OverflowError):
            _log.exception("the results of a task of pool %d don't fit", self._words[offset // 8 + _POOL])
            python_finish(self._context.address, offset, EXCEPTION, 0, 0, 0, 0)

    # coroutines

    def _step(self, job, value, error):
        """Run the coroutine to its next await or its end."""
        begin, wait, result, failure = self._begin(), _END, None, None
        try:
            wait = job.coroutine.send(value) if error is None else job.coroutine.throw(error)
        except StopIteration as end:
            result = end.value
        except Exception as raised:
            failure = raised
        if begin and job.offset is not None:
            at = job.offset // 8
            block.meter_end(self._meter, begin, self._words[at + _POOL], self._words[at + _METHOD], job.offset, int(wait is _END))
        if wait is _END:
            self._ended(job, result, failure)
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
        except Exception as failure:
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

    def _ended(self, job, value, error):
        job.is_over = True
        if job.then is not None:
            job.then(value, error)
        if job.offset is None:
            return
        del self._jobs[job.offset]
        periodic = self._words[job.offset // 8 + _PERIOD] != 0
        if periodic:
            value = tuple(self._words[(job.offset + word) // 8] for word in (tasks.RUNS, tasks.MISSED))
        if isinstance(error, Cancelled):
            self._finish(job.offset, tasks.DEADLINE if isinstance(error, DeadlineOver) else tasks.CANCELLED, value if periodic else ())
        elif error is not None:
            _log.error("method %s of a module failed", job.name, exc_info=error)
            self._finish(job.offset, EXCEPTION)
        else:
            self._finish(job.offset, 0, value)

    def _arm(self, job, due):
        """A timer for the deadline of the job's task."""
        if due:
            self._set_timer(due, _Deadline(job))

    def _set_timer(self, due, wait):
        heapq.heappush(self._timers, (due, next(self._number), wait))
        if len(self._timers) > self._sweep_at:          # most waits end before their timers: those are of no use any more
            self._timers = [entry for entry in self._timers if _is_on(entry[2])]
            heapq.heapify(self._timers)
            self._sweep_at = max(_TIMERS, 2 * len(self._timers))

    def _cancel_task(self, offset):
        job = self._jobs.get(offset)
        if job is not None and self._words[offset // 8 + _CANCEL]:
            self.cancel(job, Cancelled("the task was cancelled"))

    def _end_all(self):
        """Cancel what waits still: each coroutine gets the chance to clean up, and no more awaits than that."""
        for _ in range(_AT_ONCE):
            for job in list(self._jobs.values()):
                self.cancel(job, Cancelled("the runtime is being closed"))
            while self._ready:
                self._step(*self._ready.popleft())
        for job in list(self._jobs.values()):
            try:
                job.coroutine.close()
            except RuntimeError:
                _log.exception("a coroutine goes on after it was cancelled %d times", _AT_ONCE)
            self._ended(job, None, Cancelled("the runtime was closed"))

    # waits

    def _take_up(self):
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
            self._step(*self._ready.popleft())
        return count > 0

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
        self._executor = self._executor or ThreadPoolExecutor(_THREADS, "wrp-io")
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


class _Until:
    """``await _Until(ns)``."""

    def __init__(self, due_ns):
        self.due_ns, self.job = due_ns, None

    def __await__(self):
        yield self

    def begin(self, loop, job):
        pass

    def forget(self, loop):
        pass

    def time_over(self, loop):
        loop.resume(self.job)
