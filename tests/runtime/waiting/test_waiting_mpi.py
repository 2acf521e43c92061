"""Modules that wait, served by one rank and called by all ranks of a node. Holds for any number of ranks."""

import pytest

from runtime.waiting import modules
from wrp.comm.ranks import world
from wrp.runtime.config import load
from wrp.runtime.handlers import EXCLUSIVE
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi
FAN_OUT, LOCKED, GATE = 1, 2, 3


def test_all_ranks_call_modules_that_wait(tmp_path):
    ranks = world()
    path = tmp_path / "c.yaml"
    path.write_text("runtime: {timeout_s: 30, segment_capacity: 64m}")
    with Runtime(ranks, load(str(path), {})) as runtime:
        node = runtime.ranks.on_node
        for number in range(2):                         # served by different ranks where there are several
            steps, waits = runtime.pool(f"steps{number}", "steps"), runtime.pool(f"waits{number}", "waits")
            other = runtime.pool(f"steps{1 - number}", "steps")
            assert waits.call(15, 20).values[0] == 190
            for pool in (steps, other):                 # subtasks on this worker and on another one
                assert steps.call(FAN_OUT, pool.number, 50).values[0] == 50 * 49 // 2
            futures = [steps.submit(LOCKED, EXCLUSIVE) for _ in range(5)]
            node.barrier("all wait for the lock")
            steps.call(GATE, 1)
            assert all(future.wait().values[1] == 1 for future in futures)     # one at a time had it
            node.barrier("all have had the lock")


assert modules
