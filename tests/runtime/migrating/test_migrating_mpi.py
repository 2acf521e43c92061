"""Containers that go from node to node while everybody calls them. Holds for any number of ranks; WRP_RANKS_PER_NODE makes several nodes."""

import os
import random
import threading
import time
import zlib

import pytest

from wrp.comm.ranks import world
from wrp.errors import UsageError, WrpError
from wrp.runtime import modules
from wrp.runtime.future import Reply
from wrp.runtime.runtime import Runtime
from wrp.runtime.waiting.coroutines import sleep

pytestmark = pytest.mark.mpi
_CONF = "runtime: {timeout_s: 25, segment_capacity: 32m}\nnetworking: {net_timeout: 20}\n"


class Count:
    """Counts; takes a ballast along. What is wrong with it can be asked for."""

    methods = {10: "add", 11: "add_slowly", 12: "where", 13: "spoil", 14: "forever", 15: "total"}
    ended = []

    def __init__(self, pool_name, ballast=1000, fails=""):
        self.sum, self.ballast, self.fails = 0, os.urandom(ballast), fails

    def add(self, number):
        self.sum += number
        return self.sum

    async def add_slowly(self, number):
        await sleep(0.002)
        self.sum += number
        return self.sum

    def where(self):
        return os.getpid(), zlib.crc32(self.ballast), len(self.ballast)

    def spoil(self, what):
        self.fails = ("", "save", "load", "bytes")[what]

    async def forever(self):
        await sleep(3600)

    def total(self):
        return self.sum

    def close(self):
        Count.ended.append(self.sum)

    def save(self):
        if self.fails == "save":
            raise RuntimeError("it can't be saved")
        return 5 if self.fails == "bytes" else b"%d %s " % (self.sum, self.fails.encode()) + self.ballast

    def load(self, state):
        total, fails, self.ballast = state.split(b" ", 2)
        if fails == b"load":
            raise RuntimeError("it can't be loaded")
        self.sum = int(total)


class Stays:
    methods = {10: "add"}

    def __init__(self, pool_name):
        pass

    def add(self, number):
        return number


modules.register("count", Count)
modules.register("stays", Stays)


@pytest.fixture
def job(configured):
    """(ranks, runtime), of several nodes."""
    ranks = world()
    if ranks.nodes == 1:
        pytest.skip("one node")
    with Runtime(ranks, configured(_CONF)) as runtime:
        yield ranks, runtime
        ranks.barrier("all have done with it")


def hammer(pool, container, is_over, seed):
    """Add 1 until it is over, by every way there is: the values that came back."""
    rng, values = random.Random(seed), []
    query = f"direct_id:{container}"
    while not is_over():
        kind = rng.randrange(4)
        if kind == 0:
            replies = [pool.call(10, 1, query=query)]
        elif kind == 1:
            replies = [pool.call(11, 1, query=query)]
        elif kind == 2:
            replies = pool.submit_many(10, [(1,)] * rng.randrange(1, 20), query=query).wait()
        else:
            replies = [future.wait() for future in [pool.submit(rng.choice((10, 11)), 1, query=query) for _ in range(rng.randrange(1, 20))]]
        assert all(reply.code == 0 for reply in replies), replies
        values += [reply.values[0] for reply in replies]
    return values


@pytest.mark.parametrize("shards", [1, 2])
def test_a_container_goes_round_while_all_call_it(job, shards):
    """Every addition gives a value of its own: together they are 1 to the total, so each ran exactly once."""
    ranks, runtime = job
    pool = runtime.pool("counts", "count", shards=shards)
    container, over = pool.containers.size - 1, threading.Event()
    values, wrong = [], []

    def call(seed):
        try:
            values.extend(hammer(pool, container, over.is_set, seed))
        except BaseException as error:
            wrong.append(error)

    ranks.barrier("the pool is there")
    threads = [threading.Thread(target=call, args=(2 * ranks.rank + number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    moves = 0
    if ranks.rank == 0:
        until = time.monotonic() + 2.5
        while time.monotonic() < until or moves < 2 * ranks.nodes:
            pool.migrate(container, (ranks.nodes - 1 + moves + 1) % ranks.nodes)
            moves += 1
            time.sleep(0.02)
    ranks.barrier("it has gone round")
    over.set()
    for thread in threads:
        thread.join()
    every = [value for part in ranks.gather(values, "values") for value in part]
    assert not [str(error) for errors in ranks.gather(wrong, "errors") for error in errors]
    assert sorted(every) == list(range(1, len(every) + 1)) and len(every) > 100
    assert pool.call(15, query=f"direct_id:{container}").values[0] == len(every)
    assert pool.call(15, query="broadcast").values[0] == len(every)             # once, wherever it is


def test_everything_comes_along(job):
    """Its bytes, more than go at once; and the pool's other containers stay."""
    ranks, runtime = job
    pool = runtime.pool("large", "count", ballast=700_000)
    ranks.barrier("the pool is there")
    if ranks.rank == 0:
        before = [pool.call(12, query=f"direct_id:{container}").values for container in range(ranks.nodes)]
        for node in [*range(1, ranks.nodes), 0, 0]:
            pool.migrate(0, node)
            after = [pool.call(12, query=f"direct_id:{container}").values for container in range(ranks.nodes)]
            assert after[0] == (before[node][0], *before[0][1:]) and after[1:] == before[1:]
    ranks.barrier("it is back")
    assert pool.call(12, query="direct_id:0").values[0] == pool.call(12, query="physical:0").values[0]


def test_tasks_become_one_on_the_way(job):
    ranks, runtime = job
    pool = runtime.pool("joined", "count")
    ranks.barrier("the pool is there")
    for node in range(ranks.nodes):
        if ranks.rank == 0:
            pool.migrate(0, node)
        ranks.barrier("it has moved")
        if ranks.local_rank == 0:
            assert pool.call(10, 1, query="all_to_one:0").values[0] == (node + 1) * ranks.nodes


def test_what_cant_move_stays_and_works(job):
    ranks, runtime = job
    pool, stays, last = runtime.pool("staying", "count"), runtime.pool("stays", "stays"), ranks.nodes - 1
    here = runtime.pool("one", "count", pool_query="physical:0")
    ranks.barrier("the pools are there")
    if ranks.rank == 0:
        for kind, sentence in ((1, "its `save` raised"), (2, "its class or its `load` raised on that node"), (3, "gave no bytes")):
            pool.call(13, kind, query="direct_id:0")
            with pytest.raises(WrpError, match=f"container 0 of pool 'staying' can't go to node {last}, and is where it was: .*{sentence}"):
                pool.migrate(0, last)
            assert pool.call(10, 1, query="direct_id:0").values[0] == kind
        pool.call(13, 0, query="direct_id:0")
        waiting = pool.submit(14, query="direct_id:0")
        with pytest.raises(WrpError, match="its tasks haven't ended within the deadline"):
            pool.migrate(0, last, drain_s=0.2)
        waiting.cancel()
        assert waiting.wait().code == 97
        periodic = pool.submit(10, 0, period_s=0.01, query="direct_id:0") if ranks.node == 0 else None
        with pytest.raises(WrpError, match="it has a periodic task"):
            pool.migrate(0, last)
        periodic.cancel()
        periodic.wait()
        for refused, container, node, sentence in ((stays, 0, last, "its module has no `save` and `load`"), (here, 0, last, "has no containers on that node"),
                                                   (pool, 0, 99, f"there are {ranks.nodes} nodes"), (pool, 99, 0, f"the pool has {ranks.nodes} containers"),
                                                   (runtime.pool("admin", "admin"), 0, last, "written in Python")):
            with pytest.raises(UsageError, match=sentence):
                refused.migrate(container, node)
        pool.migrate(0, last)
        assert pool.call(10, 1, query="direct_id:0").values[0] == 4
    ranks.barrier("all was tried")
    if ranks.rank == 0:
        assert pool.call(99, query="direct_id:0") == Reply(-1, (0, 0, 0, 0))


def test_tasks_that_wait_for_it_keep_their_deadlines_and_can_be_cancelled(job):
    ranks, runtime = job
    pool = runtime.pool("held", "count")
    ranks.barrier("the pool is there")
    if ranks.rank == 0:
        lingering = pool.submit(14, query="direct_id:0")
        moving = threading.Thread(target=pool.migrate, args=(0, ranks.nodes - 1))
        moving.start()
        time.sleep(0.1)                             # it is plugged
        late, cancelled, after = pool.submit(10, 100, deadline_s=0.1, query="direct_id:0"), pool.submit(10, 100, query="direct_id:0"), pool.submit(
            10, 1, query="direct_id:0")
        assert late.wait().code == 98
        cancelled.cancel()
        assert cancelled.wait().code == 97
        lingering.cancel()
        moving.join()
        assert (lingering.wait().code, after.wait().values[0]) == (97, 1)
    ranks.barrier("it has moved")


def test_a_pool_with_moved_containers_is_removed_and_made_again(job):
    ranks, runtime = job
    for _ in range(2):
        pool = runtime.pool("coming", "count")
        ranks.barrier("the pool is there")
        if ranks.rank == 0:
            assert pool.call(10, 5, query="direct_id:0").values[0] == 5
            pool.migrate(0, ranks.nodes - 1)
        ranks.barrier("it has moved")
        assert pool.call(15, query="direct_id:0").values[0] == 5
        ranks.barrier("all have looked")
        runtime.remove("coming")
        ranks.barrier("it is removed")
