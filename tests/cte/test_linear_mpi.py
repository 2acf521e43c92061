"""Ranks of all nodes put, get and delete the same blobs at once: each blob's history is that of one register."""

import random
import time

import pytest
from cte.proof.linear import Call, is_linearisable
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import NoSuchBlob, NoSuchTag

BLOBS, ROUNDS = ("x", "y"), 150


def done(store, made, rank, number):
    """(blob, Call) of one random call."""
    blob, kind = made.choice(BLOBS), made.choice(("put", "get", "get", "delete"))
    value = b"%d.%d;" % (rank, number) * made.choice((1, 300, 20_000))
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
@pytest.mark.parametrize("memory", [True, False])
def test_blobs_are_registers(shared_folder, memory):
    ranks = world()
    with Store.open(None if memory else shared_folder, ranks) as store:
        made = random.Random(ranks.rank)
        ranks.barrier("all are ready")
        mine = []
        for number in range(ROUNDS):
            mine.append(done(store, made, ranks.rank, number))
            if not memory and number % 40 == 7:
                store.flush()
        history = [call for calls in ranks.gather(mine, "histories") for call in calls]
    for blob in BLOBS:
        assert is_linearisable([call for name, call in history if name == blob]), f"blob {blob} is no register"
