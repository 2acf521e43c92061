"""What MPI itself takes between nodes, to measure others by: put and get with a target that polls, barriers, large gets. Collective."""

import time

import numpy as np

_WARM_UP = 20
_TAG = 5
_LINE = 64


def put_get(ranks, seconds):
    """Durations (ns) of a put of a cache line, flushed, and a get of one, flushed, from the first node to the second, on rank 0; else []."""
    return _from_first_to_second(ranks, _LINE, lambda window, line: _trips(window, line, seconds))


def large_gets(ranks, nbytes, count):
    """Durations (ns) of `count` gets of `nbytes`, flushed, from the second node, on rank 0; else []."""
    return _from_first_to_second(ranks, nbytes, lambda window, out: [_timed(lambda: _get(window, out)) for _ in range(count)])


def barriers(ranks, count):
    """Durations (ns) of `count` of MPI's barriers over all ranks, on this one."""
    ranks.barrier("the barriers begin")
    for _ in range(_WARM_UP):
        ranks.comm.Barrier()
    return [_timed(ranks.comm.Barrier) for _ in range(count)]


def _from_first_to_second(ranks, nbytes, measure):
    leaders, found = ranks.leaders, []
    if leaders is not None:
        from mpi4py import MPI
        buffer = np.zeros(nbytes, np.uint8)
        window = MPI.Win.Create(buffer if leaders.rank == 1 else None, 1, comm=leaders.comm)
        window.Lock_all()
        if leaders.rank == 0:
            found = measure(window, buffer)
            leaders.comm.Send(np.zeros(1, np.uint8), 1, _TAG)
        elif leaders.rank == 1:
            while not leaders.comm.Iprobe(0, _TAG):
                pass
            leaders.comm.Recv(np.zeros(1, np.uint8), 0, _TAG)
        window.Unlock_all()
        window.Free()
    ranks.barrier("the yardstick has been read")
    return found


def _trips(window, line, seconds):
    def trip():
        window.Put(line, 1)
        window.Flush(1)
        window.Get(line, 1)
        window.Flush(1)

    for _ in range(_WARM_UP):
        trip()
    found, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        found.append(_timed(trip))
    return found


def _get(window, out):
    window.Get(out, 1)
    window.Flush(1)


def _timed(call):
    before = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - before
