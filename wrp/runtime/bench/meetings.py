"""Barriers of all ranks over a pool, beside MPI's own. Collective; only where a job has several ranks."""

import time

from wrp.comm import yardstick
from wrp.runtime.bench.samples import Samples
from wrp.runtime.meeting import Meeting

_BARRIERS, _WARM_UP = 300, 20


def plain(ranks):
    """{name: what MPI's barriers take}, of this rank."""
    return {"mpi_barrier_ns": Samples.of(yardstick.barriers(ranks, _BARRIERS)).summary()}


def measured(stage):
    """{name: what those over a pool take}, of this rank."""
    ranks = stage.ranks
    meeting = Meeting(stage.runtime.pool("wrp_benchmark_meetings", "meeting"), ranks.rank, ranks.size)
    for _ in range(_WARM_UP):
        meeting.barrier()
    return {"meeting_barrier_ns": Samples.of([timed(meeting.barrier) for _ in range(_BARRIERS)]).summary()}


def ratios(found, aside):
    """One against the other, in one run."""
    return {"meeting_barrier_to_mpi_barrier": found["meeting_barrier_ns"]["p50"] / aside["mpi_barrier_ns"]["p50"]}


def timed(call):
    """Duration of a call (ns)."""
    before = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - before
