"""A rank's Python worker: takes tasks from its lane, calls the methods of modules, finishes the tasks. Coroutines among them run in waiting/loop.py."""

import inspect
import logging
import time

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import lanes, tasks
from wrp.runtime.future import NO_POOL
from wrp.runtime.joining import Joining
from wrp.runtime.lanes import lane_next, lane_poll
from wrp.runtime.meter import block
from wrp.runtime.migrating.codes import MIGRATE, Coded
from wrp.runtime.migrating.destination import Arriving
from wrp.runtime.migrating.places import Gone, Plugged
from wrp.runtime.migrating.source import Leaving
from wrp.runtime.routing.address import is_far
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.coroutines import Cancelled, DeadlineOver, enter
from wrp.runtime.waiting.loop import Job, Loop
from wrp.runtime.waiting.period import period_missed, period_next

EXCEPTION = 99                  # return code of a handler in Python that raised
UNKNOWN_METHOD = -1
_CANCELS = 16                   # times that a coroutine is cancelled at the end before it is closed
_HEAD = tasks.NEXT_AT // 8      # words of a record that the loop looks at
_POOL, _METHOD, _COUNT, _ARGS, _DUE, _CANCEL, _PERIOD = (
    word // 8 for word in (tasks.POOL, tasks.METHOD, tasks.COUNT, tasks.ARGS, tasks.DUE, tasks.CANCEL, tasks.PERIOD))
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


class PythonLoop(Loop):
    """Serves the tasks of pools whose module is a Python class. `containers`: object by the pool's slot, `made`: how each was, its Made; `window`: a
    RemoteWindow, where containers go to other nodes; `modules`: class by the pool's slot, where tasks become one here."""

    def __init__(self, node, context, containers, made, window, modules=None):
        super().__init__(node, context)
        self.containers, self.made, self._window, self._jobs = containers, made, window, {}
        self._arriving, self.elsewhere = Arriving(self, node), set()        # records of tasks that have gone after their container
        self._joining = None if modules is None else Joining(self, node, modules)

    def __call__(self):
        enter(self)
        try:
            while self._turn():
                pass
            self._end_all()
        finally:
            enter(None)
            self.release()

    def _turn(self):
        """Take up what can go on, then one new task; False when the worker is to end."""
        due = 0 if self._joining is None else self._joining.turn()
        if self.take_up():
            offset = lane_poll(self._lane)
        else:
            offset = lane_next(self._lane, 0, min(due, self.next_due) or due or self.next_due)
        if offset >= 0:
            self._start(offset)
            return True
        return atomics.load(self._lane + lanes.STOP) == 0

    def _start(self, offset):
        """A task that has just come in, or word that one is to be cancelled (its offset + 1)."""
        if offset & 1:
            self._cancel_task(offset - 1)
            lanes.lane_done(self._lane)
            return
        at = offset // 8
        words = self._words[at:at + _HEAD].tolist()
        if is_far(words[_POOL]):
            self._joining.start(offset, words, tuple(self._words[(offset + tasks.LOCALS) // 8:][:2].tolist()))
        elif words[_CANCEL]:
            self._finish(offset, tasks.CANCELLED)
        elif words[_DUE] and time.monotonic_ns() >= words[_DUE]:
            self._finish(offset, tasks.DEADLINE)
        elif words[_PERIOD]:
            lanes.lane_done(self._lane)     # it never ends by itself: nobody is to wait for that
            self._jobs[offset] = job = Job(offset, self._periodic(offset, words), "periodic")
            self.arm(job, words[_DUE])
            self.step(job)
        else:
            self._call(offset, words)

    def _call(self, offset, words):
        begin = self.begin()
        code, values = self._called(offset, words)
        if inspect.iscoroutine(values):
            self._jobs[offset] = job = Job(offset, values, words[_METHOD])
            if words[_DUE]:
                self.arm(job, words[_DUE])
            self.step(job)
        else:
            if begin:
                block.meter_end(self._meter, begin, words[_POOL], words[_METHOD], offset, 1)
            self._finish(offset, code, values)

    def _called(self, offset, words):
        """Return code and what the method returned."""
        container = self.containers.get(words[_POOL])
        name = getattr(container, "methods", {}).get(words[_METHOD])
        if name is None:
            return self._special(offset, words, container)
        try:
            return 0, getattr(container, name)(*words[_ARGS:_ARGS + words[_COUNT]])
        except BaseException:               # sys.exit of a module ends no worker of others
            _log.exception("method %s (%d) of %s failed", name, words[_METHOD], type(container).__name__)
            return EXCEPTION, ()

    def _special(self, offset, words, container):
        """As `_called`, of what isn't a method of a container."""
        method, args, _ = self.task_of(words)
        if container is None:
            return NO_POOL, ()          # it was removed
        if method < 0 and self._window is not None:
            return 0, self._arriving.serve(words[_POOL], method, args)
        if isinstance(container, (Plugged, Gone)):
            return 0, container.serve(self, offset, words)
        if method == MIGRATE and self._window is not None:
            return 0, Leaving(self, self._window, words[_POOL], args[0]).run(offset, args[1] / 1000)
        return UNKNOWN_METHOD, ()

    @staticmethod
    def task_of(words):
        """(method, arguments, deadline in ns or 0) of a task by the words of its record."""
        return words[_METHOD], words[_ARGS:_ARGS + words[_COUNT]], words[_DUE]

    async def served(self, offset, words):
        """A task that had to wait for its container: a Coded."""
        code, values = self._called(offset, words)
        if inspect.iscoroutine(values):
            values = await values
        return values if isinstance(values, Coded) else Coded(code, values)

    def under_way(self, slot):
        """Records of the tasks in the slot that have begun here and wait."""
        return [offset for offset in self._jobs if self._words[offset // 8 + _POOL] == slot and offset not in self.elsewhere]

    def is_periodic(self, offset):
        return self._words[offset // 8 + _PERIOD] != 0

    @property
    def lane_number(self):
        return (self._lane_offset - self._node.layout.lanes) // self._node.layout.lane_nbytes

    async def _periodic(self, offset, words):
        """Run the method at every period until it is cancelled; what falls due meanwhile is counted, not made up for."""
        task, period, due = self._base + offset, words[_PERIOD], time.monotonic_ns()
        while True:
            code, values = self._called(offset, words)
            if inspect.iscoroutine(values):
                try:
                    await values
                except (Cancelled, GeneratorExit):
                    raise
                except BaseException:
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
        except BaseException:
            _log.exception("the results of a task of pool %d don't fit", self._words[offset // 8 + _POOL])
            python_finish(self._context.address, offset, EXCEPTION, 0, 0, 0, 0)

    def ended(self, job, value, error):
        """The task of the coroutine is done too, if it has one."""
        super().ended(job, value, error)
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
            self._finish(job.offset, *(value if isinstance(value, Coded) else (0, value)))

    def _cancel_task(self, offset):
        if self._joining is not None:
            self._joining.cancel(offset)
        job = self._jobs.get(offset)
        if job is not None and self._words[offset // 8 + _CANCEL]:
            self.cancel(job, Cancelled("the task was cancelled"))

    def _end_all(self):
        """Cancel what waits still: each coroutine gets the chance to clean up, and no more awaits than that."""
        for _ in range(_CANCELS):
            for job in list(self._jobs.values()):
                self.cancel(job, Cancelled("the runtime is being closed"))
            if self._joining is not None:
                self._joining.end_all()
            while self._ready:
                self.step(*self._ready.popleft())
        for job in list(self._jobs.values()):
            try:
                job.coroutine.close()
            except BaseException:
                _log.exception("a coroutine doesn't end after it was cancelled %d times", _CANCELS)
            self.ended(job, None, Cancelled("the runtime was closed"))


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
