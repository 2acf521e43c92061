"""Checkpoint tags of all ranks, on one node and on several."""

import numpy as np
import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import Changed, NoSuchBlob, UsageError

pytestmark = pytest.mark.mpi
BLOBS = [f"b{number}" for number in range(12)]


def check(store, tag, wanted):
    assert store.list(tag) == list(store.infos(tag)) == list(wanted) and store.tag_size(tag) == sum(map(len, wanted.values()))
    assert store.blobs(tag) == [(tag, blob) for blob in wanted]
    assert store.get_many(tag, list(wanted)) == list(wanted.values()) == [bytes(store.view(tag, blob)) for blob in wanted]
    rows = np.zeros((len(wanted), 2), np.uint8)
    store.get_many(tag, list(wanted), rows)
    for blob, row in zip(wanted, rows):
        data = wanted[blob]
        assert bytes(row) == data[:2] and store.exists(tag, blob) and store.wait(tag, blob).size == store.size(tag, blob) == len(data)
        assert store.get(tag, blob, 1, 1) == data[1:2] and store.get_segments(tag, blob, [(0, 1), (1, 1)]) == [data[:1], data[1:2]]


def test_all_ranks_see_what_the_source_has(shared_folder):
    ranks = world()
    last, sizes = ranks.size - 1, (2, 300, 70_000)
    source = {blob: bytes([number]) * sizes[number % 3] for number, blob in enumerate(BLOBS)}
    with Store.open(shared_folder, ranks) as store:
        if not ranks.rank:
            for blob, data in source.items():
                store.put("t", blob, data)
            store.checkpoint("c", "t")
        ranks.barrier("all is put")
        check(store, "c", source)
        assert not any(about.stamp for about in store.infos("c").values())
        with pytest.raises(NoSuchBlob, match="'x' in tag 'c'"):
            store.get("c", "x")
        ranks.barrier("all have looked")
        wanted = dict(source)
        for number, blob in enumerate(BLOBS):
            data = source[blob]
            wanted[blob] = (b"whole", data[:1] + b"X" + data[2:], data + b"X", data[:2])[number % 4]
        if ranks.rank == last:
            for number, blob in enumerate(BLOBS):
                (lambda: store.put("c", blob, b"whole"), lambda: store.put("c", blob, b"X", offset=1), lambda: store.append("c", blob, b"X"),
                 lambda: store.truncate("c", blob, 2))[number % 4]()
        ranks.barrier("all is changed")
        check(store, "c", wanted), check(store, "t", source)
        ranks.barrier("all have looked")
        if ranks.rank == last:
            for error, call in ((Changed, lambda: store.destroy("t")), (Changed, lambda: store.checkpoint("c", "t")), (UsageError, lambda: store.snapshot("c", "s"))):
                with pytest.raises(error):
                    call()
            store.put("t", "new", b"new"), store.score("c", "new", 0.5)
            with pytest.raises(NoSuchBlob):
                store.rename("c", "newer", "x")
            store.put("t", "newer", b"newer")
            with pytest.raises(NoSuchBlob):
                store.rename("c", "newer", "x")
            store.delete("c", "b0"), store.delete("t", "b1")
        ranks.barrier("changed again")
        wanted = {**wanted, "b0": source["b0"], "new": b"new", "newer": b"newer"}
        check(store, "c", wanted)
        assert store.score("c", "new") == 0.5
        store.flush_all()
    with Store.open(shared_folder, ranks) as store:
        check(store, "c", wanted)
        ranks.barrier("all have looked")
        if ranks.rank == last:
            store.destroy("c"), store.destroy("t")
        ranks.barrier("all is gone")
        assert store.tags() == [] and not store._tag_names.table().owns
        ranks.barrier("all have looked")
