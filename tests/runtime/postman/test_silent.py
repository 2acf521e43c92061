"""A node that stands still, and one that comes back: jobs of two nodes, one of which is stopped by a signal."""

from harness.mpirun import needs_mpirun, run_python

_STOPPED = """
import logging, os, signal, sys
logging.basicConfig(level=logging.WARNING, format="%(message)s")
from wrp.comm.ranks import run
from wrp.errors import WaitTimeout
from wrp.runtime import admin
from wrp.runtime.config import load
from wrp.runtime.routing import PoolQuery
from wrp.runtime.runtime import Runtime

def main(ranks):
    with Runtime(ranks, load(None, {"WRP_TIMEOUT_S": "40"})) as runtime:
        pool = runtime.pool("admin", "admin")
        pool.call(admin.MONITOR, 0, query="broadcast")
        runtime.remote.get(1 - ranks.node, 0, bytearray(64))        # everything is compiled
        pids = ranks.gather(os.getpid(), "processes")
        if ranks.rank == 0:
            try:
                watch(runtime, pool, pids[1])
            finally:
                os.kill(pids[1], signal.SIGCONT)
            assert pool.call(admin.MONITOR, 0, query="direct_id:1").code == 0
            print("back", flush=True)
        ranks.barrier("all have seen it")

def watch(runtime, pool, pid):
    os.kill(pid, signal.SIGSTOP)
    reply = pool.call(admin.MONITOR, 0, query=PoolQuery.direct_id(1, net_timeout_s=0.5))
    assert reply.code == -1000 and "hasn't answered" in reply.meaning, reply
    assert pool.submit(admin.MONITOR, 0, query="direct_id:1", deadline_s=0.2).wait().code == 98
    assert pool.call(admin.MONITOR, 0, query=PoolQuery.direct_id(1, net_timeout_s=0)).code == -1000
    assert pool.call(admin.MONITOR, 0, query=PoolQuery.broadcast(net_timeout_s=0)).code == 0
    assert pool.call(admin.MONITOR, 0, query=PoolQuery.broadcast(net_timeout_s=0.5)).code == -1000
    for nbytes in (1 << 20, 8 << 20):           # got, and sent on demand
        try:
            runtime.remote.get(1, 0, bytearray(nbytes), timeout_s=0.5)
        except WaitTimeout as error:
            print(error, flush=True)

sys.exit(run(main))
"""
_TCP = {"WRP_RANKS_PER_NODE": "1", "OMPI_MCA_btl": "self,tcp"}


@needs_mpirun
def test_tasks_for_a_node_that_stands_still_end_and_it_is_used_again():
    done = run_python(_STOPPED, 2, timeout_s=50, env=_TCP)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("for a get on node 1; its first rank, 1, made no call of MPI that lets it move") == 2
    assert done.stdout.endswith("back\n")
    assert "hasn't answered for 0.5" in done.stderr and "answers again" in done.stderr
