"""Shipments: long ranges of a node's segment, sent by its first rank to who asks. Knows no window, and nothing of what the bytes are.

A one-sided get of many bytes moves in small pieces, each of which waits until both sides call MPI again: over TCP it took four times as long as a message, and
on one machine twice as long where others want the cores, too. A message of this length is moved at once.
"""

import contextlib
import itertools
import threading

import numpy as np

_ASK, _TAGS = 1, 30_000         # tag of a question; tags of answers begin above it
_WORDS = 3                      # of a question: offset, bytes, tag of the answer


class Shipments:
    """Over `ranks`, all ranks of a job; making and `free` are collective. `segment`: of this node.

    ask : of any rank and thread; `serve` and `turn`: of one thread of a node's first rank, which calls MPI often
    """

    def __init__(self, ranks, segment):
        from mpi4py import MPI
        self._byte, self._error, self._status = MPI.BYTE, MPI.Exception, MPI.Status()
        self._comm, self._segment = ranks.comm.Dup(), segment
        self._numbers, self._lock, self._under_way = itertools.count(), threading.Lock(), []

    def ask(self, rank, offset, array):
        """Have the first rank of a node send the bytes from `offset` on: a request that is done when `array` (uint8) is filled. The caller has checked the
        range, and knocks."""
        with self._lock:
            tag = _ASK + 1 + next(self._numbers) % _TAGS
        received = self._comm.Irecv([array, self._byte], rank, tag)
        question = np.array([offset, array.nbytes, tag], np.int64)
        return _Asked(received, self._comm.Isend(question, rank, _ASK), question)

    def serve(self):
        """Begin to send what was asked for since."""
        while self._has_come():
            question, rank = np.empty(_WORDS, np.int64), self._status.Get_source()
            self._comm.Recv(question, rank, _ASK)
            offset, nbytes, tag = question.tolist()
            data = np.frombuffer(self._segment.buffer, np.uint8, nbytes, offset)
            with contextlib.suppress(self._error):      # who asked has died
                self._under_way.append((self._comm.Isend([data, self._byte], rank, tag), data))

    def turn(self):
        """True while something is on its way: then MPI is to be called often."""
        if self._under_way:
            self._under_way = [each for each in self._under_way if not self._is_done(each[0])]
        return bool(self._under_way)

    def free(self):
        """When nothing is on its way any more, and nobody waits. Collective."""
        self._segment = None
        self._comm.Free()

    def _has_come(self):
        try:
            return self._comm.Iprobe(tag=_ASK, status=self._status)
        except self._error:                 # a rank has died: the others are asked one by one
            return any(self._comes_from(rank) for rank in range(self._comm.size))

    def _comes_from(self, rank):
        try:
            return self._comm.Iprobe(rank, _ASK, self._status)
        except self._error:
            return False

    def _is_done(self, request):
        try:
            return request.Test()
        except self._error:
            return True


class _Asked:
    """As a request of MPI."""

    def __init__(self, received, sent, question):
        self._received, self._sent, self._question = received, sent, question

    def Test(self):
        return self._received.Test() and self._sent.Test()
