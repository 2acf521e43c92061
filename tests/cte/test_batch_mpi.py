"""Batches and stores of several ranks: the same on 1, 2, 3 and 4."""

import signal
import sys
import time

import pytest
from cte.test_races_mpi import assert_all_is_free_once_destroyed
from harness.interrupting import Interrupted

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import NoSuchTag, RankFailed, UsageError, WrpError
from wrp.runtime.config import load

pytestmark = pytest.mark.mpi


def blob(rank, number):
    return bytes([rank * 16 + number]) * (1000 * (number + 1))


def fill(batch, ranks, count=4):
    for number in range(count):
        with batch.writing("t", f"r{ranks.rank}_{number}", 1000 * (number + 1)) as buffer:
            buffer[:] = blob(ranks.rank, number)


def everything(store, ranks):
    return all(store.get("t", f"r{rank}_{number}") == blob(rank, number) for rank in range(ranks.size) for number in range(4))


def test_batch_of_all_ranks_is_seen_by_all_and_kept(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        with store.batch("first") as batch:
            fill(batch, ranks)
        assert len(batch.entries) == 4 * ranks.size
        assert everything(store, ranks)
        assert ranks.gather(batch.entries, "entries") == [batch.entries] * ranks.size
        ranks.barrier("all have looked")
    with Store.open(shared_folder) as store:
        assert everything(store, ranks)


def test_one_failing_rank_fails_all_and_leaves_nothing(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        with store.batch("kept") as batch:
            fill(batch, ranks, 1)
        with pytest.raises(WrpError, match="rank" if ranks.size > 1 else None):
            with store.batch("lost") as batch:
                fill(batch, ranks)
                if ranks.rank == ranks.size - 1:
                    raise UsageError("this rank can't")
        assert len(store.blobs("t")) == ranks.size
        ranks.barrier("all have looked")
    with Store.open(shared_folder) as store:
        assert len(store.blobs("t")) == ranks.size


@pytest.mark.parametrize("is_world", [True, False])
def test_two_ranks_may_not_write_one_blob(monkeypatch, is_world):
    """Nor does their space stay taken, whether or not the group is all of the job."""
    ranks = world()
    with Store.open(None) as store:
        if ranks.size == 1:
            return
        before = [target.remaining for target in store.targets()]
        monkeypatch.setattr(ranks, "is_world", is_world)
        ranks.barrier("all have looked before")
        with pytest.raises(UsageError, match="two ranks wrote blob 'same'"):
            with store.batch("clash") as batch:
                batch.put("t", "same", bytes(100_000))
        ranks.barrier("all have given back")
        assert store.tags() == [] and [target.remaining for target in store.targets()] == before
        ranks.barrier("all have looked")


def test_replace_and_remove(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        with store.batch("first") as batch:
            fill(batch, ranks)
            batch.put("old", f"o{ranks.rank}", b"x")
        with store.batch("second") as batch:
            batch.replace("t")
            batch.remove("old")
            batch.put("t", f"n{ranks.rank}", b"new")
        assert store.blobs("t") == [("t", f"n{rank}") for rank in range(ranks.size)]
        with pytest.raises(NoSuchTag):
            store.tag_size("old")
        ranks.barrier("all have looked")
    with Store.open(shared_folder) as store:
        assert store.tags() == ["t"] and len(store.blobs("t")) == ranks.size


def test_single_puts_of_every_rank(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        for number in range(4):
            store.put("t", f"r{ranks.rank}_{number}", blob(ranks.rank, number))
        store.flush_all()
        assert everything(store, ranks)
        ranks.barrier("all have looked")
        store.delete("t", f"r{ranks.rank}_0")
        store.flush_all()
        assert len(store.blobs("t")) == 3 * ranks.size
        ranks.barrier("all have looked")
    with Store.open(shared_folder) as store:
        assert len(store.blobs("t")) == 3 * ranks.size


def test_opening_with_a_bad_configuration_fails_on_every_rank(shared_folder, tmp_path):
    path = tmp_path / "conf.yaml"
    path.write_text("storage:\n  - {path: 'ram::x', capacity_limit: 1m, persistence_level: long_term}\n")
    with pytest.raises(WrpError):
        Store.open(shared_folder, config=load(path))


def test_what_a_rank_put_that_is_cut_off_behind_the_exchange_of_shares_stays_its_blobs(monkeypatch):
    """Others have heard of it and commit it: its bytes aren't those of the next blob, too."""
    ranks = world()
    if ranks.size == 1 or ranks.nodes > 1:
        pytest.skip("for several ranks of one node")
    with Store.open(None, ranks) as store:
        batch = store.batch("cut off")
        batch.put("t", f"b{ranks.rank}", bytes([1 + ranks.rank]) * 300_000)
        if ranks.rank == 1:
            gather_of, left = type(ranks).gather_of, []

            def cut_off(self, *args):
                gather_of(self, *args)
                raise Interrupted
            with monkeypatch.context() as patch:
                patch.setattr(type(ranks), "gather_of", cut_off)
                patch.setattr(ranks, "left", lambda *args: left.append(args))       # else the test couldn't go on with the others
                with pytest.raises(Interrupted):
                    batch.commit()
            assert left
            ranks.share_of(None, "committing the batch that this rank has left")
            batch.abandon()
            for number in range(4):
                store.put("more", f"b{number}", b"m" * 300_000)
        else:
            batch.commit()
        ranks.barrier("more is there")
        assert all(store.get("t", f"b{rank}") == bytes([1 + rank]) * 300_000 for rank in range(ranks.size))
        ranks.barrier("all have looked")


class _Ring(Exception):
    """Of the handler; a ValueError would say that data can't be read, where that is asked."""


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_batch_that_a_signal_ends_on_one_rank_is_nobodys_and_leaves_no_space(is_kept, shared_folder, monkeypatch):
    """At 40 moments of its puts, by a real alarm whose handler raises an error: all ranks hear of it. One that Python drops, as in a finalizer, is raised again."""
    ranks, rung, dropped = world(), [], sys.unraisablehook
    monkeypatch.setattr(sys, "unraisablehook", lambda found: None if found.exc_type is _Ring else dropped(found))

    def ring(*_):
        rung.append(1)
        raise _Ring("ring")
    before = signal.signal(signal.SIGALRM, ring)
    try:
        with Store.open(shared_folder if is_kept else None, ranks) as store:
            for turn in range(40):
                rung.clear()
                with pytest.raises((RankFailed, _Ring), match="ring"), store.batch("ringing") as batch:
                    if ranks.rank == turn % ranks.size:
                        signal.setitimer(signal.ITIMER_REAL, 1e-4 * (1 + turn))
                    for number in [*range(6), 1, 2]:
                        batch.put("t", f"{ranks.rank} {number}", bytes([turn]) * (300_000 if number % 2 else 3000))
                    while ranks.rank == turn % ranks.size:
                        if rung:
                            raise _Ring("ring")             # else the block had ended with the handler's
                        time.sleep(1e-3)
            assert store.tags() == []
            ranks.barrier("all have looked")
            assert_all_is_free_once_destroyed(store, ranks)
    finally:
        signal.signal(signal.SIGALRM, before)
