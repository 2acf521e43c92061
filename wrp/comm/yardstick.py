"""What MPI itself takes between nodes, to measure others by: put and get with a target that polls, large gets, barriers. Collective."""

import time

import numpy as np

_WARM_UP = _ROW = 20
_TAG = 5
_LINE = 64


def barriers(ranks, count):
    """Durations (ns) of `count` rows of MPI's barriers over all ranks, for one barrier each, on this one: see `rows_of`."""
    ranks.barrier("the barriers begin")
    return rows_of(ranks.comm.Barrier, count)


def rows_of(barrier, count):
    """Durations (ns) of one barrier, each the mean of a row of twenty. Single ones say less: where one rank's is short the other's is long."""
    for _ in range(_ROW):
        barrier()
    found = []
    for _ in range(count):
        before = time.perf_counter_ns()
        for _ in range(_ROW):
            barrier()
        found.append((time.perf_counter_ns() - before) // _ROW)
    return found


class Yardstick:
    """A window of MPI's own over memory of the second node. Making, its methods and `free` are collective; they give durations (ns) on rank 0, else [].

    memory : uint8 array, on every rank; that of the second node's first rank is read and written, others are read into on rank 0
    """

    def __init__(self, ranks, memory):
        self._ranks, self._memory, self._leaders, self._window = ranks, memory, ranks.leaders, None
        if self._leaders is not None:
            from mpi4py import MPI
            self._comm = self._leaders.comm.Dup()
            self._window = MPI.Win.Create(memory if self._leaders.rank == 1 else None, 1, comm=self._comm)
            self._window.Lock_all()

    def put_get(self, seconds):
        """Of a put of a cache line, flushed, and a get of one, flushed, while the target does nothing but poll."""
        return self._measured(lambda window: _trips(window, self._memory[:_LINE], seconds))

    def gets(self, out, count):
        """Of gets of as many bytes as `out` has, flushed, while the target does nothing but poll."""
        return self._measured(lambda window: [_timed(lambda: _get(window, out)) for _ in range(count)])

    def free(self):
        if self._window is not None:
            self._window.Unlock_all()
            self._window.Free()
            self._comm.Free()
        self._window = self._memory = None

    def _measured(self, measure):
        leaders, found = self._leaders, []
        self._ranks.barrier("the yardstick is read")
        if leaders is not None and leaders.rank == 0:
            found = measure(self._window)
            self._comm.Send(np.zeros(1, np.uint8), 1, _TAG)
        elif leaders is not None and leaders.rank == 1:
            while not self._comm.Iprobe(0, _TAG):
                pass
            self._comm.Recv(np.zeros(1, np.uint8), 0, _TAG)
        self._ranks.barrier("the yardstick has been read")
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
