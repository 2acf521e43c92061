"""Coroutines of a Python worker: awaiting time, tasks, threads and locks; cancelling, deadlines, periods, groups."""

import threading

import pytest

from wrp.comm.ranks.solo import Solo
from wrp.errors import UsageError, WaitTimeout
from wrp.runtime import admin, tasks
from wrp.runtime.runtime import Runtime
from wrp.runtime.waiting import CoMutex, sleep


def test_a_sleeper_lets_others_run(waits):
    pool, container = waits
    late = pool.submit(10, 50_000, 1)
    soon = pool.submit(10, 1_000, 2)
    assert (soon.wait().values[0], late.wait().values[0]) == (2, 1)
    assert container.log == [2, 1]


def test_a_task_awaits_one_of_its_own_worker(waits):
    pool, _ = waits
    assert pool.call(11, 10, 0, 7).values == (0, 7, 0, 0)
    assert pool.call(11, 11, 11, 10, 0, 8).values == (0, 0, 0, 8)       # three deep
    assert pool.call(11, 77).values[0] == -1


def test_a_task_awaits_one_of_another_worker(runtime, waits):
    pool, container = waits
    with pytest.raises(UsageError, match="no pool 'nobody'"):
        pool.other("nobody")
    container.pool = pool.other("admin")
    assert pool.call(11, admin.MONITOR, 0).values[0] == 0


def test_many_at_once(waits):
    pool, _ = waits
    assert pool.call(15, 300).values[0] == 300 * 299 // 2
    assert pool.call(22).values[0] == 5


def test_errors_come_out_of_an_await(waits):
    pool, _ = waits
    assert pool.call(21).code == 99
    assert pool.call(23).code == 99             # WaitTimeout of a call that was given up
    assert pool.call(10, 0, 1).code == 0


def test_what_belongs_to_another_event_loop_is_refused(waits):
    pool, _ = waits
    assert pool.call(24).code == 0


def test_holder_and_waiter_of_a_mutex_sit_on_one_worker(waits, until):
    pool, container = waits
    futures = [pool.submit(12, number) for number in range(3)]
    until(lambda: container.log == [("in", 0)])
    assert pool.call(20).code == 0              # the worker isn't held up
    assert [future.wait().code for future in futures] == [0, 0, 0]
    assert container.log == [(word, number) for number in range(3) for word in ("in", "out")]


def test_readers_share_and_writers_do_not_starve(waits, until):
    pool, container = waits
    futures = [pool.submit(method, number) for number, method in enumerate((13, 13, 14, 13))]
    until(lambda: len(container.log) == 2)
    assert pool.call(20).code == 0
    assert all(future.wait().code == 0 for future in futures)
    assert container.log == [("reads", 0), ("reads", 1), ("writes", 2), ("reads", 3)]


def test_a_waiter_of_a_lock_that_is_cancelled_lets_those_behind_it_pass(waits, until):
    pool, container = waits
    futures = [pool.submit(method, number) for number, method in enumerate((13, 14, 13))]
    until(lambda: container.log == [("reads", 0)])
    futures[1].cancel()
    assert futures[1].wait().code == tasks.CANCELLED
    until(lambda: container.log == [("reads", 0), ("reads", 2)])
    pool.call(20)
    assert [futures[0].wait().code, futures[2].wait().code] == [0, 0]


def test_threads_do_what_blocks(waits):
    pool, container = waits
    future = pool.submit(16, 4)
    assert pool.call(10, 0, 1).code == 0
    container.may_end.set()
    assert future.wait() == (0, (4, 0, 0, 0))


def test_a_waiting_task_is_cancelled_at_its_await(waits, until):
    pool, container = waits
    future = pool.submit(17)
    assert pool.call(10, 0, 1).code == 0
    future.cancel()
    assert future.wait().code == tasks.CANCELLED
    assert container.log == [1, "Cancelled"]


def test_a_deadline_ends_a_wait_and_keeps_late_tasks_from_beginning(waits):
    pool, container = waits
    assert pool.submit(17, deadline_s=0.2).wait().code == tasks.DEADLINE
    assert container.log == ["DeadlineOver"]
    assert pool.submit(10, 0, 1, deadline_s=-1).wait().code == tasks.DEADLINE
    assert pool.submit(10, 0, 2, deadline_s=100).wait().code == 0
    assert container.log == ["DeadlineOver", 2]


def test_a_periodic_task_runs_until_it_is_cancelled(waits, until):
    pool, container = waits
    future = pool.submit(18, period_s=0.002)
    until(lambda: future.runs[0] >= 5)
    future.cancel()
    code, (runs, missed, *_) = future.wait()
    assert code == tasks.CANCELLED
    assert runs == container.log.count("tick") >= 5
    assert missed >= 0
    with pytest.raises(UsageError, match="more than 0"):
        pool.submit(18, period_s=0)


def test_groups_batches_and_posts(waits):
    pool, container = waits
    with pool.group() as group:
        group.submit_many(10, [(0, number) for number in range(50)])
        group.submit(77)
    assert [reply.values[0] for reply in group.replies[:50]] == list(range(50))
    assert group.code == -1
    assert [future.wait().values[0] for future in pool.submit_many(10, [(0, 9)] * 1500)] == [9] * 1500      # more than the lane holds
    before = len(container.log)
    for _ in range(20):
        pool.post(10, 0, 3)
    pool.call(10, 1000, 4)
    assert len(container.log) >= before + 21
    with pytest.raises(UsageError, match="different lengths"):
        pool.submit_many(10, [(1,), (1, 2)])


def test_a_group_that_is_too_late_is_cancelled(waits):
    pool, container = waits
    group = pool.group()
    late = [group.submit(17) for _ in range(3)]
    with pytest.raises(WaitTimeout, match="method 17 of pool 'waits'"):
        group.wait(0.01)
    assert [future.wait().code for future in late[1:]] == [tasks.CANCELLED] * 2     # the first was given up


def test_the_end_of_the_runtime_cancels_what_waits(configured, runtime):
    pool = runtime.pool("waits", "waits")
    container = runtime._containers[pool.number]
    future = pool.submit(17)
    pool.call(10, 0, 1)
    runtime.close()
    assert container.log == [1, "Cancelled"]
    assert future.reply is None


def test_a_runtime_is_not_closed_under_a_blocking_call_however_often_that_is_tried(configured, until):
    """Its thread tells the worker when it has ended, in memory that would have gone."""
    runtime = Runtime(Solo(), configured("runtime: {timeout_s: 0.2, segment_capacity: 64m}"))
    container = runtime._containers[runtime.pool("waits", "waits").number]
    runtime._pools["waits"].submit(16, 5)
    until(lambda: any(thread.name.startswith("wrp-io-") for thread in threading.enumerate()))
    for _ in range(4):
        with pytest.raises(WaitTimeout, match="a method of a user's module still runs"):
            runtime.close()
    container.may_end.set()
    until(lambda: all(worker.stop(0) for worker in runtime._workers))
    runtime.close()


def test_awaiting_elsewhere_is_refused(runtime):
    with pytest.raises(UsageError, match="run on a Python worker"):
        sleep(1).__await__().send(None)
    with pytest.raises(UsageError, match="of one Python worker only"):
        CoMutex().__aenter__().send(None)


def test_a_worker_does_not_wait_for_room_in_its_own_lane(configured, waits):
    pool, container = waits
    assert pool.call(15, 3000).values[0] == 3000 * 2999 // 2        # more than the lane holds, awaited


def test_100_000_tasks_wait_at_once(runtime, waits, until):
    pool, container = waits
    count, batch = 100_000, 10_000
    for _ in range(count // batch):
        assert len(pool.submit_many(19, [()] * batch, timeout_s=60)) == batch       # nobody keeps their futures
    until(lambda: container.waiting == count)
    assert pool.call(20).code == 0
    assert runtime.pool("admin", "admin").call(admin.FLUSH, timeout_s=60).code == 0
