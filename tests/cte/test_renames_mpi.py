"""Ranks that rename long blobs at once, also to the same names: on one node by entries of the journal, between nodes by copies. The same on 1, 2, 3 and 4."""

import pytest
from cte.test_races_mpi import assert_all_is_free_once_destroyed

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import NoSuchBlob
from wrp.runtime.config import load

pytestmark = pytest.mark.mpi

MIB = 1 << 20
CONF = "storage: [{path: 'ram::r', bdev_type: ram, capacity_limit: 2m}, {path: data, bdev_type: file, capacity_limit: 96m}]\n"


def data(rank, number):
    """Bytes that name their writer."""
    return bytes([rank * 16 + number, 1]) * (MIB // 2 + rank)


def test_ranks_rename_long_blobs_to_names_that_others_want(shared_folder, tmp_path):
    """Everybody's blobs are there under one name each, but those that another has replaced; and are so after the next opening."""
    ranks = world()
    (tmp_path / "conf.yaml").write_text(CONF)
    config = load(tmp_path / "conf.yaml")
    with Store.open(shared_folder, config=config) as store:
        for number in range(6):
            store.put("t", f"{ranks.rank} {number}", data(ranks.rank, number))
            if number % 2:
                store.flush()
        ranks.barrier("all have put")
        for number in range(4):
            store.rename("t", f"{ranks.rank} {number}", f"{ranks.rank} now {number}", new_tag=f"u{number % 2}")
            store.put("own", f"{ranks.rank}", b"meanwhile" * number)
            store.flush()
        for number in (4, 5):           # of those that want one name the last has it
            store.rename("t", f"{ranks.rank} {number}", f"all {number}", replace=True)
            with pytest.raises(NoSuchBlob):
                store.rename("t", f"{ranks.rank} {number}", "x")
        ranks.barrier("all have renamed")
        names = sorted([(f"u{number % 2}", f"{rank} now {number}") for rank in range(ranks.size) for number in range(4)] + [("t", "all 4"), ("t", "all 5")])
        found = {name: store.get(*name) for name in sorted(store.blobs("t|u."))}
        assert sorted(found) == names and all(found[f"u{number % 2}", f"{ranks.rank} now {number}"] == data(ranks.rank, number) for number in range(4))
        assert all(found["t", f"all {number}"] in [data(rank, number) for rank in range(ranks.size)] for number in (4, 5))
        ranks.barrier("all have looked")
    with Store.open(shared_folder, config=config) as store:
        assert {name: store.get(*name) for name in sorted(store.blobs("t|u."))} == found
        ranks.barrier("all have looked")
        assert_all_is_free_once_destroyed(store, ranks)
