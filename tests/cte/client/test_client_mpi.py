"""The client on several ranks, and on nodes of a rank each: the same ids, and nothing of a tag is missed (defect d of the reference)."""

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.client import Client
from wrp.errors import NoSuchTag


@pytest.mark.mpi
def test_d_every_rank_sees_the_whole_tag(shared_folder):
    ranks = world()
    with Store.open(shared_folder, ranks) as store, Client(store) as client:
        tag = client.get_or_create_tag("t")
        client.put_blob(tag, f"of{ranks.rank}", 0, None, b"x" * (ranks.rank + 1))
        store.flush_all()
        ids = ranks.gather(client.get_or_create_tag("t"), "ids of the tag")
        assert len(set(ids)) == 1
        names = [f"of{rank}" for rank in range(ranks.size)]
        assert client.get_contained_blobs(ids[0]) == names and client.get_tag_size(ids[0]) == sum(range(1, ranks.size + 1))
        assert client.blob_query("t", ".*") == (["t"] * ranks.size, names, ranks.size)
        assert [client.get_blob(ids[0], name) for name in names] == [b"x" * (rank + 1) for rank in range(ranks.size)]
        ranks.barrier("everybody has looked")
        if ranks.rank == ranks.size - 1:
            client.del_tag(ids[0])
        store.flush_all()
        assert client.tag_query(".*") == ([], 0)
        with pytest.raises(NoSuchTag):
            client.get_tag_size(ids[0])
