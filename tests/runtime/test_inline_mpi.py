"""Space of a device that several ranks take and give themselves. Holds for any number of ranks and nodes."""

import time

import numpy as np
import pytest

from wrp.comm import atomics
from wrp.comm.extents import extents_free
from wrp.comm.ranks import world
from wrp.runtime import admin, bdev, lanes
from wrp.runtime.config import load
from wrp.runtime.meter.reading import Meter
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi
ROUNDS, BLOCK = 400, 4096


@pytest.fixture
def runtime():
    with Runtime(world(), load(None, {"WRP_TIMEOUT_S": "25"})) as runtime:
        yield runtime


def test_all_ranks_take_and_give_at_once(runtime):
    """No byte has two owners, and none is lost."""
    node = runtime.ranks.on_node
    device = runtime.device("space", "ram", 64 * BLOCK * node.size)
    pool, found = device._pool, np.frombuffer(device.view(0, device.capacity), np.uint8)
    with node.agreed("backing the device"):
        if node.rank == 0:
            device._back(0, device.capacity)
    wrong = 0
    node.barrier("all begin")
    for number in range(ROUNDS):
        reply = pool.call(bdev.ALLOCATE_BLOCKS, BLOCK * (1 + number % 5))
        start, nbytes = reply.values[:2]
        mine = found[start:start + nbytes]
        mine[:] = node.rank + 1
        wrong += reply.code != 0 or (mine != node.rank + 1).any()
        wrong += pool.call(bdev.FREE_BLOCKS, start, nbytes).code != 0
    assert wrong == 0
    node.barrier("all have ended")
    assert extents_free(device._extents) == device.capacity
    assert pool.call(bdev.FREE_BLOCKS, 0, BLOCK).code == bdev.NOT_TAKEN
    counts = Meter(runtime.node).latencies()[".".join(map(str, pool.id)), bdev.ALLOCATE_BLOCKS].count
    assert counts == ROUNDS * node.size
    node.barrier("all have counted")
    assert runtime.pool("admin", "admin").call(admin.FLUSH).code == 0
    runtime.ranks.barrier("all have flushed")


def test_another_rank_wakes_no_worker(runtime, tmp_path):
    node = runtime.ranks.on_node
    path = node.share(str(tmp_path / "t.bin"), "path of the file")
    device, staging = runtime.device("file", "file", 1 << 20, path), runtime.device("staging", "ram", 1 << 20)
    pool, lane = device._pool, runtime.node.address + runtime.node.layout.lane(0)
    buffer = staging.view(staging.lease(1 << 16), 1 << 16)
    buffer[:] = bytes([node.rank + 1]) * (1 << 16)
    place = np.frombuffer(buffer, np.uint8).ctypes.data - runtime.node.address
    for rank in range(1, node.size):
        node.barrier("the next one")
        if node.rank == rank:
            before = atomics.load(lane + lanes.WAKEUPS)
            for _ in range(20):
                time.sleep(0.001)               # the worker sleeps again
                start, nbytes = pool.call(bdev.ALLOCATE_BLOCKS, 1 << 16).values[:2]
                assert pool.call(bdev.WRITE, start, place, nbytes).values[0] == nbytes
                with open(path, "rb") as file:
                    file.seek(start)
                    assert file.read(nbytes) == bytes(buffer)
                assert pool.call(bdev.FREE_BLOCKS, start, nbytes).code == 0
            assert atomics.load(lane + lanes.WAKEUPS) - before < 20
    node.barrier("all have written")
    del buffer


def test_only_what_this_node_may_do_is_done_here(runtime):
    ranks = runtime.ranks
    for name, module, params in (("admin", "admin", {}), ("ram::far", "bdev", {"capacity": 1 << 20})):
        pool = runtime.pool(name, module, **params)
        ways = [pool.towards(f"physical:{node}") for node in range(ranks.nodes)]
        # a bdev's tasks may be any rank's of its node, admin's those of the process that has its worker
        assert [way._doer != 0 for way in ways] == [node == ranks.node and (module == "bdev" or ranks.local_rank == 0) for node in range(ranks.nodes)]
        method = admin.MONITOR if module == "admin" else bdev.GET_STATS
        assert [way.call(method).code for way in ways] == [0] * ranks.nodes
    ranks.barrier("all have been everywhere")
