"""Jitted handlers that wait: timers, subtasks, locks on one worker, cancelling, deadlines, periods; many at once."""

import threading
import time

import pytest

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.ranks.solo import Solo
from wrp.errors import ConfigError, WaitTimeout
from wrp.runtime import admin, lanes, layout, modules, records, tasks
from wrp.runtime.handlers import EXCLUSIVE, SHARED
from wrp.runtime.runtime import Runtime

AFTER, FAN_OUT, LOCKED, GATE, OUTSIDE, TICK, BUSY = range(7)


def state_of(runtime, pool):
    return runtime.node.address + atomics.load(pool._slot.params)


def test_a_later_step_and_the_prepared_state(runtime, steps):
    assert steps.call(AFTER, 100, 5) == (0, (5, 1, 0, 0))
    assert atomics.load(state_of(runtime, steps) + 240) == 77
    assert steps.call(9).code == -1
    assert steps.call(64).code == -1


def test_a_sleeper_lets_others_run(steps):
    late = steps.submit(AFTER, 100_000, 1)
    assert steps.call(AFTER, 100, 2).values[0] == 2
    assert late.reply is None and not tasks.task_wait(late._pool._node.address + late.offset, 0, 0)
    assert late.wait().values[0] == 1


def test_subtasks_of_the_same_worker(steps):
    for count in (0, 1, 2, 300, 0):
        assert steps.call(FAN_OUT, steps.number, count) == (0, (count * (count - 1) // 2, 0, 0, 0))


def test_more_subtasks_than_the_lane_holds(steps):
    """The handler finds no room, waits a moment, and the worker takes others in between: nothing stands still."""
    assert steps.call(FAN_OUT, steps.number, 5000).values[0] == 5000 * 4999 // 2


def test_codes_of_subtasks(runtime, steps):
    admins = runtime.pool("admin", "admin")
    assert steps.call(FAN_OUT, admins.number, 3).code == -1         # admin has no method 0


def test_holder_and_waiter_sit_on_one_worker(runtime, steps, until):
    futures = [steps.submit(LOCKED, EXCLUSIVE) for _ in range(3)]
    assert steps.call(GATE, 0).values[0] == 1                       # one is in, and the worker goes on
    assert steps.call(GATE, 1).code == 0
    assert [future.wait().values[:2] for future in futures] == [(1, 1), (2, 1), (3, 1)]
    assert steps.call(GATE, 0).values[2] == 0                       # the lock is free


def test_readers_share_and_writers_do_not_starve(steps, until):
    futures = [steps.submit(LOCKED, mode) for mode in (SHARED, SHARED, EXCLUSIVE, SHARED)]
    until(lambda: steps.call(GATE, 0).values[0] == 2)
    assert steps.call(GATE, 0).values[0] == 2                       # the reader behind the writer waits
    steps.call(GATE, 1)
    replies = [future.wait() for future in futures]
    assert [reply.values[0] for reply in replies] == [1, 2, 3, 4]
    assert [replies[number].values[1] for number in (2, 3)] == [1, 1]


def test_cancelled_holders_and_waiters_leave_the_lock(steps):
    futures = [steps.submit(LOCKED, EXCLUSIVE) for _ in range(4)]
    for number in (1, 0):                                           # one that waits, then the holder
        futures[number].cancel()
        assert futures[number].wait().code == tasks.CANCELLED
    steps.call(GATE, 1)
    assert [futures[number].wait().code for number in (2, 3)] == [0, 0]
    assert steps.call(GATE, 0).values[2] == 0


def test_what_another_thread_does(runtime, steps, until):
    future = steps.submit(OUTSIDE)
    place, base = state_of(runtime, steps) + 160, runtime.node.address
    until(lambda: atomics.load(place))
    assert steps.call(AFTER, 0, 3).values[0] == 3

    def finish():
        child = atomics.load(place)
        tasks.task_value(base + child, 0, 41)
        tasks.task_finish(base, base + runtime.node.layout.free, child, 6)

    thread = threading.Thread(target=finish)
    thread.start()
    assert future.wait() == (6, (41, 0, 0, 0))
    thread.join()


def test_cancelling_and_deadlines(steps):
    future = steps.submit(AFTER, 1 << 40, 1)
    steps.call(AFTER, 0, 0)
    future.cancel()
    assert future.wait().code == tasks.CANCELLED
    assert steps.submit(AFTER, 1 << 40, 1, deadline_s=0.2).wait().code == tasks.DEADLINE
    assert steps.submit(AFTER, 0, 1, deadline_s=-1).wait().code == tasks.DEADLINE
    assert steps.submit(AFTER, 0, 1, deadline_s=100).wait().code == 0
    assert steps.call(GATE, 0).values[1] == 2                       # the two that had begun were told


def test_a_periodic_task(runtime, steps, until):
    future = steps.submit(TICK, period_s=0.001)
    until(lambda: future.runs[0] >= 5)
    assert runtime.pool("admin", "admin").call(admin.FLUSH).code == 0       # it isn't waited for
    future.cancel()
    code, (runs, _, *_) = future.wait()
    assert code == tasks.CANCELLED
    assert runs == atomics.load(state_of(runtime, steps) + 168) >= 5


def test_a_periodic_task_keeps_its_period_while_new_tasks_never_run_out(steps, until):
    period_s, over, least = 0.005, threading.Event(), []

    def load():
        """At least a batch of 20 ms is always in the lane."""
        batches = [steps.submit_many(BUSY, [(200,)] * 100) for _ in range(2)]
        while not over.is_set():
            batches.append(steps.submit_many(BUSY, [(200,)] * 100))
            batches.pop(0).wait()
        for batch in batches:
            batch.wait()

    loading = threading.Thread(target=load)
    loading.start()
    try:
        until(lambda: lanes.lane_waiting(steps._lane) > 100)
        future = steps.submit(TICK, period_s=period_s)
        until(lambda: future.runs[0])       # the first run waits for its turn: the grid begins with it
        began = time.monotonic()
        for number in range(20):            # only a lane that is empty would let them run if they came last
            until(lambda: future.runs[0] > number)
            least.append(lanes.lane_waiting(steps._lane))
        now, seen = time.monotonic(), future.runs[0]
        until(lambda: future.runs[0] > seen)
        runs, missed = future.runs
        assert runs + missed >= (now - began) // period_s       # every time it was due it was run or counted
        assert sorted(least)[len(least) // 2] > 0
        future.cancel()
        assert future.wait().code == tasks.CANCELLED
    finally:
        over.set()
        loading.join()


def test_flush_waits_for_tasks_that_wait(runtime, steps):
    flag = steps.submit(AFTER, 20_000, 1)
    assert runtime.pool("admin", "admin").call(admin.FLUSH).code == 0
    assert tasks.task_wait(runtime.node.address + flag.offset, 0, 0)


def test_the_end_of_the_runtime_calls_off_what_waits(runtime, steps):
    held = [steps.submit(LOCKED, EXCLUSIVE) for _ in range(3)]
    held.append(steps.submit(AFTER, 1 << 40, 1))
    steps.call(GATE, 0)
    runtime.close()
    assert all(future.reply is None for future in held)


def test_100_000_tasks_wait_at_once(runtime, steps, until):
    count, batch = 100_000, 10_000
    futures = [future for _ in range(count // batch) for future in steps.submit_many(LOCKED, [(EXCLUSIVE,)] * batch, timeout_s=60)]
    assert steps.call(GATE, 1).values[0] == 1                       # all others wait for the first
    assert runtime.pool("admin", "admin").call(admin.FLUSH, timeout_s=60).code == 0
    assert [future.wait().values[0] for future in futures] == list(range(1, count + 1))


def test_a_full_pool_of_records_makes_handlers_and_callers_wait(configured, monkeypatch):
    monkeypatch.setattr(layout, "most_records", lambda: 0)
    with Runtime(Solo(), configured("runtime: {queue_depth: 4, timeout_s: 20}")) as runtime:
        pool = runtime.pool("steps", "steps")
        assert runtime.node.layout.most_records == 64
        assert pool.call(FAN_OUT, pool.number, 1000).values[0] == 1000 * 999 // 2
        futures = [pool.submit(AFTER, 0, number) for number in range(64)]
        with pytest.raises(WaitTimeout, match="found no room for 0.1 s: no record"):
            pool.submit(AFTER, 0, 64, timeout_s=0.1)
        with pytest.raises(WaitTimeout, match="found no room for 0.1 s"):
            pool.submit_many(AFTER, [(0, 64)] * 5, timeout_s=0.1)
        assert [future.wait().values[0] for future in futures] == list(range(64))
        with pytest.raises(WaitTimeout, match="found no room for 0.2 s"):       # those that found room are forgotten, not lost
            pool.submit_many(AFTER, [(0, 64)] * 70, timeout_s=0.2)
        assert [pool.call(AFTER, 0, number).values[0] for number in range(70)] == list(range(70))


def test_records_grow_when_all_are_in_use(configured):
    with Runtime(Solo(), configured("runtime: {queue_depth: 4, timeout_s: 20}")) as runtime:
        pool = runtime.pool("steps", "steps")
        assert records.count(runtime.node.address, runtime.node.layout) == 64
        futures = [pool.submit(AFTER, 0, number) for number in range(300)]
        assert [future.wait().values[0] for future in futures] == list(range(300))
        assert records.count(runtime.node.address, runtime.node.layout) == 512


@kernel
def _wrong(task):
    return 0


@kernel
def _late(context, task, state, step):
    return 0


@pytest.mark.parametrize("kernels, sentence", [({10: _wrong}, "no kernel of .context"), ({10: len}, "no kernel of .context"),
                                               ({64: _late}, "numbers from 0 to 63")])
def test_handlers_that_are_refused(runtime, kernels, sentence):
    modules.register("wrong", type("Wrong", (), {"kernels": kernels, "__init__": lambda self, name: None}))
    with pytest.raises(ConfigError, match=sentence):
        runtime.pool("wrong", "wrong")
