"""Long ranges that a node's first rank sends to who asks. WRP_RANKS_PER_NODE makes several nodes."""

import threading

import numpy as np
import pytest

from wrp.comm import shipments, window
from wrp.comm.checksum import crc32
from wrp.comm.quicker import GOT, SENT
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


def _laid(segment, values):
    """Each leader lays its array at one place of its node's segment: the place. Collective."""
    ranks = world()
    place, _ = segment.place("laid", values.nbytes)
    place = ranks.share(place, "where it lies")
    if ranks.leaders:
        segment.reserve(place, values.nbytes)
        np.frombuffer(segment.buffer, values.dtype, values.size, place)[:] = values
    ranks.barrier("the bytes are there")
    return place


def _serve_while(remote, waits):
    """Each leader serves until nobody waits any more. Collective."""
    while any(world().gather(waits(), "who waits")):
        if world().leaders:
            remote.shipments.serve()
            remote.shipments.turn()
        remote.progress()


def test_what_is_long_comes_as_it_lies_there(segment, remote):
    ranks = world()
    place = _laid(segment, np.arange(2 * _LONG // 8) * (ranks.node + 1))
    other, outs = (ranks.node + 1) % ranks.nodes, [np.zeros(_LONG // 8, np.int64) for _ in range(2)]
    asked = [remote.start_get(other, place + number * _LONG + 8, out.view(np.uint8)[:-8]) for number, out in enumerate(outs)]
    _serve_while(remote, lambda: not all([remote.is_done(each) for each in asked]))
    wanted = np.arange(2 * _LONG // 8) * (other + 1)
    for number, out in enumerate(outs):
        start = number * _LONG // 8 + 1
        assert (out[:-1] == wanted[start:start + len(out) - 1]).all() and out[-1] == 0
    with pytest.raises(RangeError, match="beyond the segment"):
        remote.get(other, _NBYTES - _LONG, bytearray(_LONG + 1))


@pytest.mark.parametrize("count, rests", [(1, 0), (4, 1)])
def test_who_polls_may_rest_while_many_bytes_come(segment, remote, count, rests):
    ranks, told = world(), []
    place, remote.at_ease = _laid(segment, np.ones(_LONG, np.uint8)), lambda: told.append(1)
    outs = [np.zeros(_LONG, np.uint8) for _ in range(count)]
    asked = remote._start_gets((ranks.node + 1) % ranks.nodes, [(place, out) for out in outs])
    _serve_while(remote, lambda: not all([remote.is_done(each) for each in asked]))
    assert all(out.all() for out in outs) and len(told) == rests


def test_ranges_come_with_their_checksums(segment, remote):
    ranks = world()
    place = _laid(segment, np.arange(3 * _LONG, dtype=np.uint8) + np.uint8(ranks.node))
    other, outs = (ranks.node + 1) % ranks.nodes, [bytearray(nbytes) for nbytes in (_LONG, 100, 0, _LONG - 7)]
    starts = [place, place + _LONG, place, place + 2 * _LONG]
    found = []
    getting = threading.Thread(target=lambda: found.extend(remote.get_checked(other, list(zip(starts, outs)))))
    getting.start()
    _serve_while(remote, getting.is_alive)
    getting.join()
    wanted = np.arange(3 * _LONG, dtype=np.uint8) + np.uint8(other)
    assert outs == [wanted[start - place:start - place + len(out)].tobytes() for start, out in zip(starts, outs)]
    assert found == [crc32(out) for out in outs]
    with pytest.raises(RangeError, match="beyond the segment"):
        remote.get_checked(other, [(0, bytearray(8)), (_NBYTES - 4, bytearray(8))])
    assert remote.get_checked(ranks.node, [(place, bytearray(4))]) == [crc32(segment.buffer[place:place + 4])]


@pytest.mark.parametrize("way", [SENT, GOT])
def test_many_bytes_come_with_their_checksums_either_way(segment, remote, monkeypatch, way):
    monkeypatch.setattr(remote._quicker, "way", lambda node: way)
    ranks = world()
    place = _laid(segment, np.arange(2 * _LONG, dtype=np.uint8) + np.uint8(ranks.node))
    other, outs, found = (ranks.node + 1) % ranks.nodes, [bytearray(_LONG) for _ in range(4)], []
    starts = [place, place + 1000, place + _LONG, place + 7]
    getting = threading.Thread(target=lambda: found.extend(remote.get_checked(other, list(zip(starts, outs)))))
    getting.start()
    _serve_while(remote, getting.is_alive)
    getting.join()
    wanted = np.arange(2 * _LONG, dtype=np.uint8) + np.uint8(other)
    assert outs == [wanted[start - place:start - place + _LONG].tobytes() for start in starts]
    assert found == [crc32(out) for out in outs] and remote._quicker._known[other][way][0] == 1


def test_who_has_given_up_gets_nothing(remote):
    ranks, out = world(), np.zeros(_LONG, np.uint8)
    if ranks.rank == 0:
        with pytest.raises(WaitTimeout, match="for a get on node 1"):
            remote.get(1, 0, out, timeout_s=0.2)
    ranks.barrier("nobody waits any more")
    if ranks.leaders and ranks.node == 1:
        assert remote.shipments.is_idle
        np.frombuffer(remote.shipments._segment.buffer, np.uint8)[:_LONG] = 1
        while not (begun := remote.shipments.serve()):
            pass
        assert begun == _LONG
    ranks.barrier("it was sent")
    remote.progress(1000)
    assert not out.any()


def test_what_nobody_waited_for_is_not_taken_for_what_is_asked_later(segment, remote, monkeypatch):
    """Tags come again after two: the third question would have that of the first, whose answer was sent and never fetched."""
    ranks, ships = world(), remote.shipments
    monkeypatch.setattr(shipments, "_TAGS", 2)
    place = _laid(segment, np.repeat(np.array([1, 2, 3], np.uint8), _LONG))
    out = np.zeros(_LONG, np.uint8)
    if ranks.rank == 0:
        with pytest.raises(WaitTimeout, match="for a get on node 1"):
            remote.get(1, place, bytearray(_LONG), timeout_s=0.2)
    ranks.barrier("nobody waits any more")
    if ranks.leaders and ranks.node == 1:
        while not ships._under_way:
            ships.serve()
    ranks.barrier("it was sent")
    for number in (2, 3):
        asked = remote.start_get(1, place + (number - 1) * _LONG, out) if ranks.rank == 0 else None
        _serve_while(remote, lambda asked=asked: asked is not None and not remote.is_done(asked))
        assert ranks.rank != 0 or (out == number).all()
    while not all(ranks.gather(ships.is_idle, "who has done")):        # what was sent has been taken
        remote.progress()


def test_too_much_that_never_comes_is_said(remote, monkeypatch):
    if world().rank == 0:
        monkeypatch.setattr(shipments, "_TAGS", 2)
        for _ in range(2):
            with pytest.raises(WaitTimeout, match="for a get on node 1"):
                remote.get(1, 0, bytearray(_LONG), timeout_s=0.1)
        with pytest.raises(WaitTimeout, match="2 ranges that nodes were asked for have never come"):
            remote.get(1, 0, bytearray(_LONG), timeout_s=0.1)
    world().barrier("nothing came")


def test_nobody_serves(remote):
    ranks = world()
    if ranks.rank == 0:
        with pytest.raises(WaitTimeout, match="for a get on node 1"):
            remote.get(1, 0, bytearray(_LONG), timeout_s=0.2)
    ranks.barrier("nothing came")
