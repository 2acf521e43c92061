"""Messages: small dictionaries between the ranks of a group, at any time and in no step. Local but for making and freeing it."""

import json

import numpy as np

_TAG = 77


class Messages:
    """Over `ranks`, a group with a communicator of MPI; making and `free` are collective over it. One thread uses it."""

    def __init__(self, ranks):
        from mpi4py import MPI
        self._status, self._comm, self._sent = MPI.Status(), ranks.comm.Dup(), []
        self.rank, self.size = ranks.rank, ranks.size

    def send(self, rank, message):
        """Send a dictionary that JSON can say. It moves on while this process calls MPI."""
        data = np.frombuffer(json.dumps(message).encode(), np.uint8)
        self.are_sent()
        self._sent.append((self._comm.Isend(data, rank, _TAG), data))

    def are_sent(self):
        """True when all that was sent has left."""
        self._sent = [(request, data) for request, data in self._sent if not request.Test()]
        return not self._sent

    def take(self):
        """(rank, message) of the next one that has come, or None. Cheap."""
        status = self._status
        if not self._comm.Iprobe(tag=_TAG, status=status):
            return None
        data = np.empty(status.Get_count(), np.uint8)
        self._comm.Recv(data, status.Get_source(), _TAG)
        return status.Get_source(), json.loads(data.tobytes())

    def free(self):
        """When nothing is on its way any more."""
        self._comm.Free()
