"""Many more ranks than cores: they start, serve, cost next to nothing while nobody asks, and stop."""

import os
import time

from harness.mpirun import needs_mpirun
from wrp.runtime import bdev
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View

RANKS = 8
IDLE_S = 2.0


def ticks(pids):
    """Clock ticks of processor time that these processes have used."""
    found = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        found += int(fields[11]) + int(fields[12])
    return found


@needs_mpirun
def test_ranks_that_have_nothing_to_do_leave_the_cores_alone(start_daemon):
    running = start_daemon("many", RANKS)
    with attach("many", 10) as attached, View("many") as view:
        pool = attached.pool("ram::composed")
        assert pool.call(bdev.GET_STATS).code == 0
        pids = view.about.pids
        assert len(set(pids)) == RANKS
        before = ticks(pids)
        time.sleep(IDLE_S)
        # one of them that polled would have more than all of them may have
        assert ticks(pids) - before < 0.3 * IDLE_S * os.sysconf("SC_CLK_TCK")
        assert pool.call(bdev.GET_STATS).code == 0
        assert view.stop(20)
    assert running.wait() == 0
