"""Reads and writes of a device in memory by all workers of a node, with every scheduler. Holds for any number of ranks."""

import pytest

from wrp.comm.ranks import world
from wrp.runtime import bdev, schedulers
from wrp.runtime.config import load
from wrp.runtime.meter.reading import Meter
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi
NBYTES = (1 << 20) + 64


@pytest.mark.parametrize("name", schedulers.NAMES)
def test_bytes_come_back_whoever_moves_them(name, tmp_path):
    ranks = world()
    path = tmp_path / "c.yaml"
    path.write_text(f"runtime: {{timeout_s: 30, segment_capacity: 128m, local_sched: {name}}}")
    with Runtime(ranks, load(str(path), {})) as runtime:
        node = runtime.ranks.on_node
        device = runtime.device("ram::d", "ram", 64 << 20)
        pool, place, source, target = runtime.pools["ram::d"], *(device.lease(NBYTES) for _ in range(3))
        data = bytes([node.rank + 1, 2, 3, 5]) * (NBYTES // 4)
        device.view(source, NBYTES)[:] = data
        for _ in range(4):
            assert pool.call(bdev.WRITE, place, device._base + source, NBYTES) == (0, (NBYTES, 0, 0, 0))
            assert pool.call(bdev.READ, place, device._base + target, NBYTES).values[0] == NBYTES
        assert device.view(target, NBYTES) == data
        assert pool.submit(bdev.READ, 1 << 40, 0, NBYTES).wait().code == bdev.OUT_OF_BOUNDS
        pool.submit(bdev.READ, place, device._base + target, NBYTES)        # nobody waits for it
        node.barrier("all have moved theirs")
        found = Meter(runtime.node).latencies()
        moved = sum(found["%d.%d" % pool.id, method].count for method in (bdev.WRITE, bdev.READ))
        assert moved >= 9 * node.size
        others = [Meter(runtime.node).latencies(lane=2 * worker) for worker in range(1, node.size)]
        if name == "default" and others:
            assert all(("%d.%d" % pool.id, bdev.WRITE) in each or ("%d.%d" % pool.id, bdev.READ) in each for each in others)
        node.barrier("all have looked")
