"""Modules for the tests of tasks that wait: one of coroutines, one of jitted handlers."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.errors import UsageError
from wrp.runtime import handlers, modules
from wrp.runtime.handlers import EXCLUSIVE, RETRY, SHARED, argument, call, keep, kept, lock_leave, result, wait_calls, wait_lock, wait_timer
from wrp.runtime.waiting import Cancelled, CoMutex, CoRwLock, gather, in_thread, sleep


_NO_LOOP = SimpleNamespace(get_debug=lambda: False)


class Waits:
    """Coroutines. `log` says in which order things happened."""

    methods = {10: "nap", 11: "relay", 12: "guarded", 13: "read", 14: "write", 15: "fan_out", 16: "blocked", 17: "cleanup", 18: "tick",
               19: "until", 20: "open_gate", 21: "broken", 22: "both", 23: "short", 24: "foreign"}

    def __init__(self, pool_name):
        self.log, self.pool = [], None
        self.mutex, self.lock = CoMutex(), CoRwLock()
        self.is_open, self.waiting = False, 0
        self.may_end = threading.Event()

    def started(self, pool):
        self.pool = pool

    async def nap(self, duration_us, number):
        await sleep(duration_us / 1e6)
        self.log.append(number)
        return number

    async def relay(self, method, *args):
        reply = await self.pool.call_async(method, *args)
        return reply.code, *reply.values[:3]

    async def until(self):
        """Wait for `open_gate`, a task of the same worker."""
        self.waiting += 1
        while not self.is_open:
            await sleep(0.001 if self.waiting < 1000 else 1)

    def open_gate(self):
        self.is_open = True

    async def guarded(self, number):
        async with self.mutex:
            self.log.append(("in", number))
            await self.until()
            self.log.append(("out", number))

    async def read(self, number):
        async with self.lock.shared():
            self.log.append(("reads", number))
            await self.until()

    async def write(self, number):
        async with self.lock.exclusive():
            self.log.append(("writes", number))
            await sleep(0)

    async def fan_out(self, count):
        replies = await gather(*[self.pool.call_async(10, 0, number) for number in range(count)])
        return sum(reply.values[0] for reply in replies)

    async def both(self):
        return (await gather(sleep(0), self.nap(0, 5)))[1]

    async def blocked(self, number):
        return await in_thread(self._wait_for_event, number)

    def _wait_for_event(self, number):
        if not self.may_end.wait(20):
            raise TimeoutError
        return number

    async def cleanup(self):
        try:
            await sleep(1000)
        except Cancelled as error:
            self.log.append(type(error).__name__)
            raise

    def tick(self):
        self.log.append("tick")

    async def broken(self):
        await sleep(0)
        raise ValueError("as the test wants it")

    async def foreign(self):
        with pytest.raises(UsageError, match="can't be awaited on a Python worker"):
            await asyncio.sleep(0)
        with pytest.raises(UsageError, match="can't be awaited on a Python worker"):
            await asyncio.Future(loop=_NO_LOOP)

    async def short(self):
        await self.pool.call_async(17, timeout_s=0.01)


@kernel
def after(context, task, state, step):
    """Wait argument 0 (us), then say argument 1 and the step."""
    if step == 0:
        return wait_timer(context, task, argument(task, 0) * 1000)
    if step < 0:
        atomics.add(state + 256, 1)
        return 0
    result(task, 0, argument(task, 1))
    result(task, 1, step)
    return 0


@kernel
def fan_out(context, task, state, step):
    """Call method 0 of pool (argument 0) argument 1 times; the sum."""
    if step == 0:
        while kept(task, 1) != 7 or kept(task, 0) < argument(task, 1):
            if kept(task, 1) != 7:
                keep(task, 0, 0)
                keep(task, 1, 7)
                if argument(task, 1) == 0:
                    break
            if call(context, task, argument(task, 0), 0, 0, kept(task, 0), 0, 0, 0, 0) == RETRY:
                return RETRY
            keep(task, 0, kept(task, 0) + 1)
        keep(task, 1, 0)
        return wait_calls(context, task)
    result(task, 0, handlers.child_value(task, 0))
    return handlers.child_code(task)


@kernel
def locked(context, task, state, step):
    """Argument 0: EXCLUSIVE or SHARED. Hold the lock until the gate (word 9 of the state) is open; count who holds it."""
    if step == 0:
        return wait_lock(context, task, state, argument(task, 0))
    if step < -2:                               # it had the lock
        lock_leave(context, state)
        return 0
    if step < 0:
        return 0
    if step == 1:
        number = atomics.add(state + 64, 1) + 1
        atomics.add(state + 80, 1)
        result(task, 0, number)                 # who came how manieth
        result(task, 1, atomics.load(state + 80))
    if atomics.load(state + 72) == 0:
        return wait_timer(context, task, 1_000_000)
    atomics.add(state + 80, -1)
    lock_leave(context, state)
    return 0


@kernel
def gate(context, task, state, step):
    atomics.store(state + 72, argument(task, 0))
    result(task, 0, atomics.load(state + 64))
    result(task, 1, atomics.load(state + 256))
    result(task, 2, atomics.load(state))
    return 0


@kernel
def outside(context, task, state, step):
    """Wait for something that another thread does; its place is in word 20 of the state."""
    if step == 0:
        offset = handlers.expect(context, task)
        if offset == RETRY:
            return RETRY
        atomics.store(state + 160, offset)
        return wait_calls(context, task)
    result(task, 0, handlers.child_value(task, 0))
    return handlers.child_code(task)


@kernel
def tick(context, task, state, step):
    atomics.add(state + 168, 1)
    return 0


@kernel
def busy(context, task, state, step):
    """Keep the worker busy for some microseconds."""
    until = atomics.now_ns() + 1000 * argument(task, 0)
    while atomics.now_ns() < until:
        atomics.pause()
    return 0


class Steps:
    """The same with jitted handlers."""

    kernels = {0: after, 1: fan_out, 2: locked, 3: gate, 4: outside, 5: tick, 6: busy}
    LOCK_MODES = EXCLUSIVE, SHARED

    def __init__(self, pool_name):
        self.words = None

    def prepare(self, words):
        words[30] = 77


modules.register("waits", Waits)
modules.register("steps", Steps)
