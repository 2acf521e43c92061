"""Views of one rank while others of its node, and of other nodes, change what it looks at."""

import numpy as np
import pytest

from harness.wandering import wander
from wrp.comm.ranks import world
from wrp.cte import Store

pytestmark = pytest.mark.mpi

MIB = 1 << 20


def test_views_of_all_ranks_while_another_changes_the_blobs(configured):
    ranks = world()
    with Store.open(None, config=configured(ram="16m")) as store:
        if ranks.rank == 0:
            for number in range(6):
                store.put("t", str(number), bytes([number + 1]) * 100_000)
        ranks.barrier("they are there")
        views = [np.frombuffer(store.view("t", str(number)), np.uint8) for number in range(6)]
        ranks.barrier("all look")
        if ranks.rank == ranks.size - 1:
            for number in range(6):
                store.put("t", str(number), b"n" * 100_000) if number % 2 else store.delete("t", str(number))
            for number in range(20):
                store.put("more", str(number), bytes([100 + number]) * 100_000)
        ranks.barrier("they have changed")
        assert all((view == number + 1).all() for number, view in enumerate(views))
        ranks.barrier("all have looked")
        del views
        ranks.barrier("nobody looks")
        if ranks.rank == 0:
            store.destroy("t"), store.destroy("more")
        ranks.barrier("they are gone")
        used = sum(target.capacity - target.remaining for target in store.targets() if target.kind == "ram")
        assert used <= 2 * MIB                      # pages of small blobs, of names
        ranks.barrier("all have asked")
        store.put("t", f"last {ranks.rank}", bytes([ranks.rank]) * 1000)
        last = store.view("t", f"last {ranks.rank}")
    assert bytes(last) == bytes([ranks.rank]) * 1000


def test_a_view_never_changes_while_ranks_replace_the_blobs(configured):
    ranks = world()
    with Store.open(None, config=configured(ram="48m")) as store:
        before = [target.remaining for target in store.targets()]
        ranks.barrier("all have asked")
        seen, wrong = wander(store, ranks.rank, 150, 300_000)
        assert not wrong and seen > 50
        ranks.barrier("all have looked")
        if ranks.rank == 0:
            store.destroy("t")
        ranks.barrier("it is gone")
        used = sum(free - target.remaining for free, target in zip(before, store.targets()))
        assert used <= 4 * MIB                      # pages of small blobs, which ranks keep
        ranks.barrier("all have asked again")
