"""Bytes of other nodes' segments, from any rank and thread of a runtime. WRP_RANKS_PER_NODE makes several nodes."""

import threading

import numpy as np
import pytest

from wrp.comm.ranks import world
from wrp.errors import RangeError, UsageError
from wrp.runtime.config import load
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi
_NBYTES = 8 << 20


@pytest.fixture
def runtime(tmp_path):
    ranks = world()
    (tmp_path / "c.yaml").write_text("runtime: {timeout_s: 25, segment_capacity: 64m}")
    with Runtime(ranks, load(str(tmp_path / "c.yaml"), {})) as runtime:
        yield runtime


def _filled(runtime):
    """Offset of a region that each node fills with its own bytes, the same on every node."""
    ranks = runtime.ranks
    offset, _ = runtime.segment.place("bytes of the test", _NBYTES)
    if ranks.local_rank == 0:
        runtime.segment.reserve(offset, _NBYTES)
        np.frombuffer(runtime.segment.buffer, np.int64, _NBYTES // 8, offset)[:] = np.arange(_NBYTES // 8) * (ranks.node + 1)
    places = ranks.gather((ranks.node, offset), "regions of the nodes")
    return dict(places)


def test_every_rank_and_thread_reads_and_writes_other_nodes(runtime):
    ranks = runtime.ranks
    if runtime.remote is None:
        assert ranks.nodes == 1
        return
    places = _filled(runtime)

    def read():
        for node, offset in places.items():
            out = np.empty(_NBYTES // 8, np.int64)
            runtime.remote.get(node, offset, out)
            assert (out == np.arange(_NBYTES // 8) * (node + 1)).all()
            found.append(node)

    found = []
    read()
    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert found == list(places) * 2
    ranks.barrier("all have read")
    other = (ranks.node + 1) % ranks.nodes
    runtime.remote.put(other, places[other] + 4096 * ranks.rank, bytes([ranks.rank + 1]) * 4096)
    ranks.barrier("all have written")
    for rank, node in enumerate(ranks.gather(other, "who wrote where")):
        out = bytearray(4096)
        runtime.remote.get(node, places[node] + 4096 * rank, out)
        assert out == bytes([rank + 1]) * 4096
    ranks.barrier("all have looked")


def test_many_small_ranges_at_once(runtime):
    if runtime.remote is None:
        return
    ranks, places = runtime.ranks, _filled(runtime)
    other = (ranks.node + 1) % ranks.nodes
    rows = np.empty((300, 2), np.int64)
    starts = [places[other] + 16 * (number * 37 % 5000) for number in range(300)]
    runtime.remote.get_many(other, list(zip(starts, rows)))
    assert [row[0] for row in rows.tolist()] == [(start - places[other]) // 8 * (other + 1) for start in starts]
    ranks.barrier("all have read")
    mine = places[other] + 64 * 300 * (ranks.rank + 1)
    runtime.remote.put_many(other, [(mine + 64 * number, bytes([number % 251]) * 64) for number in range(300)])
    out = bytearray(64 * 300)
    runtime.remote.get(other, mine, out)
    assert out == b"".join(bytes([number % 251]) * 64 for number in range(300))
    ranks.barrier("all have written")


def test_ranges_beyond_a_segment_are_refused(runtime):
    if runtime.remote is None:
        return
    for node in range(runtime.ranks.nodes):
        with pytest.raises(RangeError, match="beyond the segment of node"):
            runtime.remote.get(node, runtime.segment.nbytes + (1 << 40), bytearray(8))
    with pytest.raises(UsageError, match="no node"):
        runtime.remote.get(99, 0, bytearray(8))
