"""Pulse: nodes tell each other now and then that they get on, so that a long step on one is no time-out on another."""

import time

import numpy as np


class Pulse:
    """Messages of one byte from any rank of a node that makes progress to the first ranks of the other nodes.

    `comm` is used for nothing else; `targets` = first ranks of the other nodes in it; `board` = this node's.
    """

    def __init__(self, comm, targets, board, timeout_s):
        self._comm, self._targets, self._board = comm, targets, board
        self._every_s = min(10.0, timeout_s / 5)
        self._next = time.monotonic() + self._every_s
        self._byte, self._trash = np.ones(1, np.uint8), np.empty(1, np.uint8)
        self._sent = []

    def beat(self):
        """Tell the other nodes, unless a rank of this node did a moment ago. Local, cheap."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._every_s
        if not self._board.claim_beat(now, self._every_s):
            return
        self._sent = [request for request in self._sent if not request.Test()]
        if not self._sent:      # a node that doesn't listen gets no second message
            self._sent = [self._comm.Isend(self._byte, target) for target in self._targets]

    def listen(self):
        """Take what other nodes sent, and show it on the board. Local, cheap."""
        while self._comm.Iprobe():
            self._comm.Recv(self._trash)
            self._board.hear()

    def close(self):
        """Collective. Messages that are still on their way go with the communicator."""
        self.listen()
        self._comm.Free()
