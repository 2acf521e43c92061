"""Pieces between ranks: each gets what every other sent, in its order, before all have said that they have. Holds for any number of ranks above one."""

import time

import numpy as np
import pytest

from wrp.comm.pieces import Pieces
from wrp.comm.ranks import world

pytestmark = pytest.mark.mpi
_COUNT, _NBYTES = 5, 300_000


def test_pieces_come_in_their_order():
    ranks = world()
    if ranks.size == 1:
        pytest.skip("one rank has nobody to send to")
    pieces, others = Pieces(ranks), [rank for rank in range(ranks.size) if rank != ranks.rank]
    sent = [pieces.send(rank, np.full(_NBYTES + turn, 10 * ranks.rank + turn, np.uint8)) for rank in others for turn in range(_COUNT)]
    came = {(rank, turn): np.zeros(_NBYTES + turn, np.uint8) for rank in others for turn in range(_COUNT)}
    waited = [*sent, *(pieces.receive(rank, array) for (rank, _), array in came.items())]
    deadline = time.monotonic() + 20
    while not (all([request.Test() for request in waited]) and pieces.all_are_here()):
        assert time.monotonic() < deadline
        time.sleep(1e-4)
    assert all((array == 10 * rank + turn).all() for (rank, turn), array in came.items())
    pieces.free()
