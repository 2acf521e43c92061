"""Ranks of a job that attach to a daemon of their node. Holds for any number of ranks."""

import os

import pytest

from harness.daemons import Running
from wrp.comm.ranks import world
from wrp.runtime import bdev
from wrp.runtime.daemon import attach
from wrp.runtime.meeting import Meeting

pytestmark = pytest.mark.mpi
_CONF = "runtime: {timeout_s: 20, segment_capacity: 64m}\ncompose: [{mod_name: bdev, pool_name: 'ram::job', capacity: 32m}]"


@pytest.fixture
def name(tmp_path):
    """Name of a daemon that rank 0 starts beside the job and ends."""
    ranks, running, name = world(), None, f"beside{os.getppid()}"
    with ranks.agreed("starting a daemon"):
        if ranks.rank == 0:
            (tmp_path / "c.yaml").write_text(_CONF)
            running = Running(name, tmp_path / "c.yaml", 0)
    yield name
    ranks.barrier("all ranks have left the daemon")
    if running is not None:
        assert running.end() == 0


def test_ranks_of_a_job_lease_disjoint_space_of_a_daemon(name):
    ranks = world()
    with attach(name, 20) as attached:
        device = attached.device("ram::job")
        runs = [(device.lease(10_000), 10_000) for _ in range(5)]
        for offset, nbytes in runs:
            device.write(offset, bytes([ranks.rank]) * nbytes)
        found = sorted(run for part in ranks.gather(runs, "runs") for run in part)
        assert all(first[0] + first[1] <= second[0] for first, second in zip(found, found[1:]))
        for offset, nbytes in runs:
            out = bytearray(nbytes)
            device.read(offset, out)
            assert out == bytes([ranks.rank]) * nbytes
            device.give_back(offset, nbytes)
        ranks.barrier("all have given back")
        device.close()
        ranks.barrier("all have closed their device")
        assert attached.pool("ram::job").call(bdev.GET_STATS).values[1] == 32 << 20


def test_ranks_of_a_job_meet_in_the_memory_of_a_daemon(name):
    ranks = world()
    with attach(name, 20) as attached:
        meeting = Meeting(attached.pool("meetings", "meeting"), ranks.rank, ranks.size)
        for number in range(30):
            assert meeting.reduce(ranks.rank + number, "max") == ranks.size - 1 + number
            assert meeting.gather(ranks.rank) == list(range(ranks.size))
        meeting.barrier()
