"""Ranks of all nodes put, get and delete the same blobs at once: each blob's history is that of one register."""

import random
import time

import pytest
from cte.proof.linear import Call, is_linearisable
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import NoSuchBlob, NoSuchTag
from wrp.runtime.config import load

BLOBS, ROUNDS = ("x", "y"), 150


def done(store, made, rank, number, kinds, times):
    """(blob, Call) of one random call."""
    blob, kind = made.choice(BLOBS), made.choice(kinds)
    value = b"%d.%d;" % (rank, number) * made.choice(times)
    begin = time.monotonic_ns()
    try:
        if kind == "put":
            store.put("t", blob, value)
        elif kind == "get":
            value = store.get("t", blob)
        else:
            store.delete("t", blob)
            value = True
    except (NoSuchBlob, NoSuchTag):
        value = None if kind == "get" else False
    return blob, Call(kind, value if isinstance(value, (bool, type(None))) else value[:value.index(b";")], begin, time.monotonic_ns())


@pytest.mark.mpi
@pytest.mark.parametrize("memory, cache", [(True, 0), (False, 0), (True, 1 << 20)], ids=["memory", "folder", "cached"])
def test_blobs_are_registers(shared_folder, tmp_path, memory, cache):
    """Also those of which the ranks of a node have got the bytes before: what a node keeps makes no difference."""
    ranks, conf = world(), tmp_path / "conf.yaml"
    conf.write_text(f"targets: {{cache: {cache}}}\n")
    with Store.open(None if memory else shared_folder, ranks, load(conf)) as store:
        made, kinds = random.Random(ranks.rank), ("put", *["get"] * (6 if cache else 2), "delete")
        ranks.barrier("all are ready")
        mine = []
        for number in range(ROUNDS):
            mine.append(done(store, made, ranks.rank, number, kinds, (20_000,) if cache else (1, 300, 20_000)))
            if not memory and number % 40 == 7:
                store.flush()
        assert not cache or ranks.nodes == 1 or sum(ranks.gather(store.statistics().cache.hits, "hits"))
        history = [call for calls in ranks.gather(mine, "histories") for call in calls]
    for blob in BLOBS:
        assert is_linearisable([call for name, call in history if name == blob]), f"blob {blob} is no register"
