"""What crosses nodes: tasks, meetings and bytes, by turns with the same MPI without us. Collective; only where a job has several nodes."""

import statistics
import time

import numpy as np

from wrp.comm.yardstick import Yardstick
from wrp.errors import WrpError
from wrp.runtime.bench import client, loops, meetings, ways
from wrp.runtime.bench.meetings import rounds_of, summary_of, timed
from wrp.runtime.bench.samples import Samples

_LARGE, _GETS = 64 << 20, 3
_MOST, _ROUND_S = 9, 0.1    # rounds, and seconds for which there is one more
_ALL = 1 << 20
_WARM_UP_S = 0.05
_QUIET_S = 0.05             # of postmen, who then nap, before MPI is measured


def measured(stage, seconds):
    """({name: ...}, {name: the median of the rounds' ratios}), the same on all ranks."""
    memory, place = _region(stage)
    measure = Yardstick(stage.ranks, memory)
    found, ratios = _tasks(stage, measure, seconds)
    for more, more_ratios in (meetings.measured(stage, seconds), _bytes(stage, measure, place, seconds)):
        found.update(more)
        ratios.update(more_ratios)
    measure.free()
    return stage.ranks.share((found, ratios), "what crosses nodes")


def _region(stage):
    """(touched memory in the segment, an array, on each node's first rank; its offset on the second node)."""
    ranks, segment, place, memory = stage.ranks, stage.segment, None, None
    with ranks.agreed("backing the bytes that cross nodes"):
        if ranks.local_rank == 0:
            place, _ = segment.place("wrp_benchmark", _LARGE)
            segment.reserve(place, _LARGE)
            memory = np.frombuffer(segment.buffer, np.uint8, _LARGE, place)
            memory[:] = 1
    return memory, dict(ranks.gather((ranks.node if ranks.local_rank == 0 else -1, place), "where the bytes lie"))[1]


def _tasks(stage, measure, seconds):
    """Round trips to the second node from a jitted loop and from Python, and many at once."""
    ranks, far, rounds = stage.ranks, stage.admin.towards("physical:1"), rounds_of(seconds, _ROUND_S, _MOST)
    take = max(seconds / rounds, _WARM_UP_S / 5)
    way, durations, until = ways.embedded(stage.runtime, far), np.empty(_ALL, np.int64), np.zeros(1, np.int64)
    work, plain, trips, calls, rate = (loops.LATENCY, far.number, 0, 0), [], [], [], 0
    with ranks.agreed("preparing what crosses nodes"):
        if ranks.rank == 0:
            loops.loop(way.place, way.waits, work, until.ctypes.data, durations)
            client.calls(far, _WARM_UP_S)       # the postmen have compiled what they need
    for _ in range(rounds):
        time.sleep(_QUIET_S)
        plain.append(measure.put_get(take))
        with ranks.agreed("measuring what crosses nodes"):
            if ranks.rank == 0:
                client.calls(far, _WARM_UP_S / 10)
                done = failed = why = 0
                while not (done or failed or why):          # a time may be over before the first task is asked for, where others have the core
                    until[0] = time.monotonic_ns() + int(take * 1e9)
                    done, failed, why = loops.loop(way.place, way.waits, work, until.ctypes.data, durations)
                if failed or not done:
                    raise WrpError(f"{failed} tasks of the benchmark for another node failed")
                trips.append(durations[:done].copy())
                calls.append(client.calls(far, take))
    with ranks.agreed("measuring many tasks that cross nodes"):
        if ranks.rank == 0:
            rate = client.outstanding(far, seconds)
    ratios = [(np.median(ours) / np.median(theirs), call.percentile(0.5) / np.median(theirs)) for ours, call, theirs in zip(trips, calls, plain)]
    trip, call = (float(np.median([ratio[number] for ratio in ratios])) if ratios else None for number in range(2))
    found = {"remote_trip_ns": summary_of(trips), "remote_call_ns": Samples.merged(calls).summary(), "remote_tasks_per_s": rate, "put_get_ns": summary_of(plain)}
    return found, {"remote_round_trip_to_put_get": trip, "remote_call_to_put_get": call}


def _bytes(stage, measure, place, seconds):
    """The same bytes of the second node's memory into the same touched buffer."""
    ranks, out, plain, ours = stage.ranks, np.ones(_LARGE, np.uint8), [], []
    for _ in range(rounds_of(seconds, _ROUND_S, _MOST)):
        time.sleep(_QUIET_S)
        plain.append(measure.gets(out, _GETS))
        with ranks.agreed("reading another node's bytes"):
            if ranks.rank == 0:
                ours.append([timed(lambda: stage.runtime.remote.get(1, place, out)) for _ in range(_GETS)])
    if not ours:
        return {}, {}
    rates = [[_LARGE / statistics.median(durations) * 1e3 for durations in rounds] for rounds in (ours, plain)]
    found = {"remote_get_MB_per_s": statistics.median(rates[0]), "mpi_get_MB_per_s": statistics.median(rates[1])}
    return found, {"remote_get_to_mpi_get": statistics.median(mine / theirs for mine, theirs in zip(*rates))}
