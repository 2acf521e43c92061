"""Streams between ranks: each is heard by every other one, strangers by nobody. Holds for any number of ranks above one."""

import errno
import queue
import socket
import threading

import pytest

from wrp.comm.ranks import world
from wrp.comm.streams import Streams

pytestmark = pytest.mark.mpi
_WAIT_S = 20


@pytest.fixture
def ranks():
    ranks = world()
    if ranks.size == 1:
        pytest.skip("one rank has nobody to connect to")
    return ranks


@pytest.fixture
def streams(ranks):
    """Streams, and the queue of what each connection said: (rank, bytes)."""
    found, said = Streams(ranks), queue.Queue()
    assert found.are_everywhere

    def heard(rank, sock):
        got = b""
        while more := sock.recv(100):
            got += more
        said.put((rank, got))

    found.listen(heard)
    yield found, said
    ranks.barrier("the end of a test of streams")
    found.close()
    found.close()


def test_every_rank_hears_every_other_one(ranks, streams):
    others = [rank for rank in range(ranks.size) if rank != ranks.rank]
    for rank in others:
        with streams[0].connect(rank) as sock:
            sock.sendall(b"%d for %d" % (ranks.rank, rank))
    heard = sorted(streams[1].get(timeout=_WAIT_S) for _ in others)
    assert heard == [(rank, b"%d for %d" % (rank, ranks.rank)) for rank in others]


def test_a_connection_to_who_takes_nothing_breaks(ranks):
    found, is_over, broken = Streams(ranks, 1.0), threading.Event(), None
    found.listen(lambda rank, sock: is_over.wait(_WAIT_S))
    try:
        with found.connect((ranks.rank + 1) % ranks.size) as sock:
            sock.settimeout(_WAIT_S)
            while True:
                sock.sendall(bytes(1 << 20))
    except OSError as error:
        broken = error.errno
    finally:
        ranks.barrier("all have been told")
        is_over.set()
        found.close()
    assert broken == errno.ETIMEDOUT


def test_a_connection_is_bounded_at_both_ends(ranks):
    """Who only hears would never know that the other end's machine is gone."""
    found, said, is_over = Streams(ranks, 7.0), queue.Queue(), threading.Event()

    def heard(rank, sock):
        said.put(_bounds(sock))
        is_over.wait(_WAIT_S)

    found.listen(heard)
    try:
        with found.connect((ranks.rank + 1) % ranks.size) as sock:
            assert _bounds(sock) == said.get(timeout=_WAIT_S) == (1, 1, 1, 7000)
            ranks.barrier("all have been heard")
    finally:
        is_over.set()
        found.close()


def _bounds(sock):
    tcp = (sock.getsockopt(socket.IPPROTO_TCP, option) for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT))
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), *tcp


def test_a_stranger_is_not_heard(ranks, streams):
    """Who doesn't know the key, or says nothing, holds nobody up, and is taken for nobody."""
    own = streams[0]._contacts[ranks.rank][0]
    with socket.create_connection(("127.0.0.1", own)), socket.create_connection(("127.0.0.1", own), timeout=_WAIT_S) as stranger:
        stranger.recv(16)
        stranger.sendall(bytes(4 + 16 + 32) + b"and some bytes")
        stranger.settimeout(_WAIT_S)
        try:
            assert stranger.recv(32) == b""
        except ConnectionResetError:
            pass
        other = (ranks.rank + 1) % ranks.size
        with streams[0].connect(other) as sock:
            sock.sendall(b"hello")
        assert streams[1].get(timeout=_WAIT_S) == ((ranks.rank - 1) % ranks.size, b"hello")
    assert streams[1].empty()


def test_nobody_takes_another_one_for_the_rank(ranks, streams):
    """Another listener at a rank's address is no way to it."""
    with socket.create_server(("", 0)) as other:
        port, *more = streams[0]._contacts[ranks.rank]
        streams[0]._contacts[ranks.rank] = (other.getsockname()[1], *more)
        assert streams[0].connect(ranks.rank) is None
