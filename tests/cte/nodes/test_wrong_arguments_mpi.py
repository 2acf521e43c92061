"""Wrong arguments where blobs have their homes on other nodes: refused by the rank that was given them, in one sentence."""

import pytest

from cte.proof.wrong import trouble_of, wrong_calls
from wrp.comm.ranks import world

pytestmark = pytest.mark.mpi
LEFT = {"add_target", "attach", "batch", "close", "delete_still", "flush_all", "open", "remove_target", "salvage",
        "set_compression"}                      # most are collective


def test_wrong_arguments_of_a_store_of_several_nodes(opened):
    ranks = world()
    with opened(None, "storage: [{path: 'ram::test', bdev_type: ram, capacity_limit: 16m}]\n") as store:
        found = []
        if ranks.rank == 0:
            store.put("t", "b", b"abc")
            for each in wrong_calls(store, LEFT):
                found.append(trouble_of(*each))
                if not store.exists("t", "b"):
                    store.put("t", "b", b"abc")
        ranks.barrier("all of them were refused")
        assert list(filter(None, found)) == []
