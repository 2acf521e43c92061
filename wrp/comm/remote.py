"""Remote windows: the segments of other nodes, reached by one-sided MPI from the first rank of each node."""

import threading
import time

import numpy as np

from wrp.comm.ranks.waiting import poll
from wrp.errors import RangeError, UsageError

_PIECE = 1 << 30        # counts of MPI are 32 bits wide


class RemoteWindow:
    """One window over the segments of all nodes. Creation and `close` are collective; other ranks than leaders pass through.

    Over TCP a node's memory is reached only while its leader calls MPI: it waits in a collective step, or calls `progress` often.
    `get` and `put` see and change bytes as they are: who shares them orders the accesses by other means.
    """

    def __init__(self, ranks, segment):
        self._leaders, self._segment, self._window = ranks.leaders, segment, None
        self._sizes = []
        if self._leaders is None:
            return
        self._sizes = self._leaders.gather(segment.nbytes, "size of the remote window")
        if self._leaders.size > 1:
            from mpi4py import MPI
            self._byte = MPI.BYTE
            self._window = MPI.Win.Create(segment.buffer, 1, comm=self._leaders.comm)
            self._window.Lock_all()

    def get(self, node, offset, out):
        """Fill `out` (writable contiguous buffer) with the bytes from `offset` on of the node's segment. Leaders only.

        Raises RangeError beyond the segment, WaitTimeout when the node's leader doesn't call MPI.
        """
        out = np.frombuffer(out, np.uint8) if memoryview(out).nbytes else np.empty(0, np.uint8)
        self._check(node, offset, out.nbytes)
        if node == self._leaders.rank:
            out[:] = self._own(offset, out.nbytes)
            return
        for start in range(0, out.nbytes, _PIECE):
            part = out[start:start + _PIECE]
            request = self._window.Rget([part, self._byte], node, [offset + start, part.nbytes, self._byte])
            self._wait(request.Test, node, "get", request)

    def put(self, node, offset, data):
        """Write bytes to `offset` of the node's segment; they are there when this returns. Leaders only; errors as `get`."""
        data = np.frombuffer(data, np.uint8) if memoryview(data).nbytes else np.empty(0, np.uint8)
        self._check(node, offset, data.nbytes)
        if node == self._leaders.rank:
            self._own(offset, data.nbytes)[:] = data
            return
        for start in range(0, data.nbytes, _PIECE):
            part = data[start:start + _PIECE]
            request = self._window.Rput([part, self._byte], node, [offset + start, part.nbytes, self._byte])
            self._wait(request.Test, node, "put", request)
        self._flush(node)

    def progress(self):
        """Let MPI move what other nodes asked of this one. Local, cheap."""
        if self._window is not None:
            self._leaders.progress()

    def close(self):
        """Collective, idempotent."""
        window, self._window = self._window, None
        self._segment = None
        if window is None or self._leaders.broken:
            return
        self._leaders.barrier("close of the remote window")
        window.Unlock_all()
        window.Free()

    def _own(self, offset, nbytes):
        return np.frombuffer(self._segment.buffer, np.uint8, nbytes, offset)

    def _check(self, node, offset, nbytes):
        if self._leaders is None or self._segment is None:
            raise UsageError("A remote window is used by the first rank of a node, and until it is closed.")
        if not 0 <= node < len(self._sizes):
            raise UsageError(f"There is no node {node} among {len(self._sizes)}.")
        if offset < 0 or offset + nbytes > self._sizes[node]:
            raise RangeError(f"Bytes {offset} to {offset + nbytes} lie beyond the segment of node {node}, "
                             f"which has {self._sizes[node]} bytes.")

    def _flush(self, node):
        # MPI has no flush that can be polled: a thread makes the call, so that the wait has a deadline
        thread = threading.Thread(target=self._window.Flush, args=(node,), name="flush", daemon=True)
        thread.start()
        self._wait(lambda: not thread.is_alive(), node, "put", self._window)
        thread.join()

    def _wait(self, test, node, verb, kept):
        leaders, started = self._leaders, time.monotonic()
        lost = poll(test, lambda: None, leaders.timeout_s, leaders.board)
        if lost is not None:
            sentence = (f"rank {leaders.world_rank} on {leaders.host} waited {time.monotonic() - started:.3g} s for a {verb} on node "
                        f"{node}; its first rank, {leaders.world_ranks[node]}, made no call of MPI that lets it move; "
                        "see that it lives, and that it calls progress() while it computes")
            leaders.give_up(kept, sentence)
