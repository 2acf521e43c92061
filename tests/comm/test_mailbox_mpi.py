"""Mailboxes between nodes, with rings of a few slots. Holds for any number of ranks; WRP_RANKS_PER_NODE makes several nodes."""

import time

import pytest

from wrp.comm import mailbox
from wrp.comm.mailbox import REPLIES, TASKS, Knocker, Mailboxes
from wrp.comm.ranks import world
from wrp.comm.remote import RemoteWindow
from wrp.comm.window import allocate

pytestmark = pytest.mark.mpi
_CAPACITY, _LETTERS = 4, 300


@pytest.fixture
def boxes():
    """(ranks, window, Mailboxes or None on a rank that isn't its node's first, where the mail lies)."""
    ranks = world()
    if ranks.nodes == 1:
        pytest.skip("one node: WRP_RANKS_PER_NODE=1 makes several")
    segment = allocate(ranks.on_node, 1 << 20)
    nbytes = mailbox.nbytes_of(ranks.nodes, ranks.size, _CAPACITY)
    offset, _ = segment.place("mail", nbytes)
    segment.reserve(offset, nbytes)
    window = RemoteWindow(ranks, segment)
    offsets = [offset] * ranks.nodes
    mail = Mailboxes(window, segment, offsets, ranks.size, _CAPACITY) if ranks.local_rank == 0 else None
    ranks.barrier("mail is open")
    yield ranks, window, mail, offsets
    ranks.barrier("mail is over")
    if mail is not None:
        mail.close()
    window.close()
    segment.close()


def test_flood_in_both_directions_with_tiny_rings(boxes):
    ranks, window, mail, _ = boxes
    if mail is not None:
        sent, got = {}, {}
        until = time.monotonic() + 30
        ways = [(node, box) for node in mail.nodes for box in (TASKS, REPLIES)]
        while any(got.get(way, 0) < _LETTERS or sent.get(way, 0) < _LETTERS for way in ways) or mail.send():
            assert time.monotonic() < until, (sent, got)
            window.progress()
            for node, box in ways:
                number = sent.get((node, box), 0)
                if number < _LETTERS and mail.post(node, box, [ranks.node, box, number, *range(number, number + 15)]):
                    sent[node, box] = number + 1
            for node, box in mail.arrived():
                words = mail.look(node, box)
                if words is not None:
                    number = got.get((node, box), 0)
                    assert words == [node, box, number, *range(number, number + 15)]
                    mail.drop(node, box)
                    got[node, box] = number + 1
            mail.send()
    ranks.barrier("all letters have come")


def test_full_ring_is_refused_until_somebody_reads(boxes):
    ranks, window, mail, _ = boxes
    if mail is not None:
        other = (ranks.node + 1) % ranks.nodes
        assert [mail.post(other, TASKS, [number]) for number in range(_CAPACITY + 1)] == [True] * _CAPACITY + [False]
        assert mail.post(other, REPLIES, [7])           # replies have a ring of their own
        until, before, found = time.monotonic() + 20, (ranks.node - 1) % ranks.nodes, []
        while len(found) < _CAPACITY or mail.send():
            assert time.monotonic() < until
            window.progress()
            mail.send()
            words = mail.look(before, TASKS)
            if words is not None:
                found.append(words[0])
                mail.drop(before, TASKS)
        assert found == list(range(_CAPACITY))
        while not mail.post(other, TASKS, [9]):
            assert time.monotonic() < until
            window.progress()
            mail.send()
    ranks.barrier("all have read")


def test_knocking_is_heard(boxes):
    ranks, window, mail, offsets = boxes
    knocker = Knocker(window, ranks.rank, offsets)
    if mail is not None:
        assert not mail.knocked()
    ranks.barrier("nobody has knocked")
    knocker((ranks.node + 1) % ranks.nodes)
    until = time.monotonic() + 20
    while mail is not None and not mail.knocked():
        assert time.monotonic() < until
        window.progress()
    ranks.barrier("all have heard")


def test_who_waits_for_many_bytes_is_polled_for_until_all_its_waits_are_over(boxes):
    ranks, window, mail, offsets = boxes
    nodes = ranks.gather(ranks.node, "nodes of the ranks")
    knocking = [rank for rank, node in enumerate(nodes) if (node + 1) % ranks.nodes == ranks.node]
    knocker, other = Knocker(window, ranks.rank, offsets), (ranks.node + 1) % ranks.nodes

    def all_hear(waits):
        until = time.monotonic() + 20
        while mail is not None and not all(mail.heard[rank] & 1 == waits for rank in knocking):
            assert time.monotonic() < until, (waits, mail.heard)
            window.progress()
            mail.knocked()
        assert mail is None or mail.waited_for == waits
        ranks.barrier("all have heard")

    all_hear(False)
    with knocker.waiting(other):
        all_hear(True)
        with knocker.waiting(other):
            all_hear(True)
        knocker(other)
        all_hear(True)
    all_hear(False)
