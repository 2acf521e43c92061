"""Ranks that change the same names at once, on one node and on several: the same on 1, 2, 3 and 4."""

import pytest

from wrp.comm.extents import extents_free
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import NoSuchBlob, NoSuchTag, StoreError

pytestmark = pytest.mark.mpi

SIZE = 50_000


def data(rank, turn):
    """Bytes that name their writer."""
    return bytes([rank * 32 + turn]) * SIZE


def whole(blob):
    return blob == blob[:1] * SIZE


def assert_all_space_is_free(store, ranks):
    """Collective: what the ranks of every node haven't leased, and what they have and nothing lies in, is all there is."""
    tiers = store._parts.tiers
    for target in tiers._devices:
        in_blocks = tiers.blocks.unused if target == 0 else 0
        assert free_for_all(tiers.device(target), ranks) + in_blocks == tiers.device(target).capacity


def assert_all_is_free_once_destroyed(store, ranks):
    """Collective: destroy every tag; then no space is taken."""
    if ranks.rank == 0:
        for tag in store.tags():
            store.destroy(tag)
    store.flush_all()
    ranks.barrier("nothing is left")
    store.flush_all()
    assert_all_space_is_free(store, ranks)


def free_for_all(device, ranks):
    """Collective: bytes of a device that the ranks of the node, all together, could still lease."""
    own = device.free - extents_free(device._extents)
    return sum(ranks.on_node.gather(own, "bytes that only this rank could lease")) + extents_free(device._extents)


def test_everybody_changes_and_flushes_the_same_blobs(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        for turn in range(12):
            store.put("t", f"b{turn % 3}", data(ranks.rank, turn))
            try:
                store.put("t", f"b{(turn + 1) % 3}", data(ranks.rank, turn)[:SIZE // 2], offset=SIZE // 2)
                store.delete("t", f"b{(turn + ranks.rank) % 3}")
            except (NoSuchBlob, NoSuchTag):
                pass                # another rank was quicker
            store.flush()
            store.put("own", f"r{ranks.rank}", data(ranks.rank, turn))
        store.flush_all()
        assert all(store.get("own", f"r{rank}") == data(rank, 11) for rank in range(ranks.size))
        before = {name: store.get(*name) for name in store.blobs(".*")}
        ranks.barrier("all have looked")
    with Store.open(shared_folder) as store:
        assert {name: store.get(*name) for name in store.blobs(".*")} == before
        ranks.barrier("all have looked")
        if ranks.rank == 0:
            for tag in store.tags():
                store.destroy(tag)
        store.flush_all()
        assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


def test_what_a_put_has_replaced_is_free_whoever_removes_the_blob_then():
    """The last put of each rank leaves space that its next lease would have, and there is none."""
    ranks = world()
    with Store.open(None) as store:
        for _ in range(3):
            store.put("t", f"r{ranks.rank}", data(ranks.rank, 1))
        ranks.barrier("all have put")
        if ranks.rank == 0:
            store.destroy("t")
        ranks.barrier("all is destroyed")
        assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


def test_everybody_puts_and_gets_in_one_memory():
    """The short way of many ranks: every get is the bytes of one put; counts, lists and space are right afterwards."""
    ranks = world()
    with Store.open(None) as store:
        tags = [f"t{number}" for number in range(3)]
        for turn in range(300):
            tag, size = tags[turn % 3], 100 + turn * 7 % 9000
            store.put(tag, "shared", bytes([ranks.rank * 50 + turn % 50]) * size)
            store.put(tag, f"r{ranks.rank}.{turn}", bytes([turn % 256]) * size)
            got = store.get(tag, "shared")
            assert got == got[:1] * len(got)
            if turn % 3 == 0:
                store.delete(tag, f"r{ranks.rank}.{turn}")
        ranks.barrier("all have put")
        for tag in tags:
            infos = store.infos(tag)
            assert sorted(infos) == sorted(name for _, name in store.blobs(tag)) and "shared" in infos
            assert store.tag_size(tag) == sum(info.size for info in infos.values())
        assert len(store.blobs(".*", "r.*")) == 200 * ranks.size
        ranks.barrier("all have looked")
        if ranks.rank == 0:
            for tag in tags:
                store.destroy(tag)
        ranks.barrier("all is destroyed")
        assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


def test_what_another_rank_replaced_is_seen_at_once(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        if ranks.rank == 0:
            store.put("t", "b", data(0, 1))
        store.flush_all()
        if ranks.rank == 0:
            store.put("t", "b", data(0, 2))
            store.flush()
            store.put("t", "other", data(0, 3))
            store.flush()
        ranks.barrier("replaced")
        assert store.get("t", "b") == data(0, 2)
        ranks.barrier("all have looked")


def test_a_tag_destroyed_by_one_rank_and_put_into_again_by_another(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        if ranks.rank == 0:
            store.put("t", "old", data(0, 1))
        store.flush_all()
        if ranks.rank == ranks.size - 1:
            store.destroy("t")
        ranks.barrier("destroyed")
        assert store.tags() == [] and not store.exists("t", "old")
        ranks.barrier("all have looked")
        if ranks.rank == 0:
            store.put("t", "new", data(0, 2))
        store.flush_all()
        assert store.tags() == ["t"] and store.blobs("t") == [("t", "new")]
        ranks.barrier("all have looked")
    with Store.open(shared_folder) as store:
        assert store.tags() == ["t"] and store.get("t", "new") == data(0, 2)
        ranks.barrier("all have looked")


def test_removals_and_clocks_of_other_nodes(shared_folder):
    """What one node puts and removes, another must not bring back; a clock that is ahead doesn't win for ever."""
    ranks = world()
    with Store.open(shared_folder) as store:
        if ranks.rank == 0:
            catalog = store._parts.catalog
            with catalog.changing("setting the clock ahead"):
                catalog.seen_stamp(catalog.next_stamp() + 10**15)
            store.put("t", "kept", data(0, 1))
            store.put("t", "back", data(0, 1))
        store.flush_all()
        if ranks.rank == 0:
            store.put("gone", "b", data(0, 2))
            store.flush()
            store.delete("t", "back")
        with store.batch("removes what was flushed and not told") as batch:
            batch.remove("gone")
        store.flush_all()
        assert not store.exists("gone")
        if ranks.rank == ranks.size - 1:
            store.put("t", "back", data(0, 3))
        store.flush_all()
        ranks.barrier("all have looked")
    with Store.open(shared_folder) as store:
        assert store.tags() == ["t"] and store.get("t", "back") == data(0, 3)
        ranks.barrier("all have looked")


@pytest.mark.parametrize("step", ["sync", "_plan", "_check_room", "_stamp", "append"])
def test_a_batch_that_fails_at_any_step_never_happened(shared_folder, monkeypatch, step):
    ranks = world()
    with Store.open(shared_folder) as store:
        with store.batch("kept") as batch:
            batch.put("t", f"r{ranks.rank}", data(ranks.rank, 1))
        batch = store.batch("lost")
        batch.replace("t")
        batch.put("t", f"new{ranks.rank}", data(ranks.rank, 2))

        def failing(*_):
            raise StoreError(f"{step} fails")
        # what only rank 0 does fails there, the rest on the last rank
        alone = ("_stamp", "append") if ranks.nodes > 1 else ("_stamp", "append", "_plan", "_check_room")
        if ranks.rank == (0 if step in alone else ranks.size - 1):
            owner = {"sync": store._parts, "append": store._parts.journal}.get(step, batch)
            monkeypatch.setattr(owner, step, failing)
        with pytest.raises(StoreError, match=f"{step} fails"):
            with batch:
                pass
        monkeypatch.undo()
        assert store.blobs("t") == [("t", f"r{rank}") for rank in range(ranks.size)]
        ranks.barrier("all have looked")
    with Store.open(shared_folder) as store:
        assert all(store.get("t", f"r{rank}") == data(rank, 1) for rank in range(ranks.size))
        ranks.barrier("all have looked")
        if ranks.rank == 0:
            store.destroy("t")
        store.flush_all()
        assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


def test_a_batch_that_has_happened_and_cannot_be_shown_is_an_error_and_there_afterwards(shared_folder, monkeypatch):
    ranks = world()

    def failing(*_):
        raise StoreError("showing fails")
    with Store.open(shared_folder) as store:
        batch = store.batch("unseen")
        batch.put("t", f"r{ranks.rank}", data(ranks.rank, 1))
        monkeypatch.setattr(batch, "_publish", failing)
        with pytest.raises(StoreError, match="showing fails"):
            with batch:
                pass
        monkeypatch.undo()
        with store.batch("next") as batch:
            batch.put("u", f"r{ranks.rank}", data(ranks.rank, 2))
        ranks.barrier("all have put")
    with Store.open(shared_folder) as store:
        for rank in range(ranks.size):
            assert store.get("t", f"r{rank}") == data(rank, 1) and store.get("u", f"r{rank}") == data(rank, 2)
        ranks.barrier("all have looked")
