"""Short tasks of other nodes, which a postman runs itself, and callers that do a postman's work. Holds for any number of ranks and nodes."""

import threading
import time

import pytest

from wrp.comm.jit import kernel
from wrp.comm.ranks import world
from wrp.runtime import admin, handlers, modules
from wrp.runtime.config import load
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi
_ROUNDS = 60


@kernel
def _twice(context, task, state, step):
    handlers.result(task, 0, 2 * handlers.argument(task, 0))
    return 0


@kernel
def _later(context, task, state, step):
    """The argument, after a timer and with the lock held meanwhile."""
    if step == 0:
        return handlers.wait_lock(context, task, state, handlers.EXCLUSIVE)
    if step == 1:
        return handlers.wait_timer(context, task, handlers.argument(task, 1))
    handlers.lock_leave(context, state)
    handlers.result(task, 0, handlers.argument(task, 0))
    return 0


@kernel
def _ask(context, task, state, step):
    """Twice the argument, from the pool with the number of the second one."""
    if step == 0:
        return handlers.call(context, task, handlers.argument(task, 1), 10, handlers.argument(task, 0), 0, 0, 0, 0, 0) or handlers.wait_calls(context, task)
    handlers.result(task, 0, handlers.child_value(task, 0))
    return 0


class Brief:
    kernels = {10: _twice, 11: _later, 12: _ask}
    short = 10, 11, 12

    def __init__(self, pool_name):
        pass


modules.register("brief", Brief)


@pytest.fixture
def runtime():
    with Runtime(world(), load(None, {"WRP_TIMEOUT_S": "25"})) as runtime:
        yield runtime


def test_every_way_a_short_task_can_go(runtime):
    pool, ranks = runtime.pool("brief", "brief", shards=2), runtime.ranks
    for container in range(pool.containers.size):
        way = f"direct_id:{container}"
        for number in range(_ROUNDS):
            assert pool.call(10, number, query=way).values[0] == 2 * number
        assert pool.call(12, 4, pool.number, query=way).values[0] == 8
        # those that wait for a timer and for each other, ended by the worker
        futures = [pool.submit(11, number, 2_000_000, query=way) for number in range(6)]
        assert [future.wait().values[0] for future in futures] == list(range(6))
        assert pool.submit(11, 1, 60_000_000_000, query=way, deadline_s=0.1).wait().code == 98
    ranks.barrier("all have been everywhere")
    assert pool.call(10, 1).values[0] == 2


def test_tasks_that_were_run_elsewhere_are_counted_and_wake_no_worker(runtime):
    ranks, pool = runtime.ranks, runtime.pool("admin", "admin")
    other = f"physical:{(ranks.node + 1) % ranks.nodes}"
    ranks.barrier("nobody calls")
    if ranks.rank == 0 and ranks.nodes > 1:
        before = pool.call(admin.MONITOR, 0, query=other).values
        for _ in range(_ROUNDS):
            time.sleep(0.002)               # the worker sleeps again
            pool.call(admin.MONITOR, 0, query=other)
        after = pool.call(admin.MONITOR, 0, query=other).values
        assert after[0] - before[0] == _ROUNDS + 1
        assert after[1] - before[1] < _ROUNDS / 4
    ranks.barrier("the calls are over")
    assert pool.call(admin.FLUSH).code == 0             # nothing counts as unfinished, nor more than once
    ranks.barrier("all have flushed")


def test_threads_of_a_rank_take_turns_for_the_postman(runtime):
    pool, ranks = runtime.pool("brief", "brief"), runtime.ranks
    wrong = []

    def call(first):
        for number in range(first, first + _ROUNDS):
            for node in range(ranks.nodes):
                if pool.call(10, number, query=f"direct_id:{node}").values[0] != 2 * number:
                    wrong.append(number)

    threads = [threading.Thread(target=call, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(25)
    assert not wrong and not any(thread.is_alive() for thread in threads)
    ranks.barrier("all threads have ended")
