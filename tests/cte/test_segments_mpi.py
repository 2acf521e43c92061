"""Ranges of blobs of all nodes: the same on 1, 2, 3 and 4 ranks."""

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import NoSuchBlob, NoSuchTag, RangeError, UsageError

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize("nbytes", [9, 3000, 400_000])
def test_ranges_of_every_rank_are_there_as_one(shared_folder, nbytes):
    ranks = world()
    places = [0, 2 * nbytes, 5 * nbytes]
    blobs = [f"b{number}" for number in range(4)]
    with Store.open(shared_folder, ranks) as store:
        for turn in range(2):
            for blob in blobs:
                store.put_segments("t", blob, [(place, bytes([16 * ranks.rank + turn]) * nbytes) for place in places])
                found = store.get_segments("t", blob, [(place, nbytes) for place in places])
                assert len(set(found)) == 1 and found[0] == found[0][:1] * nbytes
        ranks.barrier("all is put")
        assert all(store.get("t", blob, nbytes, nbytes) == bytes(nbytes) and store.size("t", blob) == 6 * nbytes for blob in blobs)
        read, put = store.modelled_get("t", "b0"), store.modelled_put("t", "b1", 6 * nbytes)
        assert sum(size for _, size in read.places) == sum(size for _, size in put.places) == 6 * nbytes and read.seconds > 0
        ranks.barrier("all have looked")
        for blob in blobs:
            for kind, call in ((RangeError, lambda blob: store.get_segments("t", blob, [(0, 1), (6 * nbytes, 1)])), (UsageError, lambda blob: store.put_segments("t", blob, [])),
                               (NoSuchBlob, lambda blob: store.get_segments("t", blob + "x", [(0, 1)])), (NoSuchTag, lambda blob: store.get_segments("none", blob, [(0, 1)]))):
                with pytest.raises(kind):
                    call(blob)
        ranks.barrier("all have looked")
    with Store.open(shared_folder, ranks) as store:
        for blob in blobs:
            found = store.get_segments("t", blob, [(place, nbytes) for place in places])
            assert len(set(found)) == 1 and found[0] == found[0][:1] * nbytes
        ranks.barrier("all have looked")
