"""Two nodes with host names, networks and shared memory of their own, joined by TCP; skipped where namespaces aren't permitted."""

import pytest

from harness.isolated import Nodes
from harness.machines import NoNamespaces
from harness.mpirun import needs_mpirun

pytestmark = needs_mpirun
_ALL = """
import socket, sys
import numpy as np
from wrp.comm.ranks import run
from wrp.runtime import admin
from wrp.runtime.config import load
from wrp.runtime.meeting import Meeting
from wrp.runtime.runtime import Runtime

def main(ranks):
    hosts = ranks.gather(socket.gethostname(), "hosts")
    assert ranks.nodes == 2 and sorted(set(hosts)) == ["n1", "n2"], hosts
    with Runtime(ranks, load(None, {"WRP_TIMEOUT_S": "30"})) as runtime:
        pool = runtime.pool("admin", "admin")
        for node in range(2):
            futures = pool.submit_many(admin.MONITOR, [(0,)] * 300, query=f"direct_id:{node}")
            assert {future.wait().values[3] for future in futures} == {pool.call(admin.MONITOR, 0, query=f"physical:{node}").values[3]}
        place, _ = runtime.segment.place("bytes", 4 << 20)
        if ranks.local_rank == 0:
            runtime.segment.reserve(place, 4 << 20)
            np.frombuffer(runtime.segment.buffer, np.int64, 1 << 19, place)[:] = np.arange(1 << 19) + ranks.node
        ranks.barrier("filled")
        out = np.empty(1 << 19, np.int64)
        runtime.remote.get(1 - ranks.node, place, out)
        assert (out == np.arange(1 << 19) + 1 - ranks.node).all()
        meeting = Meeting(runtime.pool("meetings", "meeting"), ranks.rank, ranks.size)
        for number in range(10):
            assert meeting.gather(number + ranks.rank) == [number + rank for rank in range(ranks.size)]
    print("well", flush=True)

sys.exit(run(main))
"""
_CUT = """
import os, sys, time
from wrp.comm.ranks import run
from wrp.runtime import admin
from wrp.runtime.config import load
from wrp.runtime.routing import PoolQuery
from wrp.runtime.runtime import Runtime

def main(ranks):
    runtime = Runtime(ranks, load())
    pool = runtime.pool("admin", "admin")
    pool.call(admin.MONITOR, 0, query="broadcast")
    ranks.barrier("ready")
    if ranks.rank == 0:
        print("ready", flush=True)
        # on a busy machine a node may be silent for a second before it is cut off
        while not os.path.exists(sys.argv[1]):
            time.sleep(0.05)
        while pool.call(admin.MONITOR, 0, query="direct_id:1").code == 0:
            pass
        print(pool.call(admin.MONITOR, 0, query=PoolQuery.direct_id(1, 0.5)).code, flush=True)
        print(pool.call(admin.MONITOR, 0, query=PoolQuery.broadcast(0)).code, flush=True)
        ranks.abort(6)
    pool.submit(admin.MONITOR, 0, period_s=60).wait()

sys.exit(run(main))
"""


@pytest.fixture
def nodes(tmp_path):
    try:
        nodes = Nodes(2, tmp_path)
    except NoNamespaces as why:
        pytest.skip(str(why))
    yield nodes
    nodes.close()


@pytest.mark.parametrize("ranks_per_node", [1, 2])
def test_tasks_bytes_and_meetings_over_tcp(nodes, ranks_per_node):
    done = nodes.run(ranks_per_node, _ALL, 55)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "well\n" * 2 * ranks_per_node
    assert not any(nodes.left().values())


def test_a_node_that_is_cut_off_ends_tasks_with_its_code(nodes, tmp_path):
    conf = tmp_path / "c.yaml"
    conf.write_text("networking: {net_timeout: 1}\n")
    process = nodes.start(1, [*nodes.python(_CUT), str(tmp_path / "is_cut")], {"WRP_RUNTIME_CONF": str(conf)})
    try:
        assert process.stdout.readline() == "ready\n"
        nodes.cut(2)
        (tmp_path / "is_cut").touch()
        assert [process.stdout.readline() for _ in range(2)] == ["-1000\n", "0\n"]
    finally:
        nodes.close()           # and what still runs there
        process.kill()
        process.communicate()
