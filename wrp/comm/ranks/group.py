"""Ranks: what every group of ranks offers, whatever connects them. Holds no MPI."""

import os
import socket

from wrp.comm.ranks.agreement import agreed, everywhere, gather_of, share_of
from wrp.errors import UsageError

_DEFAULT_TIMEOUT_S = 300.0


class Ranks:
    """A group of ranks. `rank`, `size`, `node`, `nodes`, `local_rank`, `local_size` count within this group; `most_local`: ranks of its largest node.

    Collective calls are made by every rank of the group in the same order, and by one thread of a rank at a time.
    """

    rank = node = local_rank = 0
    size = nodes = local_size = most_local = 1
    world_rank = 0              # this rank among all ranks of the job
    is_world = True             # this group is all ranks of the job
    comm = None                 # the mpi4py communicator, or None without MPI
    broken = None               # the sentence of the wait that failed: nothing can be collective after it

    def __init__(self):
        self.host = socket.gethostname()
        self.timeout_s = timeout_from_environment()

    @property
    def on_node(self):
        """Ranks of this node. Local: the group was made with the world."""
        return self

    @property
    def leaders(self):
        """The first rank of every node; None on a rank that is no leader. Local."""
        return self

    def barrier(self, what):
        """Collective: return when every rank has come to the step `what`. Raises WaitTimeout."""

    def share(self, obj, what, root=0):
        """Collective: root's picklable object, on every rank. Raises WaitTimeout."""
        return obj

    def gather(self, obj, what):
        """Collective: list of every rank's picklable object in rank order, on every rank. Raises WaitTimeout."""
        return [obj]

    def left(self, what, error):
        """This rank has left what all do together in the middle, with an error that the others don't hear of: it begins no other step, which would meet theirs. Local."""

    def agreed(self, what):
        """Collective context manager: when the block raises on any rank, every rank raises (see `agreement`)."""
        return agreed(self, what)

    def gather_of(self, function, what):
        """Collective: list of what `function()` gives on every rank; when it raises on any, every rank raises, as with `agreed`."""
        return gather_of(self, function, what)

    def share_of(self, function, what, root=0):
        """Collective: what `function()` gives on root, which alone calls it; when it raises there, every rank raises."""
        return share_of(self, function, what, root)

    def tick(self):
        """Tell waiting ranks that this one makes progress: their deadlines start again. Local, one store."""

    def rely(self, change):
        """This process has one thing more (1) or less (-1) for which it needs what the others of its node serve, until its end. Local."""

    def linger(self):
        """When this process ends: return once no other of its node relies on it, or at the deadline. It comes to no step any more. Local."""

    def progress(self):
        """Let MPI move what other ranks asked of this one. Local, cheap."""

    def abort(self, code):
        """End every rank of the job with this exit code. Local; never returns."""
        raise NotImplementedError

    def close(self):
        """Collective, idempotent: give the group's resources back."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        # a rank that fails alone must not wait for the others here
        if error is None or getattr(error, "common", False):
            self.close()

    def __repr__(self):
        return f"<{type(self).__name__} {self.rank} of {self.size}, node {self.node} of {self.nodes}>"


def timeout_from_environment(environ=os.environ):
    """Deadline of a wait in seconds: WRP_TIMEOUT_S, else 300. Raises UsageError."""
    text = environ.get("WRP_TIMEOUT_S", "")
    if not text:
        return _DEFAULT_TIMEOUT_S
    try:
        timeout_s = float(text)
    except ValueError:
        timeout_s = 0.0
    if not 0 < timeout_s < float("inf"):
        raise everywhere(UsageError(f"WRP_TIMEOUT_S is {text!r}: give the deadline of a wait as a positive number of seconds, e.g. 300"))
    return timeout_s
