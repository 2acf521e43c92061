"""Tasks between nodes. Holds for any number of ranks; WRP_RANKS_PER_NODE makes several nodes."""

import os
import sys
import time

import pytest

from wrp.comm import remote
from wrp.comm.checksum import hash64
from wrp.comm.jit import kernel
from wrp.comm.ranks import world
from wrp.errors import UsageError
from wrp.runtime import handlers, modules
from wrp.runtime.config import load
from wrp.runtime.postman.desk import ROWS
from wrp.runtime.routing import PoolQuery
from wrp.runtime.runtime import Runtime
from wrp.runtime.waiting.coroutines import sleep

pytestmark = pytest.mark.mpi
_CONF = "runtime: {timeout_s: 25, segment_capacity: 32m}\nnetworking: {mailbox_depth: %d, neighborhood_size: 2, net_timeout: 20}\n"


class Place:
    """Says where it is, waits, calls others."""

    methods = {10: "where", 11: "slow", 12: "ask", 13: "most", 14: "count", 15: "fail", 16: "where", 17: "where"}

    def __init__(self, pool_name):
        self.calls, self._pool = 0, None

    def started(self, pool):
        self._pool = pool

    def where(self, number=0, *_):
        return os.getpid(), number, 1

    async def slow(self, duration_ms):
        await sleep(duration_ms / 1000)
        return 1

    async def ask(self, container, number):
        reply = await self._pool.call_async(10, number, query=f"direct_id:{container}")
        return reply.values[1] + 1, reply.values[0]

    def most(self, number):
        return os.getpid(), number

    def count(self, number=0):
        self.calls += 1
        return self.calls, number

    def fail(self):
        raise ValueError("on purpose")

    @staticmethod
    def route(method, args):
        return f"direct_hash:{args[0]}" if method == 10 and args else "local"

    @staticmethod
    def aggregate(method, replies):
        bad = next((reply.code for reply in replies if reply.code), 0)
        if method == 13:
            return bad, max(reply.values for reply in replies)
        if method == 16:
            sys.exit("on purpose")
        if method == 17:
            return bad, (1 << 70,)
        return bad, tuple(map(sum, zip(*(reply.values for reply in replies))))


@kernel
def _ask_others(context, task, state, step):
    if step == 0:
        return handlers.call(context, task, handlers.argument(task, 0), 10, handlers.argument(task, 1), 0, 0, 0, 0, 0) or handlers.wait_calls(context, task)
    handlers.result(task, 0, handlers.child_value(task, 1))
    return handlers.child_code(task)


class Asker:
    kernels = {10: _ask_others}

    def __init__(self, pool_name):
        pass


modules.register("place", Place)
modules.register("asker", Asker)


@pytest.fixture(params=[(4, True), (128, True), (4, False)], ids=["tiny-rings", "rings", "tiny-rings-in-python"])
def runtime(request, tmp_path, monkeypatch):
    ranks, (depth, has_symbols) = world(), request.param
    if not has_symbols:             # as with a library of MPI in which its functions aren't found
        monkeypatch.setattr(remote, "calls_of", lambda window, comm: None)
    (tmp_path / "c.yaml").write_text(_CONF % depth)
    with Runtime(ranks, load(str(tmp_path / "c.yaml"), {})) as runtime:
        yield runtime


def together(runtime, what="a step of the test"):
    runtime.ranks.barrier(what)


def test_results_that_cannot_be_brought_together_end_no_postman(runtime):
    pool = runtime.pool("place", "place")
    if runtime.ranks.nodes > 1:             # else the caller does it himself
        for method in (16, 17):
            assert pool.call(method, query="broadcast").code == 99
    assert pool.call(13, 7, query="broadcast").code == 0
    together(runtime)


def test_routes_reach_the_containers_they_name(runtime):
    pool, nodes = runtime.pool("place", "place", shards=2), runtime.ranks.nodes
    size = pool.containers.size
    assert size == 2 * nodes
    pids = [pool.call(10, query=f"direct_id:{container}").values[0] for container in range(size)]
    assert len(set(runtime.ranks.gather(tuple(pids), "who is where"))) == 1             # the same from every rank
    assert [reply.values[0] for reply in pool.call_each(10, 0)] == pids
    for node in range(nodes):
        assert pool.call(10, query=f"physical:{node}").values[0] == pids[2 * node]
    assert pool.call(10, query="local").values[0] == pids[2 * runtime.ranks.node]
    assert pool.call(10, 3, query="broadcast").values[1:3] == (3 * size, size)
    assert pool.call(10, 3, query="range:1:%d" % (size - 1)).values[1:3] == (3 * size - 3, size - 1)
    together(runtime)


def test_the_hash_of_a_name_finds_one_container_from_everywhere(runtime):
    pool, ranks = runtime.pool("place", "place", shards=2), runtime.ranks
    found = [pool.call(10, query=PoolQuery.direct_hash(hash64(f"blob {number}".encode()))).values[0] for number in range(16)]
    assert len(set(ranks.gather(tuple(found), "containers of names"))) == 1
    assert ranks.nodes == 1 or len(set(found)) > 1
    # and the module's own route, asked where a task names none
    assert [pool.call(10, number).values[0] for number in range(6)] == [pool.call(10, number, query=f"direct_hash:{number}").values[0] for number in range(6)]
    together(runtime)


def test_results_are_brought_together(runtime):
    pool = runtime.pool("place", "place", shards=3)
    assert pool.call(13, 7, query="broadcast").values[0] == max(reply.values[0] for reply in pool.call_each(13, 7))
    assert pool.call(15, query="broadcast").code == 99
    assert {reply.code for reply in pool.call_each(15)} == {99}
    together(runtime)


def test_many_tasks_in_all_directions(runtime):
    pool, ranks = runtime.pool("place", "place"), runtime.ranks
    futures = [pool.submit_many(10, [(number,) for number in range(200)], query=f"direct_id:{node}") for node in range(ranks.nodes)]
    for each in futures:
        assert [future.wait().values[1] for future in each] == list(range(200))
    together(runtime)


def test_more_tasks_wait_at_once_than_the_kernel_has_rows(runtime):
    pool, ranks = runtime.pool("place", "place"), runtime.ranks
    other = f"direct_id:{(ranks.node + 1) % ranks.nodes}"
    together(runtime)
    if ranks.rank == 0:
        futures = pool.submit_many(11, [(50,)] * (ROWS + 200), query=other)
        futures[7].cancel()
        assert futures[7].wait().code in (0, 97)
        assert {future.wait().values[0] for future in futures[8:]} == {1}
        assert pool.call(10, 3, query=other).values[1] == 3
    together(runtime)


def test_handlers_call_containers_of_other_nodes(runtime):
    pool, ranks = runtime.pool("place", "place"), runtime.ranks
    asker = runtime.pool("asker", "asker")
    for other in range(ranks.nodes):
        reply = pool.call(12, other, 5, query="physical:0")
        assert (reply.code, reply.values[0]) == (0, 6)
        futures = pool.submit_many(12, [(other, number) for number in range(50)], query=f"direct_id:{ranks.nodes - 1}")
        assert [future.wait().values[0] for future in futures] == list(range(1, 51))
        way = pool.towards(f"direct_id:{other}")
        assert asker.call(10, way.number, 9).values[0] == 9
    together(runtime)


def test_cancel_and_deadline_reach_other_nodes(runtime):
    pool, ranks = runtime.pool("place", "place"), runtime.ranks
    other = f"direct_id:{(ranks.node + 1) % ranks.nodes}"
    future = pool.submit(11, 60_000, query=other)
    time.sleep(0.05)
    future.cancel()
    assert (future.wait().code, future.wait().meaning) == (97, "the task was cancelled")
    assert pool.submit(11, 60_000, query=other, deadline_s=0.2).wait().code == 98
    everywhere = pool.submit(11, 60_000, query="broadcast")
    time.sleep(0.05)
    everywhere.cancel()
    assert everywhere.wait().code == 97
    pool.post(14, query=other)
    if ranks.nodes > 1:
        with pytest.raises(UsageError, match="of one container of this node"):
            pool.submit(14, query="broadcast", period_s=1.0)
    together(runtime)


def test_a_pool_that_one_node_makes_later(runtime):
    ranks = runtime.ranks
    if ranks.node == ranks.nodes - 1:
        time.sleep(0.3)
    pool = runtime.pool("late", "place")
    assert pool.call(10, 4, query=f"direct_id:{ranks.nodes - 1}").values[1] == 4
    together(runtime)


def test_a_pool_of_some_nodes(runtime):
    ranks = runtime.ranks
    pool = runtime.pool("some", "place", pool_query=f"physical:{ranks.nodes - 1}")
    assert pool.call(10, 1, query="direct_id:0").values[1] == 1
    if ranks.node != ranks.nodes - 1:
        with pytest.raises(UsageError, match="no container on node"):
            pool.call(10, 1, query="local")
    if ranks.nodes > 1:
        with pytest.raises(UsageError, match="wants containers 9 to 9"):
            pool.call(10, 1, query="direct_id:9")
    together(runtime)


def test_tasks_that_become_one_count_nodes_not_arrivals(runtime):
    pool, ranks = runtime.pool("place", "place"), runtime.ranks
    everyone = PoolQuery.all_to_one(0, key=1)
    together(runtime)
    if ranks.local_rank == 0:
        if ranks.nodes > 1 and ranks.node == 0:
            twice = [pool.submit(14, 1, query=everyone) for _ in range(2)]
            time.sleep(0.1)
            assert all(future.reply is None for future in twice)
            first = twice[0].wait()
            assert first.values == (1, ranks.nodes, 0, 0)
            twice[1].cancel()
            assert twice[1].wait().code == 97
        elif ranks.nodes > 1:
            time.sleep(0.2 if ranks.node == ranks.nodes - 1 else 0)
            assert pool.call(14, 1, query=everyone).values == (1, ranks.nodes, 0, 0)
    together(runtime)
    if ranks.local_rank == 0:
        reply = pool.call(14, 1, query=PoolQuery.many_to_one(0, key=2, window_ns=200_000_000))
        assert reply.code == 0 and reply.values[1] <= ranks.nodes
    together(runtime)
