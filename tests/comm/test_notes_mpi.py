"""Notes between the first ranks of nodes. Holds for any number of ranks; WRP_RANKS_PER_NODE makes several nodes."""

import time

import numpy as np
import pytest

from wrp.comm import atomics, notes
from wrp.comm.notes import WORDS, Notes
from wrp.comm.ranks import world
from wrp.comm.remote import RemoteWindow
from wrp.comm.window import allocate

pytestmark = pytest.mark.mpi
_EACH = 200


@pytest.fixture
def window():
    ranks = world()
    if ranks.nodes == 1:
        pytest.skip("one node: WRP_RANKS_PER_NODE=1 makes several")
    segment = allocate(ranks.on_node, 1 << 16)
    window = RemoteWindow(ranks, segment)
    yield window
    window.close()
    segment.close()


def test_every_node_s_notes_come_once_and_in_order(window):
    """More of them than receives are posted and places are there; and some come before anybody looks."""
    ranks = world()
    if ranks.local_rank == 0:
        mail, letter = Notes(window), np.zeros(WORDS, np.int64)
        others = [node for node in range(ranks.nodes) if node != ranks.node]
        sent, got, until = dict.fromkeys(others, 0), dict.fromkeys(others, 0), time.monotonic() + 40
        while min(*sent.values(), *got.values()) < _EACH:
            assert time.monotonic() < until, (sent, got)
            for node in others:
                letter[:] = np.arange(WORDS) + 100 * sent[node]
                letter[0] = ranks.node
                if sent[node] < _EACH and notes.note_post(mail.address, node, letter.ctypes.data):
                    sent[node] += 1
            if min(sent.values()) >= _EACH // 2:
                note = mail.take()
                if note is not None:
                    assert note[1:] == [100 * got[note[0]] + number for number in range(1, WORDS)]
                    got[note[0]] += 1
    ranks.barrier("all notes have come")
    if ranks.local_rank == 0:
        assert mail.take() is None
        kept = len(notes._kept)
        mail.close()
        mail.close()
        assert len(notes._kept) == kept - 1 and mail.take() is None


def test_there_is_no_room_for_more_than_there_are_places(window):
    ranks = world()
    if ranks.local_rank == 0:
        mail = Notes(window)
        assert notes.notes_have_room(mail.address, notes._SENDING) and not notes.notes_have_room(mail.address, 1 << 20)
    ranks.barrier("all have looked")
    if ranks.local_rank == 0:
        mail.close()


def test_what_mpi_refuses_ends_them(window):
    ranks = world()
    if ranks.local_rank == 0:
        mail, letter = Notes(window), np.zeros(WORDS, np.int64)
        mail._ranks[:] = ranks.size                 # there is no such rank
        window.comm.Set_errhandler(_returning())
        assert not notes.note_post(mail.address, (ranks.node + 1) % ranks.nodes, letter.ctypes.data)
        assert notes.notes_are_over(mail.address) and not notes.notes_have_room(mail.address, 1)
        assert notes.note_look(mail.address) == 0
        atomics.store(mail.address + notes._BROKEN, 0)      # MPI is well, so what it may write to needn't stay
        mail.close()
    ranks.barrier("all were refused")


def test_without_symbols_there_are_none(window, monkeypatch):
    monkeypatch.setattr(window, "calls", None)
    mail = Notes(window)
    assert mail.address == 0 and mail.take() is None
    mail.close()


def _returning():
    from mpi4py import MPI
    return MPI.ERRORS_RETURN
