"""Ranks of a node that use one runtime together. Holds for any number of ranks."""

import os
import random

import pytest

from wrp.comm.ranks import world
from wrp.errors import OutOfSpace, StoreError, WrpError
from wrp.runtime import admin, modules
from wrp.runtime.config import load
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi
MIB = 1 << 20


class Counter:
    methods = {10: "add"}

    def __init__(self, pool_name):
        self.total = 0

    def add(self, number):
        self.total += number
        return self.total, os.getpid()


modules.register("counter", Counter)


@pytest.fixture
def shared(tmp_path):
    """(runtime, a folder that all ranks of the node see)."""
    ranks = world()
    path = tmp_path / "c.yaml"
    path.write_text("runtime: {timeout_s: 30, segment_capacity: 128m}")
    folder = ranks.share(str(tmp_path), "folder of the test")
    with Runtime(ranks, load(str(path), {})) as runtime:
        yield runtime, folder


def test_every_rank_reaches_the_same_pool(shared):
    runtime, _ = shared
    node = runtime.ranks.on_node
    pools = [runtime.pool(f"mine{number}", "counter") for number in range(node.size + 1)]
    for pool in pools:
        for _ in range(50):
            assert pool.call(10, 1).code == 0
    node.barrier("all have counted")
    replies = [pool.call(10, 0).values for pool in pools]
    assert all(reply[0] == 50 * node.size for reply in replies)
    # each pool is served by one process, and the pools spread over the ranks of the node
    assert len({reply[1] for reply in replies}) == node.size
    assert len(set(node.gather(tuple(replies), "replies"))) == 1
    node.barrier("all have looked")


@pytest.mark.parametrize("kind", ["ram", "file"])
def test_leases_of_all_ranks_are_disjoint_and_come_back(shared, kind):
    runtime, folder = shared
    node = runtime.ranks.on_node
    device = runtime.device("d", kind, 64 * MIB, os.path.join(folder, f"d{runtime.ranks.node}"))
    rng, held = random.Random(node.rank), {}
    for number in range(300):
        if held and rng.random() < 0.3:
            offset = rng.choice(sorted(held))
            device.give_back(offset, held.pop(offset))
        else:
            nbytes = rng.randint(1, 60_000)
            held[offset := device.lease(nbytes)] = nbytes
            device.write(offset, bytes([node.rank + 1]) * nbytes)
    found = sorted(pair for pairs in node.gather(list(held.items()), "leases") for pair in pairs)
    assert all(a[0] + a[1] <= b[0] for a, b in zip(found, found[1:]))
    for offset, nbytes in held.items():
        out = bytearray(nbytes)
        device.read(offset, out)
        assert out == bytes([node.rank + 1]) * nbytes
    # the next rank gives back what this one leased
    others = node.gather(list(held.items()), "leases to give back")[(node.rank + 1) % node.size]
    for offset, nbytes in others:
        device.give_back(offset, nbytes)
    node.barrier("everything is back")
    device.close()
    node.barrier("every rank has closed the device")
    assert runtime.pool("d", "bdev").call(14).values[1] == 64 * MIB
    node.barrier("all have looked")


def test_what_one_rank_writes_the_others_read(shared):
    runtime, folder = shared
    node = runtime.ranks.on_node
    for kind in ("ram", "file"):
        device = runtime.device(kind, kind, 16 * MIB, os.path.join(folder, f"e{runtime.ranks.node}"))
        offset = device.lease(100_000)
        device.write(offset, bytes([node.rank]) * 100_000)
        for rank, place in enumerate(node.gather(offset, "offsets")):
            out = bytearray(100_000)
            device.read(place, out)
            assert out == bytes([rank]) * 100_000
        node.barrier("all have read")


def test_all_ranks_together_fill_a_device(shared):
    runtime, _ = shared
    node = runtime.ranks.on_node
    device = runtime.device("d", "ram", 32 * MIB)
    count = 0
    with pytest.raises(OutOfSpace):
        while True:
            device.lease(64 << 10)
            count += 1
    assert sum(node.gather(count, "leases")) == 512
    assert device.free == 0
    node.barrier("the device is full")


def test_no_rank_keeps_a_removed_device_s_file_open(shared):
    runtime, folder = shared
    path = os.path.join(folder, f"g{runtime.ranks.node}")

    def opened():
        links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        return sum(os.readlink(link) == path for link in links if os.path.lexists(link))

    for _ in range(2):
        runtime.device("g", "file", MIB, path)
        assert opened() > 0
        runtime.remove("g")
        assert opened() == 0


def test_flush_and_monitor_see_all_lanes(shared):
    runtime, _ = shared
    node = runtime.ranks.on_node
    pool = runtime.pool("admin", "admin")
    assert pool.call(admin.FLUSH).code == 0
    pids = [pool.call(admin.MONITOR, lane).values[3] for lane in range(2 * node.size)]
    assert pids == [pid for pid in node.gather(os.getpid(), "processes") for _ in (0, 1)]
    assert pool.call(admin.MONITOR, runtime.node.layout.lane_count).code == admin.NO_SUCH_LANE


def test_an_error_of_one_rank_is_the_error_of_all(shared):
    runtime, folder = shared
    with pytest.raises(StoreError, match="can't be opened"):
        runtime.device("f", "file", MIB, os.path.join(folder, "none", "f"))
    with pytest.raises(WrpError, match="there is no module 'counters'"):
        runtime.pool("p", "counters")
