"""Windows that the ranks of a node share, and windows over the segments of other nodes."""

import threading

import numpy as np
import pytest
from wrp.comm import window
from wrp.comm.ranks import world
from wrp.comm.remote import RemoteWindow
from wrp.errors import OutOfSpace, RangeError, UsageError

pytestmark = pytest.mark.mpi
_NBYTES = 1 << 20


def test_ranks_of_a_node_see_the_same_bytes():
    ranks = world()
    segment = window.allocate(ranks.on_node, _NBYTES)
    offset, _ = segment.place("ranks", 8 * 64)
    segment.reserve(offset, 8 * 64)
    words = np.frombuffer(segment.buffer, np.int64, 64, offset)
    assert not words.any() and segment.address % 4096 == 0 and segment.nbytes == _NBYTES
    ranks.barrier("looked")
    words[ranks.local_rank] = ranks.rank + 1
    ranks.barrier("written")
    members = ranks.on_node.gather(ranks.rank + 1, "members")
    assert words[:len(members)].tolist() == members
    del words
    segment.close()
    segment.close()


def test_a_view_outlives_its_window():
    ranks = world()
    segment = window.allocate(ranks.on_node, _NBYTES)
    segment.reserve(0, _NBYTES)
    words = np.frombuffer(segment.buffer, np.uint8)[-8:]
    words[ranks.local_rank] = 7
    view = words if ranks.local_rank == 0 else None
    del words
    segment.close()
    if view is not None:
        assert view[:ranks.local_size].tolist() == [7] * ranks.local_size


def test_more_than_there_is_is_refused_on_all_ranks():
    ranks = world()
    with pytest.raises(OutOfSpace):
        window.allocate(ranks.on_node, 1 << 50)
    ranks.barrier("still together")


def test_different_sizes_are_refused():
    ranks = world()
    if ranks.local_size == 1:
        return
    with pytest.raises(UsageError, match="different sizes"):
        window.allocate(ranks.on_node, _NBYTES + 4096 * ranks.local_rank)


def test_remote_window():
    ranks = world()
    segment = window.allocate(ranks.on_node, _NBYTES)
    offset, _ = segment.place("mail", 65536)
    segment.reserve(offset, 65536)
    remote = RemoteWindow(ranks, segment)
    ranks.barrier("ready")
    if ranks.leaders:
        for node in range(ranks.nodes):     # every node writes its own line of every node
            remote.put(node, offset + 64 * ranks.node, bytes([ranks.node + 1]) * 64)
            remote.progress()
    ranks.barrier("put")
    mine = bytes(segment.buffer[offset:offset + 64 * ranks.nodes])
    assert mine == b"".join(bytes([node + 1]) * 64 for node in range(ranks.nodes))
    for node in range(ranks.nodes):         # every rank reads
        out = bytearray(65536)
        remote.get(node, offset, out)
        assert out == mine + bytes(65536 - len(mine))
    with pytest.raises(RangeError, match="beyond the segment"):
        remote.get(0, _NBYTES - 1, bytearray(2))
    ranks.barrier("got")
    remote.close()
    remote.close()
    segment.close()


def test_threads_whose_first_puts_meet():
    """They share the one thread that flushes; another one would outlive the window."""
    ranks = world()
    segment = window.allocate(ranks.on_node, _NBYTES)
    segment.reserve(0, _NBYTES)
    remote, began = RemoteWindow(ranks, segment), threading.Barrier(8)

    def put(number):
        began.wait()
        remote.put((ranks.node + 1) % ranks.nodes, _NBYTES // 2 + 64 * (8 * ranks.rank + number), bytes([number]) * 64)
    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(thread.name == "wrp-flush" for thread in threading.enumerate()) == (ranks.nodes > 1)
    ranks.barrier("put")
    remote.close()
    segment.close()
