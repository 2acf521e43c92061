"""A rank's clients: threads that run the jitted loop, and calls from Python. Makes no pools."""

import threading
import time

import numpy as np

from wrp.errors import WaitTimeout, WrpError
from wrp.runtime import admin
from wrp.runtime.bench import loops
from wrp.runtime.bench.samples import Samples

OUTSTANDING = 64
_ROWS = [(0,)] * OUTSTANDING
_AT_ONCE = 1 << 16              # durations of one call of the loop
_LOOSE = 64                     # arrays of them that are kept before they are merged
_END_S = 60


class Client(threading.Thread):
    """One thread. After `join`: `samples`, `done`, `failed`, `elapsed_s`, and `error` or None."""

    def __init__(self, way, work, start):
        super().__init__(name="wrp benchmark client", daemon=True)
        self._way, self._work = way, work
        self._start, self._duration_s = start
        self._until = np.zeros(1, np.int64)         # the clock at its end; before it begins 0, or -1 where it isn't to begin
        self.done = self.failed = 0
        self.elapsed_s, self.error = 0.0, None
        self._merged, self._loose = Samples(), []

    @property
    def samples(self):
        return Samples.merged([self._merged, *map(Samples.of, self._loose)])

    def run(self):
        try:
            self._start.wait(_END_S)
            before = time.monotonic_ns()
            self._until[0] = self._until[0] or before + int(self._duration_s * 1e9)
            self._run(self._until.ctypes.data)
            self.elapsed_s = (time.monotonic_ns() - before) / 1e9
        except Exception as error:
            self.error = error

    def stop(self):
        """End it after the operation that it is at; from another thread."""
        self._until[0] = -1

    def _run(self, until):
        why = loops.FULL
        while why == loops.FULL:
            durations = np.empty(_AT_ONCE, np.int64)
            done, failed, why = loops.loop(self._way.place, self._way.waits, self._work, until, durations)
            self.done, self.failed = self.done + done, self.failed + failed
            self._loose.append(durations[:done])
            if len(self._loose) == _LOOSE:
                self._merged, self._loose = self.samples, []
        if why == loops.NO_ANSWER:
            raise WaitTimeout(f"a task of the benchmark got no answer for {self._way.waits[1] / 1e9:g} s: look at what the worker does")
        if why == loops.GONE:
            raise WaitTimeout("the daemon stops, or has stopped: start it again")


def prepare(ways, works):
    """(ways, works), with their loop compiled before any clock runs. Local."""
    over = np.zeros(1, np.int64)
    for way, work in zip(ways, works):
        loops.loop(way.place, way.waits, work, over.ctypes.data, np.empty(0, np.int64))
    return ways, works


def run_clients(ways, works, duration_s):
    """The Clients of this rank after `duration_s` seconds: one for each of `ways` with its work. Raises the first one's error."""
    start = threading.Barrier(len(works) + 1)
    clients = [Client(way, work, (start, duration_s)) for way, work in zip(ways, works)]
    try:
        for client in clients:
            client.start()
        start.wait(_END_S)
        for client in clients:
            client.join(duration_s + ways[0].waits[1] / 1e9 + _END_S)
            if client.is_alive():
                raise WaitTimeout(f"a client of the benchmark doesn't end {_END_S} s after its time")
            if client.error:
                raise client.error
    except BaseException:
        start.abort()
        for client in clients:
            client.stop()
        for client in clients:
            if client.ident is not None:
                client.join(_END_S)
        raise
    return clients


def calls(pool, seconds):
    """Samples of `Pool.call` from Python, admin's Monitor, for some seconds, one at least. Local."""
    durations, until, clock = [], time.perf_counter_ns() + int(seconds * 1e9), time.perf_counter_ns
    pool.call(admin.MONITOR, 0)
    before = clock()
    while not durations or before < until:
        reply = pool.call(admin.MONITOR, 0)
        now = clock()
        if reply.code:
            raise WrpError(f"a task of the benchmark ended with code {reply.code}")
        durations.append(now - before)
        before = now
    return Samples.of(durations)


def outstanding(pool, seconds):
    """Tasks per second with 64 of them at once: submitted from Python in one batch, then waited for. Local."""
    pool.submit_many(admin.MONITOR, _ROWS).wait()       # the batch's kernels are loaded
    done, start, clock = 0, time.perf_counter_ns(), time.perf_counter_ns
    until = start + int(seconds * 1e9)
    while clock() < until:
        if any(reply.code for reply in pool.submit_many(admin.MONITOR, _ROWS).wait()):
            raise WrpError("a task of the benchmark, one of a batch, failed")
        done += OUTSTANDING
    return done / ((clock() - start) / 1e9)
