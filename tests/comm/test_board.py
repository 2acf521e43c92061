"""What ranks of a machine see of each other, and when a wait has lasted too long."""

import os
import subprocess
import sys

import pytest
from wrp.comm.ranks.board import CELL, Board, Watch
from wrp.comm.ranks.waiting import poll

_RANKS = (4, 5, 6)


@pytest.fixture
def boards():
    buffer = bytearray(CELL.itemsize * len(_RANKS))
    found = [Board(buffer, _RANKS, rank) for rank in _RANKS]
    for board in found:
        board.arrive()
    return found


def test_missing_ranks(boards):
    assert boards[0].enter(0, "survey") == 1
    assert boards[0].missing(_RANKS, 0, 1) == [5, 6]
    boards[2].enter(0, "survey")
    boards[1].enter(1, "another group")
    assert boards[0].missing(_RANKS, 0, 1) == [5]
    assert boards[0].unseen((3, 4, 5)) == [3]
    assert boards[0].describe(5) == f"rank 5 (pid {os.getpid()}, last seen in 'another group')"


def test_long_names_of_steps(boards):
    boards[0].enter(0, "ä" * 100)
    assert "ä" * 24 in boards[1].describe(4)


def test_dead_ranks(boards):
    assert boards[0].dead(_RANKS, 0, 1) is None
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    boards[1].cells["pid"][1] = child.pid
    assert boards[0].dead(_RANKS, 0, 1) == 5
    boards[1].cells["namespace"][1] += 1        # its pid means nothing here
    assert boards[0].dead(_RANKS, 0, 1) is None


def test_a_zombie_is_dead(boards):
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    boards[1].cells["pid"][1] = child.pid
    assert boards[0].dead(_RANKS, 0, 1) == 5
    child.wait()


def test_who_left_after_the_step_is_not_missed(boards):
    number = boards[1].enter(0, "share")
    boards[1].leave()
    assert boards[0].dead((4, 5), 0, number) is None
    assert boards[0].dead((4, 5), 0, number + 1) == 5


def test_progress_of_others_starts_the_deadline_again(boards):
    watch = Watch(boards[0], 0.0)
    boards[1].tick()
    late = Watch(boards[0], 1e-9)
    assert late.is_over()
    watch._timeout_s = 1000
    assert not watch.is_over()
    boards[0].tick()
    before = boards[0].progress()
    boards[0].tick()
    assert boards[0].progress() == before       # own ticks don't count


def test_who_relies_on_the_others_of_its_node_as_long_as_it_is_there(boards):
    boards[1].rely(1)
    assert boards[0].is_relied_on() and boards[2].is_relied_on() and not boards[1].is_relied_on()
    boards[2].rely(1), boards[1].rely(-1)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    boards[0].cells["pid"][2] = child.pid
    assert not boards[0].is_relied_on() and boards[0].is_relied_on(is_sure=False)


def test_poll():
    answers = iter([False] * 60 + [True])
    assert poll(lambda: next(answers), lambda: None, 10) is None
    assert poll(lambda: False, lambda: None, 0.01) == ""
    assert poll(lambda: False, lambda: "rank 1 is dead", 0.01) == "rank 1 is dead"
