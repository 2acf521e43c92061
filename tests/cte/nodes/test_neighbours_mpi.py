"""Blobs that find no room at home: their bytes lie on the nodes after it, and everything that is done with them is as ever."""

import errno
import os
import random

import pytest

from cte.test_races_mpi import assert_all_space_is_free
from wrp.comm.ranks import world
from wrp.cte.homes import home_of
from wrp.cte.targetnumbers import node_of
from wrp.errors import Changed, Corrupt, OutOfSpace, StoreError

pytestmark = pytest.mark.mpi
MIB = 1 << 20


def data(seed, nbytes):
    return random.Random(seed).randbytes(nbytes)


def homed(node, nodes, count):
    """Names of blobs of tag "t" with this home."""
    return [blob for blob in (f"b{n}" for n in range(400)) if home_of("t", blob, nodes) == node][:count]


def conf(neighborhood=4, ram="16m"):
    """Targets of 16 MiB."""
    return (f"storage: [{{path: 'ram::r', capacity_limit: {ram}}}, {{path: data, bdev_type: file, capacity_limit: 16m}}]\n"
            f"targets: {{neighborhood: {neighborhood}}}\n")


def test_rams_of_neighbours_take_what_home_has_no_room_for(opened):
    ranks = world()
    with opened(None, conf()) as store:
        blobs = homed(0, ranks.nodes, ranks.nodes + 1)
        if ranks.rank == ranks.size - 1:
            for number, blob in enumerate(blobs[:-1]):
                store.put("t", blob, data(number, 10 * MIB))
            with pytest.raises(OutOfSpace):
                store.put("t", blobs[-1], data(9, 10 * MIB))
        ranks.barrier("put")
        assert [{node_of(extent[0]) for extent in store.extents("t", blob)} for blob in blobs[:-1]] == [{None}] + [{node} for node in range(1, ranks.nodes)]
        for number, blob in enumerate(blobs[:-1]):
            assert store.get("t", blob) == data(number, 10 * MIB) and store.info("t", blob).tiers == ("ram",)
            assert store.get("t", blob, 5 * MIB, 100_000) == data(number, 10 * MIB)[5 * MIB:5 * MIB + 100_000]
            assert bytes(store.view("t", blob)) == data(number, 10 * MIB)
        ranks.barrier("all have looked")
        if ranks.rank == 0:
            with pytest.raises(Changed):
                store.put("t", blobs[1], b"x", if_generation=1)
            store.score("t", blobs[1], 0.5)
            store.rename("t", blobs[1], blobs[-1])          # at the same home, without a copy
            assert store.get("t", blobs[-1]) == data(1, 10 * MIB)
            store.rename("t", blobs[-1], blobs[1])
            store.delete("t", blobs[0])
            assert store.move("t", blobs[1], "ram")          # home has room again
            assert {extent[0] for extent in store.extents("t", blobs[1])} == {0} and store.get("t", blobs[1]) == data(1, 10 * MIB)
            store.put("t", blobs[0], data(7, 10 * MIB))
        ranks.barrier("changed")
        assert store.get("t", blobs[0]) == data(7, 10 * MIB)
        ranks.barrier("all have looked")
        if ranks.rank == ranks.size - 1:
            store.destroy("t")
        ranks.barrier("all is gone")
        assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


def test_damage_at_a_neighbour_is_named(opened):
    ranks = world()
    with opened(None, conf()) as store:
        first, second = homed(0, ranks.nodes, 2)
        if ranks.rank == 0:
            store.put("t", first, data(1, 10 * MIB))
            store.put("t", second, data(2, 10 * MIB))
        ranks.barrier("put")
        (target, offset, _), *_ = store.extents("t", second)
        if ranks.node == node_of(target) and not ranks.local_rank:
            store._tiers.ram_bytes[offset] ^= 1
        ranks.barrier("damaged")
        with pytest.raises(Corrupt, match=second):
            store.get("t", second)
        ranks.barrier("all have looked")


def test_files_of_neighbours_outlast_the_job(opened, shared_folder):
    ranks = world()
    with opened(shared_folder, conf(ram="4m")) as store:
        blobs = homed(1, ranks.nodes, 2)
        if ranks.rank == 0:
            for number, blob in enumerate(blobs):
                store.put("t", blob, data(number, 12 * MIB))
                store.flush()
            own, others = ({extent[0] for extent in store.extents("t", blob)} - {0} for blob in blobs)
            assert not own & others
        ranks.barrier("flushed")
    with opened(shared_folder, conf(ram="4m")) as store:
        assert [store.get("t", blob) for blob in blobs] == [data(number, 12 * MIB) for number in range(2)]
        ranks.barrier("all have looked")
        if ranks.rank == 0:
            store.destroy("t")
        store.flush_all()
        assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


def _is_refused_where(syncing, reason, opened, folder):
    """A put that needs space at a neighbour whose sync is `syncing(failed, synced, store)` is refused with its reason, and nothing of it is left anywhere."""
    ranks = world()
    with opened(folder, conf(ram="4m")) as store:
        synced = store._net.calls["sync"]
        store._net.calls["sync"] = lambda failed: syncing(failed, synced, store)
        ranks.barrier("syncs for others fail")
        if ranks.rank == 0:
            first, second = homed(1, ranks.nodes, 2)
            store.put("t", first, data(0, 12 * MIB))
            with pytest.raises(StoreError, match=reason):
                store.put("t", second, data(1, 12 * MIB))
            assert store.list("t") == [first]
            store.destroy("t")
        ranks.barrier("refused")
        store._net.calls["sync"] = synced
        store.flush_all()
        assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


def test_a_neighbour_that_cannot_sync_gets_its_space_back(opened, shared_folder):
    def failing(failed, synced, store):
        raise StoreError("no disk today")
    _is_refused_where(failing, "no disk today", opened, shared_folder)


def test_a_sync_of_a_neighbour_that_failed_meanwhile_refuses_the_put(opened, shared_folder):
    """Another thread of the neighbour has heard of it, and the storage says it once: the next sync, which finds nothing to do, keeps no promise."""
    def broken(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def failed_before(failed, synced, store):
        original = os.fdatasync
        os.fdatasync = broken
        try:
            with pytest.raises(StoreError):
                store._parts.sync()
        finally:
            os.fdatasync = original
        return synced(failed)
    _is_refused_where(failed_before, "its storage failed while these bytes were on their way", opened, shared_folder)


def test_a_neighbourhood_of_one_is_the_home_alone(opened):
    ranks = world()
    with opened(None, conf(neighborhood=1)) as store:
        first, second = homed(0, ranks.nodes, 2)
        if ranks.rank == 0:
            store.put("t", first, data(1, 10 * MIB))
            with pytest.raises(OutOfSpace):
                store.put("t", second, data(2, 10 * MIB))
        ranks.barrier("all have looked")
