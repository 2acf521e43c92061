"""Compressed and encrypted blobs of several ranks."""

import os

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import StoreError, WrpError

pytestmark = pytest.mark.mpi
DATA = b"what every rank puts " * 2000


def test_every_rank_reads_what_every_rank_packed(shared_folder):
    ranks = world()
    with Store.open(shared_folder) as store:
        store.set_compression("t", "zlib")
        with store.batch("all") as batch:
            batch.put("t", f"batch_{ranks.rank}", DATA)
        store.put("t", f"put_{ranks.rank}", DATA)
        store.flush_all()
        assert len(store.blobs("t")) == 2 * ranks.size
        for _, blob in store.blobs("t"):
            assert store.get("t", blob) == DATA and store.info("t", blob).codec == "zlib"
    with Store.open(shared_folder, write=False) as store:
        assert store.compression("t") is not None and all(store.get("t", blob) == DATA for _, blob in store.blobs("t"))


def test_one_key_for_all_ranks(shared_folder):
    crypt = pytest.importorskip("wrp.cte.crypt")
    ranks = world()
    key = crypt.Key(bytes(range(32)), "the test")
    with Store.open(shared_folder, key=key) as store:
        with store.batch("all") as batch:
            batch.put("t", f"b_{ranks.rank}", DATA)
        assert all(store.get("t", f"b_{rank}") == DATA for rank in range(ranks.size))
    with pytest.raises(WrpError) as caught:
        Store.open(shared_folder, write=False, key=crypt.Key(bytes(32), "wrong") if ranks.rank == ranks.size - 1 else key)
    assert "not the one" in str(caught.value) and isinstance(caught.value, StoreError)
    if ranks.rank == 0:
        found = b"".join(open(os.path.join(folder, name), "rb").read() for folder, _, names in os.walk(shared_folder) for name in names)
        assert DATA[:20] not in found
    ranks.barrier("rank 0 has looked")
