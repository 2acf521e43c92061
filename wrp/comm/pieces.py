"""Pieces: arrays of bytes sent from rank to rank of a group, received in the order in which they were sent. Local but for making, freeing and the end."""

_TAG = 78


class Pieces:
    """Over `ranks`, a group with a communicator of MPI; making and `free` are collective over it. One thread uses it. `send` and `receive` give a request, whose
    `Test()` says when the array may be used again, or is full; they move on while this process calls MPI."""

    def __init__(self, ranks):
        from mpi4py import MPI
        self._byte, self._comm, self._end = MPI.BYTE, ranks.comm.Dup(), None

    def send(self, rank, array):
        return self._comm.Isend([array, self._byte], rank, _TAG)

    def receive(self, rank, array):
        """The next piece of this rank, whose size the caller knows."""
        return self._comm.Irecv([array, self._byte], rank, _TAG)

    def all_are_here(self):
        """True once every rank has called this. Never blocks; call it again."""
        if self._end is None:
            self._end = self._comm.Ibarrier()
        return self._end.Test()

    def free(self):
        """When nothing is on its way any more."""
        self._comm.Free()
