"""Long ranges that a node's first rank sends to who asks. WRP_RANKS_PER_NODE makes several nodes."""

import numpy as np
import pytest

from wrp.comm import window
from wrp.comm.ranks import world
from wrp.comm.remote import RemoteWindow
from wrp.comm.shipments import Shipments
from wrp.errors import RangeError, WaitTimeout

pytestmark = pytest.mark.mpi
_NBYTES, _LONG = 16 << 20, 5 << 20


@pytest.fixture
def segment():
    if world().nodes == 1:
        pytest.skip("one node has nobody to send to")
    with window.allocate(world().on_node, _NBYTES) as segment:
        yield segment


@pytest.fixture
def remote(segment):
    remote = RemoteWindow(world(), segment)
    remote.shipments = Shipments(world(), segment)
    yield remote
    remote.close()          # what MPI may still touch stays


def test_what_is_long_comes_as_it_lies_there(segment, remote):
    ranks = world()
    place, _ = segment.place("long", 2 * _LONG)
    place = ranks.share(place, "where it lies")
    if ranks.leaders:
        segment.reserve(place, 2 * _LONG)
        np.frombuffer(segment.buffer, np.int64, 2 * _LONG // 8, place)[:] = np.arange(2 * _LONG // 8) * (ranks.node + 1)
    ranks.barrier("the bytes are there")
    other, outs = (ranks.node + 1) % ranks.nodes, [np.zeros(_LONG // 8, np.int64) for _ in range(2)]
    asked = [remote.start_get(other, place + number * _LONG + 8, out.view(np.uint8)[:-8]) for number, out in enumerate(outs)]
    waits = True
    while any(ranks.gather(waits, "who waits")):            # each leader serves meanwhile
        if ranks.leaders:
            remote.shipments.serve()
            remote.shipments.turn()
        remote.progress()
        waits = not all([remote.is_done(each) for each in asked])
    wanted = np.arange(2 * _LONG // 8) * (other + 1)
    for number, out in enumerate(outs):
        start = number * _LONG // 8 + 1
        assert (out[:-1] == wanted[start:start + len(out) - 1]).all() and out[-1] == 0
    with pytest.raises(RangeError, match="beyond the segment"):
        remote.get(other, _NBYTES - _LONG, bytearray(_LONG + 1))


def test_nobody_serves(remote):
    ranks = world()
    if ranks.rank == 0:
        with pytest.raises(WaitTimeout, match="for a get on node 1"):
            remote.get(1, 0, bytearray(_LONG), timeout_s=0.2)
    ranks.barrier("nothing came")
