"""Windows: memory that the ranks of one node share through MPI, given out as a Segment. It vanishes with the job."""

import gc
import weakref

import numpy as np

from wrp.comm import reserve
from wrp.comm.segment import Segment
from wrp.comm.sizes import format_size
from wrp.errors import OutOfSpace, UsageError

_kept = []          # windows that somebody still looks into, or that can't be freed together: they go with the process


def allocate(ranks, nbytes):
    """A Segment of `nbytes` bytes that the ranks of one node share; memory of its own where there is one rank.

    Collective over `ranks`, every one of which gives the same size. Raises OutOfSpace on all of them before anything is
    allocated where shared memory has no room. The memory is zero, and no page of it is backed: see `Segment.reserve`.
    """
    if ranks.size == 1:
        return Segment.private(nbytes)
    _check(ranks, nbytes)
    owner = Window(ranks, nbytes)
    segment = None
    # the others look at the header when it is whole
    with ranks.agreed("making of the segment"):
        if ranks.rank == 0:
            segment = Segment(owner.memory, owner.address, owner, create=True)
    with ranks.agreed("opening of the segment"):
        if ranks.rank != 0:
            segment = Segment(owner.memory, owner.address, owner, create=False)
    return segment


class Window:
    """`nbytes` of shared memory at a page's beginning: `memory` (uint8 array), `address`; `close` is collective."""

    fd = None       # MPI keeps the file to itself

    def __init__(self, ranks, nbytes):
        from mpi4py import MPI
        self._ranks = ranks
        # one page more: the standard promises no alignment; the skew is the same on every rank
        self._window = MPI.Win.Allocate_shared(nbytes + reserve.PAGE if ranks.rank == 0 else 0, 1, comm=ranks.comm)
        base, _ = self._window.Shared_query(0)
        skew = -base.address % reserve.PAGE
        self.memory = np.frombuffer(base, np.uint8)[skew:skew + nbytes]
        self.address = self.memory.__array_interface__["data"][0]

    def close(self, is_used=False):
        """Collective, idempotent. While any rank still has a view of the memory, or says that it `is_used`, it stays until the process ends."""
        window, self._window = self._window, None
        if window is None:
            return
        seen = self._let_go() or is_used
        if self._ranks.broken or any(self._ranks.gather(seen or None, "close of a window")):
            _kept.append(window)
        else:
            window.Free()

    def _let_go(self):
        """True while others hold views of the memory: freeing it would end the process at their next look."""
        watched, self.memory = weakref.ref(self.memory), None
        if watched() is not None:
            gc.collect()
        return watched() is not None


def _check(ranks, nbytes):
    """Refuse on all ranks what can't be had."""
    sizes = ranks.gather(nbytes, "size of a window")
    if len(set(sizes)) > 1:
        raise UsageError(f"Ranks of one node ask for windows of different sizes: {sizes}; every rank must give the same.")
    with ranks.agreed("room for a window"):
        free = reserve.free_bytes()
        if ranks.rank == 0 and free is not None and nbytes + reserve.PAGE > free:
            raise OutOfSpace(f"A window of {format_size(nbytes)} doesn't fit into shared memory: /dev/shm has "
                             f"{format_size(free)} free; ask for smaller tiers of memory, or remove what others left there.")
