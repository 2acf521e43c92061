"""Tasks that become one mean the same on one node and on several. Holds for any number of ranks; WRP_RANKS_PER_NODE makes several nodes."""

import sys
import time

import pytest

from wrp.comm.ranks import world
from wrp.runtime import modules
from wrp.runtime.config import load
from wrp.runtime.routing import PoolQuery
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi
_WINDOW_NS = 2_000_000_000


class Sums:
    """Counts its calls."""

    methods = {10: "add", 11: "fail", 12: "add", 13: "add", 14: "add", 15: "add"}

    def __init__(self, pool_name):
        self.calls = 0

    def add(self, number, other=0):
        self.calls += 1
        return self.calls, number, other

    def fail(self, number):
        raise ValueError("on purpose")

    @staticmethod
    def combine(method, rows):
        if method == 12:
            raise ValueError("on purpose")
        if method == 13:
            sys.exit("on purpose")
        if method == 14:
            return 1 << 70, 0
        if method == 15:
            return range(9)
        return len(rows), max(rows)[0]


modules.register("joined sums", Sums)


@pytest.fixture
def runtime(tmp_path):
    (tmp_path / "c.yaml").write_text("runtime: {timeout_s: 25, segment_capacity: 32m}\nnetworking: {net_timeout: 20}\n")
    with Runtime(world(), load(str(tmp_path / "c.yaml"), {})) as runtime:
        yield runtime


def test_all_that_come_within_the_window_are_one(runtime):
    ranks, pool = runtime.ranks, runtime.pool("joined sums", "joined sums", shards=2)
    query = PoolQuery.many_to_one(1, key=4, window_ns=_WINDOW_NS)
    ranks.barrier("the pool is there")
    futures = [pool.submit(10, 10 * ranks.rank + number, query=query) for number in range(2)]
    assert [future.wait().values for future in futures] == [(1, 2 * ranks.size, 10 * ranks.size - 9, 0)] * 2
    ranks.barrier("the first round is over")
    if ranks.rank == 0:         # of another key, another container: on their own
        futures = [pool.submit(10, 5, query=PoolQuery.many_to_one(hashed, key, 1000)) for hashed, key in ((1, 5), (0, 4))]
        assert [future.wait().values for future in futures] == [(2, 1, 5, 0), (1, 1, 5, 0)]
    ranks.barrier("the others are over")


def test_all_nodes_are_waited_for(runtime):
    ranks, pool = runtime.ranks, runtime.pool("joined sums", "joined sums")
    query = PoolQuery.all_to_one(0, key=4)
    ranks.barrier("the pool is there")
    if ranks.leaders:
        if ranks.node == ranks.nodes - 1:
            time.sleep(0.2)
        for number in range(3):
            assert pool.call(10, ranks.node, query=query).values == (number + 1, ranks.nodes, ranks.nodes - 1, 0)
            ranks.leaders.barrier("a round is over")
    ranks.barrier("all rounds are over")


def test_who_gives_up_counts_no_more(runtime):
    ranks, pool = runtime.ranks, runtime.pool("joined sums", "joined sums")
    query = PoolQuery.many_to_one(0, key=ranks.rank, window_ns=_WINDOW_NS)
    began = time.monotonic()
    late, cancelled, stays = (pool.submit(10, 7, deadline_s=deadline_s, query=query) for deadline_s in (0.2, None, None))
    cancelled.cancel()
    assert cancelled.wait().code == 97 and late.wait().code == 98
    assert time.monotonic() - began < 1.5
    assert stays.wait().values[1:3] == (1, 7)
    ranks.barrier("all have given up")


def test_what_fails_fails_for_all(runtime):
    ranks, pool = runtime.ranks, runtime.pool("joined sums", "joined sums")
    for method in range(11, 16):        # the method, or becoming one
        query = PoolQuery.many_to_one(0, key=ranks.rank, window_ns=50_000_000)
        assert [future.wait().code for future in [pool.submit(method, 1, query=query) for _ in range(3)]] == [99] * 3
    assert pool.call(10, 3, query=PoolQuery.many_to_one(0, 100 + ranks.rank, 0)).values[1:] == (1, 3, 0)
    ranks.barrier("all have failed")


def test_a_runtime_that_ends_waits_for_no_window(tmp_path):
    ranks = world()
    with Runtime(ranks, load(None, {"WRP_TIMEOUT_S": "25"})) as runtime:
        pool = runtime.pool("joined sums", "joined sums")
        if ranks.rank == 0:
            pool.post(10, 1, query=PoolQuery.many_to_one(0, 0, window_ns=3600 * 10**9))
