"""The benchmark over the ranks of a job. Holds for any number of ranks."""

import os

import pytest

from wrp.comm.ranks import world
from wrp.errors import StoreError
from wrp.runtime.bench import cli, loops, measuring

pytestmark = pytest.mark.mpi


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """A small segment; gives a folder that all ranks see."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("runtime: {timeout_s: 30, segment_capacity: 64m}")
    monkeypatch.setenv("WRP_RUNTIME_CONF", str(conf))
    return world().share(tmp_path, "folder of the test")


@pytest.mark.parametrize("case", sorted(loops.CASES))
def test_clients_of_all_ranks_are_counted(case, small):
    ranks = world()
    folder = small / "out"
    result = measuring.measure(ranks, cli.parse(["--test-case", case, "--duration", "0.2", "--threads", "2", "--output-dir", str(folder)]))
    assert result["worker_and_client_apart"] == all(ranks.gather(ranks.local_size > 1, "sizes of nodes"))
    assert [part["rank"] for part in result["ranks"]] == (list(range(1, ranks.size)) if ranks.nodes == 1 and ranks.size > 1 else
                                                          [part["rank"] for part in result["ranks"]])
    assert result["together"]["operations"] == sum(part["operations"] for part in result["ranks"]) > 0
    assert result["together"]["failed"] == 0
    ratios, rounds = result["ratios"], result["rounds"]
    assert all(len(each) == rounds["count"] == 2 and ratios[name] == sum(each) / 2 for name, each in rounds["ratios"].items())
    if ranks.share(ranks.local_size, "ranks of the first node") > 1 and case == "latency":
        assert result["plain"]["ping_pong_ns"]["p50"] > 0 and ratios["round_trip_to_ping_pong"] > 0
    if ranks.nodes > 1:
        apart = result["nodes_apart"]
        assert min(apart[name]["p50"] for name in ("remote_trip_ns", "remote_call_ns", "put_get_ns", "mpi_barrier_ns")) > 0
        assert min(ratios[name] for name in ("remote_round_trip_to_put_get", "remote_call_to_put_get", "remote_get_to_mpi_get")) > 0
    if ranks.size > 1:
        found = result.get("meetings") or result["nodes_apart"]
        assert min(found["meeting_barrier_ns"]["p50"], found["mpi_barrier_ns"]["p50"], ratios["meeting_barrier_to_mpi_barrier"]) > 0
    assert result["cores_apart"] == (1 < ranks.size <= len(os.sched_getaffinity(0)))
    ranks.barrier("the benchmark has ended everywhere")
    assert not folder.exists()


def test_refusal_is_common(small):
    (small / "file").write_text("")
    with pytest.raises(StoreError):
        measuring.measure(world(), cli.parse(["--duration", "0.2", "--output-dir", str(small / "file" / "below")]))
