"""Barriers of all ranks over a pool, by turns with MPI's own. Collective; only where a job has several ranks."""

import statistics
import time

from wrp.comm import yardstick
from wrp.runtime.bench.samples import Samples
from wrp.runtime.meeting import Meeting

_ROWS = 8
_MOST, _ROUND_S = 15, 0.03  # rounds, and seconds for which there is one more
_QUIET_S = 0.02             # of postmen, who then nap, before MPI is measured


def measured(stage, seconds):
    """({name: durations as a summary}, {name: the median of the rounds' ratios}), the same on all ranks. `seconds`: about so long."""
    ranks, ours, plain, ratios = stage.ranks, [], [], []
    meeting = Meeting(stage.runtime.pool("wrp_benchmark_meetings", "meeting"), ranks.rank, ranks.size)
    for _ in range(rounds_of(seconds, _ROUND_S, _MOST)):
        time.sleep(_QUIET_S if ranks.nodes > 1 else 0)
        plain.append(yardstick.barriers(ranks, _ROWS))
        ours.append(yardstick.rows_of(meeting.barrier, _ROWS))
        ratios.append(statistics.median(ours[-1]) / statistics.median(plain[-1]))
    found = {"meeting_barrier_ns": summary_of(ours), "mpi_barrier_ns": summary_of(plain)}
    return ranks.share((found, {"meeting_barrier_to_mpi_barrier": statistics.median(ratios)}), "barriers over a pool")


def rounds_of(seconds, each_s, most):
    """How many rounds: two at least."""
    return max(2, min(int(seconds / each_s), most))


def summary_of(rounds):
    """Percentiles of all durations of some rounds."""
    return Samples.of([duration for durations in rounds for duration in durations]).summary()


def timed(call):
    """Duration of a call (ns)."""
    before = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - before
