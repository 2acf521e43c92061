"""Tests that fail on purpose, run by test_harness.py in a job of their own."""

import pytest
from wrp.comm.ranks import world

pytestmark = pytest.mark.mpi


def test_one_rank_fails_alone():
    ranks = world()
    ranks.barrier("start")
    assert ranks.rank != 1, "rank 1 fails on purpose"


def test_one_rank_fails_while_the_others_wait():
    ranks = world()
    assert ranks.rank != 1, "rank 1 fails on purpose"
    ranks.barrier("never")


def test_all_ranks_fail():
    world().barrier("start")
    raise AssertionError("all fail on purpose")


def test_passes():
    world().barrier("start")

