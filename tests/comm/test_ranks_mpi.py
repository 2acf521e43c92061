"""Ranks on 1 to 4 ranks: what collectives give, and how an error becomes common."""

import pytest
from wrp.comm.ranks import is_common, mpi, world
from wrp.errors import OutOfSpace, RankFailed

pytestmark = pytest.mark.mpi


def test_gather_share_barrier():
    ranks = world()
    ranks.barrier("start")
    assert ranks.gather(("rank", ranks.rank), "facts") == [("rank", rank) for rank in range(ranks.size)]
    uneven = ranks.gather(b"x" * (5000 * ranks.rank), "uneven")
    assert [len(part) for part in uneven] == [5000 * rank for rank in range(ranks.size)]
    assert ranks.gather(None, "nothing") == [None] * ranks.size
    for nbytes in (0, 1, 1000, 1024, 1025, 300_000):
        root = nbytes % ranks.size
        got = ranks.share(bytes(nbytes) if ranks.rank == root else None, "share", root)
        assert got == bytes(nbytes)


def test_nodes_of_the_job():
    ranks = world()
    facts = ranks.gather((ranks.node, ranks.local_rank, ranks.local_size, ranks.leaders is not None), "nodes")
    for node in range(ranks.nodes):
        members = [fact for fact in facts if fact[0] == node]
        assert [fact[1] for fact in members] == list(range(members[0][2]))
        assert [fact[3] for fact in members] == [True] + [False] * (len(members) - 1)
    assert ranks.on_node.gather(ranks.node, "node") == [ranks.node] * ranks.local_size
    first = ranks.on_node.leaders
    assert (first is not None) == (ranks.local_rank == 0) and (first is None or first.size == 1)
    if ranks.leaders:
        assert ranks.leaders.on_node.gather(ranks.rank, "alone") == [ranks.rank]
        assert ranks.leaders.gather(ranks.node, "leaders") == list(range(ranks.nodes))


def test_lowest_failing_rank_wins():
    ranks = world()
    with pytest.raises(OutOfSpace) as caught:
        with ranks.agreed("step"):
            if ranks.rank >= ranks.size // 2:
                raise OutOfSpace(f"no room for {ranks.rank}")
    assert f"no room for {ranks.size // 2}" in str(caught.value) and is_common(caught.value)
    if ranks.size > 1:
        assert f"(rank {ranks.size // 2} on " in str(caught.value)


def test_what_functions_give_or_their_error():
    ranks = world()
    assert ranks.gather_of(lambda: ranks.rank * 2, "step") == [rank * 2 for rank in range(ranks.size)]
    called = []
    assert ranks.share_of(lambda: called.append(ranks.rank) or "found", "step", ranks.size - 1) == "found"
    assert called == [ranks.rank] * (ranks.rank == ranks.size - 1)

    def fail():
        if ranks.rank == ranks.size - 1:
            raise OutOfSpace("no room")

    for step in (lambda: ranks.gather_of(fail, "step"), lambda: ranks.share_of(fail, "step", ranks.size - 1)):
        with pytest.raises(OutOfSpace, match="no room") as caught:
            step()
        assert is_common(caught.value) and (ranks.size == 1 or f"(rank {ranks.size - 1} on " in str(caught.value))
    ranks.barrier("everybody is still in step")


def test_other_errors_become_rank_failed():
    ranks = world()
    with pytest.raises(RankFailed if ranks.size > 1 else ZeroDivisionError) as caught:
        with ranks.agreed("step"):
            if ranks.rank == ranks.size - 1:
                raise ZeroDivisionError("a bug")
    assert "a bug" in str(caught.value)
    if ranks.size > 1:
        assert ("ZeroDivisionError" in str(caught.value)
                and isinstance(caught.value.__cause__, ZeroDivisionError) == (ranks.rank == ranks.size - 1))


def test_an_agreed_error_is_named_once():
    ranks = world()
    with pytest.raises(OutOfSpace) as caught:
        with ranks.agreed("outer"), ranks.on_node.agreed("inner"):
            if ranks.rank == 0:
                raise OutOfSpace("no room")
    assert str(caught.value).count("(rank ") == (ranks.size > 1)


def test_world_again_after_close():
    world().close()
    ranks = world()
    assert ranks.gather(1, "again") == [1] * ranks.size


def test_objects_longer_than_one_message(monkeypatch):
    monkeypatch.setattr(mpi, "_PIECE", 3000)
    ranks = world()
    mine = bytes([ranks.rank]) * (1100 * ranks.rank + 7000)
    found = ranks.gather(mine, "long parts")
    assert found == [bytes([rank]) * (1100 * rank + 7000) for rank in range(ranks.size)]
    assert ranks.share(mine, "long whole", ranks.size - 1) == found[-1]
