"""What crosses nodes: tasks, meetings and bytes, beside the same MPI without us. Collective; only where a job has several nodes."""

import time

import numpy as np

from wrp.comm import yardstick
from wrp.errors import WrpError
from wrp.runtime.bench import client, loops, meetings, ways
from wrp.runtime.bench.meetings import timed
from wrp.runtime.bench.samples import Samples

_LARGE, _GETS = 64 << 20, 5
_ALL = 1 << 20
_WARM_UP_S = 0.05


def plain(ranks, seconds):
    """What MPI takes, before there is a runtime whose postmen also call it: {name: ...}, the same on all ranks."""
    trips, gets = yardstick.put_get(ranks, seconds), yardstick.large_gets(ranks, _LARGE, _GETS)
    found = {"put_get_ns": Samples.of(trips).summary(), **meetings.plain(ranks), "mpi_get_MB_per_s": _rate(gets)}
    return ranks.share(found, "what MPI takes between nodes")


def measured(stage, seconds):
    """What the runtime takes: {name: ...}, the same on all ranks."""
    ranks, runtime, found = stage.ranks, stage.runtime, {}
    place, _ = runtime.segment.place("wrp_benchmark", _LARGE)
    with ranks.agreed("backing the bytes that cross nodes"):
        if ranks.local_rank == 0:
            runtime.segment.reserve(place, _LARGE)
    with ranks.agreed("measuring what crosses nodes"):
        if ranks.rank == 0:
            found = _tasks(stage, seconds)
    ranks.barrier("tasks have crossed")
    barriers = meetings.measured(stage)
    places = ranks.gather((ranks.node, place), "where the bytes lie")
    with ranks.agreed("reading another node's bytes"):
        if ranks.rank == 0:
            out = np.zeros(_LARGE, np.uint8)
            found["remote_get_MB_per_s"] = _rate([timed(lambda: runtime.remote.get(1, dict(places)[1], out)) for _ in range(_GETS)])
    return ranks.share({**found, **barriers}, "what crosses nodes")


def ratios(found, aside):
    """The runtime against MPI, in one run."""
    return {"remote_call_to_put_get": found["remote_call_ns"]["p50"] / aside["put_get_ns"]["p50"],
            "remote_round_trip_to_put_get": found["remote_trip_ns"]["p50"] / aside["put_get_ns"]["p50"],
            "remote_get_to_mpi_get": found["remote_get_MB_per_s"] / aside["mpi_get_MB_per_s"], **meetings.ratios(found, aside)}


def _tasks(stage, seconds):
    """Round trips to the second node from a jitted loop and from Python, and many at once."""
    far = stage.admin.towards("physical:1")
    way, durations = ways.embedded(stage.runtime, far), np.empty(_ALL, np.int64)
    work = loops.LATENCY, far.number, 0, 0
    loops.loop(way.place, way.waits, work, 0, durations)
    client.calls(far, min(seconds, _WARM_UP_S))         # the postmen have compiled what they need
    done, failed, _ = loops.loop(way.place, way.waits, work, time.monotonic_ns() + int(seconds * 1e9), durations)
    if failed or not done:
        raise WrpError(f"{failed} tasks of the benchmark for another node failed")
    return {"remote_trip_ns": Samples.of(durations[:done]).summary(), "remote_call_ns": client.calls(far, seconds).summary(),
            "remote_tasks_per_s": client.outstanding(far, seconds)}


def _rate(durations_ns):
    """Of the quickest one."""
    return _LARGE / min(durations_ns) * 1e3 if durations_ns else None

