"""Remote windows: the segments of other nodes, reached by one-sided MPI from any rank and thread. Knows nothing of what lies there."""

import os
import queue
import threading
import time
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np

from wrp.comm.arrivals import checked
from wrp.comm.digests import crc32_of
from wrp.comm.onesided import calls_of
from wrp.comm.quicker import GOT, Quicker
from wrp.comm.ranks.waiting import Naps
from wrp.comm.shipments import MANY
from wrp.comm.turn import Turn
from wrp.errors import RangeError, UsageError, WaitTimeout

_PIECE = 1 << 30        # counts of MPI are 32 bits wide
_EAGER = 50             # tests of a request before others may have the core
_NAPS_AFTER_S = 1.0     # of a wait: what is slow may as well be looked at less often
_KNOCK_S = 0.5e-3       # an operation that lasts knocks again this often
_LAST_S = 1.0           # of a close: for what nobody waited for to the end
_SHIPPED = 2 << 20      # so many bytes are sent rather than got
_LASTS = 4 << 20        # and for so many their node polls until they are here


class RemoteWindow:
    """One window over the segments of all nodes. Creation and `close` are collective; everything else is local.

    A node's memory is reached only while a process of it that calls MPI lets it move: its first rank waits in a collective
    step, or calls `progress` often, as a runtime's postman does. `get` and `put` see and change bytes as they are: who shares
    them orders the accesses by other means.
    knocker : called with a node now and then while an operation on it lasts, so that it polls; its `waiting(node)` is entered while many bytes move
    shipments : Shipments, where those who poll serve them
    at_ease : called when many bytes are on their way here: who polls in this process may rest
    calls : for one thread's puts from kernels, see `onesided`; None without several nodes, or where that isn't possible
    comm : communicator of mpi4py over all ranks, for messages with tags of their own; None without several nodes
    """

    def __init__(self, ranks, segment):
        self._ranks, self._segment, self._window = ranks, segment, None
        self.node, self.knocker, self.shipments, self.at_ease, self.calls, self.comm = ranks.node, None, None, None, None, None
        self._kept, self._touched, self._flusher, self._making, self._quicker = [], [], None, Turn(), Quicker()
        leads = ranks.local_rank == 0
        facts = ranks.gather((ranks.node, ranks.host, segment.nbytes) if leads else None, "size of the remote window")
        # (rank, host, bytes) of each node's first rank
        self._nodes = {fact[0]: (rank, *fact[1:]) for rank, fact in enumerate(facts) if fact}
        if len(self._nodes) > 1:
            from mpi4py import MPI
            self._byte, self.comm, self._error = MPI.BYTE, ranks.comm.Dup(), MPI.Exception
            # asks for messages of this process alone: others may have died; not on COMM_SELF, for which MPICH moves nothing
            self._probe = partial(self.comm.Iprobe, self.comm.rank)
            self._window = MPI.Win.Create(segment.buffer if leads else None, 1, comm=self.comm)
            self._window.Lock_all()
            self.calls = calls_of(self._window, self.comm)

    @property
    def nodes(self):
        """How many there are."""
        return len(self._nodes)

    def host(self, node):
        """Name of a node's host."""
        return self._nodes[node][1]

    def rank(self, node):
        """The rank of a node's first rank, whose memory the window is over."""
        return self._nodes[node][0]

    def get(self, node, offset, out, timeout_s=None):
        """Fill `out` (writable contiguous buffer) with the bytes from `offset` on of the node's segment.

        Raises RangeError beyond the segment, WaitTimeout when the node doesn't let it move, UsageError.
        """
        self.get_many(node, [(offset, out)], timeout_s)

    def get_many(self, node, ranges, timeout_s=None):
        """Fill many buffers at once: `ranges` of (offset, out). All have their bytes when this returns; errors as `get`."""
        pieces = self._pieces(node, ranges)
        if node == self.node:
            for offset, out in pieces:
                out[:] = self._own(offset, out.nbytes)
            return
        with self._memory_stays(pieces), self._polled(node, pieces):
            self._wait(self._start_gets(node, pieces)[::-1], node, "get", timeout_s)

    def get_checked(self, node, ranges, timeout_s=None):
        """As `get_many`: the crc32 of each range. `timeout_s`: for each."""
        if node == self.node:
            self.get_many(node, ranges)
            return [crc32_of(out) for _, out in ranges]
        pieces, nbytes = [self._pieces(node, [each]) for each in ranges], sum(memoryview(out).nbytes for _, out in ranges)
        if self.shipments is None or nbytes < MANY:
            return self._checked_as_they_come(node, ranges, pieces, timeout_s)
        way, started = self._quicker.way(node), time.perf_counter()
        found = (self._checked_once_here if way == GOT else self._checked_as_they_come)(node, ranges, pieces, timeout_s)
        self._quicker.took(node, way, nbytes, time.perf_counter() - started)
        return found

    def _checked_as_they_come(self, node, ranges, pieces, timeout_s):
        """Each is checked as soon as it is here, while others are on their way."""
        requests = []
        with self._memory_stays(pieces):
            try:
                started = iter(self._start_gets(node, [piece for each in pieces for piece in each]))
                requests += [[next(started) for _ in each][::-1] for each in pieces]
                return checked([(partial(self._wait, each, node, "get", timeout_s), out) for each, (_, out) in zip(requests, ranges)])
            except BaseException:
                self._keep([request for each in requests for request in each])
                raise

    def _checked_once_here(self, node, ranges, pieces, timeout_s):
        """All are got before one is checked: MPI moves nothing for a thread that does something else, and then both cores have time."""
        pieces, requests = [piece for each in pieces for piece in each], []
        timeout_s = self._ranks.timeout_s if timeout_s is None else timeout_s
        with self._memory_stays(pieces), self._polled(node, pieces):
            try:
                if self.at_ease is not None:
                    self.at_ease()
                requests += [self._start(self._got, node, offset, out) for offset, out in pieces][::-1]
                while requests:
                    self._wait_for(requests[-1:], node, "get", timeout_s)
                    requests.pop()
            except BaseException:
                self._keep(requests)
                raise
        return checked([(_nothing, out) for _, out in ranges])

    def put(self, node, offset, data, timeout_s=None):
        """Write bytes to `offset` of the node's segment; they are there when this returns. Errors as `get`."""
        self.put_many(node, [(offset, data)], timeout_s)

    def put_many(self, node, ranges, timeout_s=None):
        """Write many ranges, (offset, data), at once; all are there when this returns. Errors as `get`."""
        pieces = self._pieces(node, ranges)
        if node == self.node:
            for offset, data in pieces:
                self._own(offset, data.nbytes)[:] = data
            return
        with self._memory_stays(pieces), self._polled(node, pieces):
            requests = [self.start_put(node, offset, data) for offset, data in pieces]
            self._wait(requests, node, "put", timeout_s)
            self._flush(node, timeout_s)

    @contextmanager
    def _memory_stays(self, pieces):
        """An error of a signal's handler may come before a request is ours: then MPI may touch the memory of `pieces` until the window is closed."""
        try:
            yield
        except BaseException:
            self._touched.append(pieces)
            raise

    def _polled(self, node, pieces):
        """While many bytes move, their node does nothing but let them."""
        lasts = self.knocker is not None and sum(array.nbytes for _, array in pieces) >= _LASTS
        return self.knocker.waiting(node) if lasts else nullcontext()

    def start_get(self, node, offset, out):
        """A request; `out` (array of uint8) is filled when `is_done` says so. The caller has checked the range."""
        return self._start_gets(node, [(offset, out)])[0]

    def _start_gets(self, node, pieces):
        """A request for each; all that is to be sent is asked for together."""
        long = [] if self.shipments is None else [each for each in pieces if each[1].nbytes >= _SHIPPED]
        asked = iter(self._asked(node, long) if long else ())
        return [next(asked) if long and out.nbytes >= _SHIPPED else self._start(self._got, node, offset, out) for offset, out in pieces]

    def _asked(self, node, pieces):
        try:
            asked = self.shipments.ask(self._nodes[node][0], pieces)
        except self._error:
            return [_Never()] * len(pieces)
        if self.knocker is not None:
            self.knocker(node)
        if self.at_ease is not None and sum(out.nbytes for _, out in pieces) >= MANY:
            self.at_ease()
        return asked

    def start_put(self, node, offset, data):
        """A request; `data` (array of uint8) may change again when `is_done` says so, and comes to the node soon."""
        return self._start(self._putting, node, offset, data)

    def _start(self, call, node, offset, array):
        try:
            return call(self._nodes[node][0], offset, array)
        except self._error:
            return _Never()

    def _got(self, rank, offset, array):
        return self._window.Rget([array, self._byte], rank, [offset, array.nbytes, self._byte])

    def _putting(self, rank, offset, array):
        return self._window.Rput([array, self._byte], rank, [offset, array.nbytes, self._byte])

    def is_done(self, request):
        """True when a request is done; never where MPI has found that the node's first rank has died."""
        try:
            return request.Test()
        except self._error:
            return False

    def progress(self, times=1):
        """Let MPI move what other nodes asked of this one. Local, cheap, any thread."""
        if self._window is not None:
            for _ in range(times):
                self._probe()

    def close(self):
        """Collective, idempotent."""
        window, self._window, self._segment = self._window, None, None
        if window is None or self._ranks.broken:
            return
        if not self._is_quiet():
            return                          # what MPI may still touch stays: it goes with the process
        ships = self.shipments
        if ships is not None:
            ships.free()
        if self._flusher is not None:
            self._flusher.close()
        window.Unlock_all()
        window.Free()
        self.comm.Free()

    def _is_quiet(self):
        """Whether everything that any rank has begun is done; a short while is given to what nobody waited for to the end. Collective."""
        if not any(self._ranks.gather(self._is_busy(), "close of the remote window")):
            return True
        naps, until = Naps(), time.monotonic() + _LAST_S
        while self._is_busy() and time.monotonic() < until:
            naps.pause()
        return not any(self._ranks.gather(self._is_busy(), "what was left of the remote window"))

    def _is_busy(self):
        while self._kept and self._is_last_done(self._kept):
            self._kept.pop()
        return bool(self._kept) or self.shipments is not None and not self.shipments.is_idle

    def _own(self, offset, nbytes):
        return np.frombuffer(self._segment.buffer, np.uint8, nbytes, offset)

    def _pieces(self, node, ranges):
        """[(offset, array of uint8)], each short enough for MPI, checked."""
        if self._segment is None:
            raise UsageError("The remote window was closed: it can't be used any more.")
        if node not in self._nodes:
            raise UsageError(f"There is no node {node} among {len(self._nodes)}.")
        found, most = [], self._nodes[node][2]
        for offset, data in ranges:
            nbytes = memoryview(data).nbytes
            if offset < 0 or offset + nbytes > most:
                raise RangeError(f"Bytes {offset} to {offset + nbytes} lie beyond the segment of node {node}, which has {most} bytes.")
            array = np.frombuffer(data, np.uint8) if nbytes else np.empty(0, np.uint8)
            found += [(offset + start, array[start:start + _PIECE]) for start in range(0, nbytes, _PIECE)]
        return found

    def _flush(self, node, timeout_s):
        # MPI has no flush that can be polled: a thread makes the call, so that the wait has a deadline
        with self._making.of("puts into other nodes"):
            if self._flusher is None:
                self._flusher = _Flusher(self._window)
            self._flusher.begin()
        self._wait([self._flusher.start(self._nodes[node][0])], node, "put", timeout_s)

    def _wait(self, requests, node, verb, timeout_s):
        """Wait for all requests, the last one first; what isn't done at the deadline, or at an error of a signal's handler, is kept for MPI, which may still touch its memory."""
        timeout_s = self._ranks.timeout_s if timeout_s is None else timeout_s
        try:
            self._wait_for(requests, node, verb, timeout_s)
        except BaseException:
            self._keep(requests)
            raise

    def _wait_for(self, requests, node, verb, timeout_s):
        started = time.monotonic()
        knock_at, tests, naps = started, 0, Naps()
        while requests:
            if self._is_last_done(requests):
                requests.pop()
                tests = 0
                continue
            tests += 1
            if tests < _EAGER:
                continue
            now = time.monotonic()
            if self.knocker is not None and now >= knock_at:
                knock_at = now + _KNOCK_S
                self.knocker(node)
            if now >= started + timeout_s:
                raise self._late(node, verb, now - started)
            if now >= started + _NAPS_AFTER_S:
                naps.pause()
            else:
                os.sched_yield()

    def _keep(self, requests):
        self._kept += requests if self.shipments is None else self.shipments.forsake(requests)

    def _is_last_done(self, requests):
        try:
            return requests[-1].Test()
        except self._error:
            requests[-1] = _Never()         # MPI has forgotten it, and would say from now on that it is done
            return False

    def _late(self, node, verb, waited_s):
        ranks, (rank, host, _) = self._ranks, self._nodes[node]
        return WaitTimeout(f"rank {ranks.world_rank} on {ranks.host} waited {waited_s:.3g} s for a {verb} on node "
                           f"{node}; its first rank, {rank}, made no call of MPI that lets it move (host {host}); "
                           "see that it lives, and that it calls progress() while it computes")


def _nothing():
    """What is here needn't be waited for."""


class _Flusher:
    """A thread that flushes, one target after the other."""

    def __init__(self, window):
        self._window, self._asked = window, queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="wrp-flush", daemon=True)

    def begin(self):
        """The thread runs, whatever a signal's handler did to an earlier call."""
        if self._thread.ident is None:      # is_alive would take it for ended once a handler's error had come in there
            self._thread.start()

    def start(self, target):
        flush = _Flush(target)
        self._asked.put(flush)
        return flush

    def close(self):
        self._asked.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self):
        from mpi4py import MPI
        for flush in iter(self._asked.get, None):
            try:
                self._window.Flush(flush.target)
            except MPI.Exception:
                continue                # a target that died: who waits has a deadline
            flush.is_done = True


class _Never:
    """A request that MPI refused."""

    def Test(self):
        return False


class _Flush:
    """A flush that is under way, as a request of MPI."""

    def __init__(self, target):
        self.target, self.is_done = target, False

    def Test(self):
        return self.is_done
