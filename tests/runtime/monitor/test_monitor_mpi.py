"""Every node says how it is, whoever asks. Holds for any number of ranks; WRP_RANKS_PER_NODE makes several nodes."""

import msgpack
import pytest

from wrp.comm.ranks import world
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi


def test_all_nodes_answer_all_ranks(configured):
    ranks = world()
    with Runtime(ranks, configured("runtime: {timeout_s: 25, segment_capacity: 32m}")) as runtime:
        runtime.pool("monitor", "monitor")
        found = {node: msgpack.unpackb(answer) for node, answer in runtime.monitor("worker_stats", "broadcast").items()}
        assert list(found) == list(range(ranks.nodes))
        assert sorted({worker["rank"] for workers in found.values() for worker in workers}) == list(range(ranks.size))
        hosts = runtime.monitor("get_host_info", f"physical:{ranks.nodes - 1}")
        assert msgpack.unpackb(hosts[ranks.nodes - 1])["node_id"] == ranks.nodes - 1
        of_admin = runtime.monitor("pool_stats://1.0:stats:broadcast")
        assert [msgpack.unpackb(answer)["pool_id"] for answer in of_admin.values()] == ["1.0"] * ranks.nodes
        ranks.barrier("all have asked")
