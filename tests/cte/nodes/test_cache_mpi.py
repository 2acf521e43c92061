"""The cache of a node: what its ranks have got of other nodes' blobs comes from its ram, in the generation that the blobs have, and in no other."""

import random

import numpy as np
import pytest

from cte.nodes.test_replicas_mpi import data, homed
from cte.test_model_mpi import Expected, attempted
from cte.test_races_mpi import free_for_all
from wrp.comm.ranks import world
from wrp.cte.homes import home_of
from wrp.errors import NoSuchBlob, NoSuchTag, RangeError

pytestmark = pytest.mark.mpi
LONG = 40_000                   # more than comes with an answer


def conf(cache="8m", more=""):
    return f"storage: [{{path: 'ram::c', capacity_limit: 32m}}]\ntargets: {{cache: {cache}{more}}}\n"


def counted(store):
    """(hits, misses) of this node since the call before."""
    now = store.statistics().cache
    before, store.before = getattr(store, "before", (0, 0)), (now.hits, now.misses)
    return now.hits - before[0], now.misses - before[1]


@pytest.mark.parametrize("least, kept", [(0.5, 1), (0.3, 2)])
def test_what_has_a_lower_score_than_the_key_says_is_not_kept(opened, least, kept):
    ranks = world()
    with opened(None, conf(more=f", cache_min_score: {least}")) as store:
        blobs = homed(0, ranks.nodes, 3)
        if ranks.rank == 0:
            for blob, score in zip(blobs, (0.2, 0.4, 0.5)):
                store.put("t", blob, data(1, LONG), score=score)
        ranks.barrier("put")
        if ranks.node and ranks.local_rank == 0:
            for _ in range(2):
                assert [store.get("t", blob) for blob in blobs] == [data(1, LONG)] * 3
            assert counted(store) == (kept, 6 - kept)
        ranks.barrier("got")


def assert_its_room_is_free(store, ranks, cache):
    """Collective: once nothing is kept, all of the device is free."""
    ranks.barrier("nobody gets anything")
    if ranks.local_rank == 0:
        cache._make_room(1 << 40)
    assert free_for_all(cache._device, ranks) == cache._device.capacity and store.statistics().cache.blobs == 0
    ranks.barrier("all have looked")


def test_what_was_got_once_is_served_to_all_ranks_of_the_node(opened):
    ranks = world()
    with opened(None, conf()) as store:
        blobs = homed(0, ranks.nodes, 3)
        values = [data(number, size) for number, size in enumerate((LONG, 5_000_000, 100))]
        if ranks.rank == 0:
            for blob, value in zip(blobs, values):
                store.put("t", blob, value)
            store.put("t", blobs[1] + "p", b"abc" * LONG, compression="zlib")
        ranks.barrier("put")
        packed = blobs[1] + "p"
        for turn in range(2):
            if ranks.local_rank == 0 and turn == 0 or ranks.local_rank == ranks.local_size - 1 and turn:
                assert [store.get("t", blob) for blob in blobs] == values and store.get("t", packed) == b"abc" * LONG
            ranks.barrier("got")
        far = ranks.node != 0
        is_packed_far = store._routes.home("t", packed) != ranks.node
        assert counted(store) == (2 * far + is_packed_far, 2 * far + is_packed_far)
        ranks.barrier("counted")
        out = bytearray(10)
        assert store.get("t", blobs[1], 4_999_000, out=out) == 10 and out == values[1][4_999_000:4_999_010]
        assert store.get("t", packed, LONG, 2 * LONG) == (b"abc" * LONG)[LONG:]
        assert bytes(store.view("t", blobs[0])) == values[0] and store.get_many("t", blobs[:2]) == values[:2]
        rows = np.zeros((2, LONG), np.uint8)
        store.get_many("t", blobs[:2], out=rows)
        assert [row.tobytes() for row in rows] == [value[:LONG] for value in values[:2]]
        for wrong in (lambda: store.get("t", blobs[0], 1, LONG), lambda: store.get_many("t", blobs[:1], out=np.zeros((1, LONG + 1), np.uint8))):
            with pytest.raises(RangeError):
                wrong()
        ranks.barrier("got again")
        assert counted(store) == ((6 * far + is_packed_far) * ranks.local_size, 0)
        kept = store.statistics().cache
        assert (kept.blobs, kept.hit_nbytes > kept.missed_nbytes) == (2 * far + is_packed_far, far or is_packed_far)
        ranks.barrier("counted again")
        if far and ranks.local_rank == 0:
            assert store.get("t", blobs[2]) == values[2]        # comes with the answer
            assert counted(store) == (0, 0)
        assert_its_room_is_free(store, ranks, store._cache)


def test_ranges_of_what_is_kept_come_from_there_by_one_question(opened):
    ranks = world()
    with opened(None, conf()) as store:
        blob, value, ranges = homed(0, ranks.nodes)[0], data(1, 3_000_000), [(5, 7), (0, 0), (1_500_000, 1_400_000), (2_999_990, 10)]
        wanted = [value[offset:offset + size] for offset, size in ranges]
        packed = next(f"p{number}" for number in range(99) if home_of("t", f"p{number}", ranks.nodes) == 0)
        if ranks.rank == 0:
            store.put("t", blob, value)
            store.put("t", packed, b"abc" * LONG, compression="zlib")
        ranks.barrier("put")
        far = ranks.node != 0
        if far and ranks.local_rank == 0:
            assert store.get_segments("t", blob, ranges) == wanted and counted(store) == (0, len(ranges))
            assert store.get("t", blob) == value and len(store.get("t", packed)) == 3 * LONG and counted(store) == (0, 2)
            asked, ask = [], store._net._asking.ask
            store._net._asking.ask = lambda node, *question: asked.append((node, question[0])) or ask(node, *question)
            assert store.get_segments("t", blob, ranges) == wanted and store.get_segments("t", packed, [(1, 3), (LONG, 3)]) == [b"bca", b"bca"]
            assert asked == [(0, "look_segments")] * 2 and counted(store) == (len(ranges) + 2, 0)
            with pytest.raises(RangeError):
                store.get_segments("t", blob, [(0, 1), (2_999_999, 2)])
        ranks.barrier("got")
        if ranks.rank == 0:
            store.put("t", blob, b"x", offset=6)
            store.delete("t", packed)
        ranks.barrier("changed")
        assert store.get_segments("t", blob, ranges) == [value[5:6] + b"x" + value[7:12], *wanted[1:]]
        with pytest.raises(NoSuchBlob):
            store.get_segments("t", packed, [(0, 1)])
        ranks.barrier("got again")
        assert_its_room_is_free(store, ranks, store._cache)


def test_every_kind_of_change_is_seen_by_the_next_get(opened, shared_folder):
    """Random calls of one rank after the other; after each all ranks get all blobs twice, from wherever they come, and they are those of a dictionary."""
    ranks, made, expected = world(), random.Random(5), Expected()
    with opened(shared_folder, conf("512k")) as store:
        for turn in range(60):
            name = made.choice(("put", "put", "packed", "ranged", "append", "truncate", "delete", "score", "copy", "rename", "many", "destroy", "batch", "move", "flush"))
            tag, blob, size = made.choice("ab"), made.choice("xyz"), made.choice((300, LONG, 70_000, 300_000))
            more = {"put": (size, turn), "packed": (size,), "ranged": (size, made.choice((0, 300))), "append": (size,), "truncate": (made.choice((10, 50_000)),),
                    "score": (made.choice((0.5, 1.0)),), "copy": (made.choice("ab"), made.choice("xyz")), "rename": (made.choice("ab"), made.choice("xyz")),
                    "many": (size,)}.get(name, ())
            who, wrong = turn % ranks.size, ""
            if name == "batch":
                with store.batch(f"batch {turn}") as batch:
                    if ranks.rank == who:
                        batch.put(tag, blob, data(turn, size))
                expected[tag, blob] = data(turn, size)
            elif name == "move":
                if ranks.rank == who and (tag, blob) in expected:
                    store.move(tag, blob, "file")
            elif name == "flush":
                store.flush_all()
            else:
                if ranks.rank == who:
                    wrong = attempted(store, (name, tag, blob, *more), Expected(expected))
                expected.apply(name, tag, blob, *more)
            ranks.barrier("changed")
            for again in range(2):
                for key in [(tag, blob) for tag in "ab" for blob in ("x", "x2", "y", "y2", "z", "z2")]:
                    try:
                        found = store.get(*key)
                    except (NoSuchBlob, NoSuchTag):
                        found = None
                    if found != expected.get(key):
                        wrong = wrong or f"rank {ranks.rank} found {None if found is None else len(found)} bytes of {key}, look {again}"
            assert not any(ranks.gather(wrong, "what a step has come to")), (turn, name, tag, blob, more, wrong)
        assert sum(ranks.gather(counted(store)[0], "hits")) > 100
        kept = store.statistics().cache
        assert kept.nbytes <= 512 << 10
        assert_its_room_is_free(store, ranks, store._cache)


def test_what_was_used_longest_ago_leaves(opened):
    ranks = world()
    with opened(None, conf("1m")) as store:
        blobs = homed(0, ranks.nodes, 5)
        if ranks.rank == 0:
            for number, blob in enumerate(blobs):
                store.put("t", blob, data(number, 300_000))
            store.put("t", "cold", data(9, LONG), score=0.4)
            store.put("t", blobs[4], data(9, 2 << 20))
        ranks.barrier("put")
        if ranks.node and ranks.local_rank == 0:
            counted(store)
            for number in (0, 1, 2, 0, 3, 0, 2, 1):     # 3 takes the place of 1, 1 that of 3
                assert store.get("t", blobs[number]) == data(number, 300_000)
            assert counted(store) == (3, 5)
            assert store.get("t", blobs[4]) == data(9, 2 << 20) and store.get("t", blobs[0]) == data(0, 300_000)
            assert counted(store) == (1, 1)             # more than all of the room isn't kept, and nothing leaves for it
            if store._routes.home("t", "cold") != ranks.node:
                for _ in range(2):
                    store.get("t", "cold")
                assert counted(store) == (0, 2)
        ranks.barrier("got")
        if ranks.rank == 0:
            store.delete("t", blobs[0])
        ranks.barrier("deleted")
        if ranks.node and ranks.local_rank == 0:
            before = store.statistics().cache.blobs
            with pytest.raises(NoSuchBlob):
                store.get("t", blobs[0])
            assert store.statistics().cache.blobs == before - 1
        assert_its_room_is_free(store, ranks, store._cache)


def test_bytes_that_change_in_the_cache_are_got_anew(opened):
    ranks = world()
    with opened(None, conf()) as store:
        blob, = homed(0, ranks.nodes)
        if ranks.rank == 0:
            store.put("t", blob, data(1, LONG))
        ranks.barrier("put")
        if ranks.node and ranks.local_rank == 0:
            assert store.get("t", blob) == data(1, LONG)
            kept = store._cache.find("t", blob)
            store._cache._device.view(kept.extents[0][1], 1)[0] ^= 1
            assert store.get("t", blob) == data(1, LONG) and counted(store) == (0, 2)
            assert store.get("t", blob) == data(1, LONG) and counted(store) == (1, 0)
        ranks.barrier("got")


def test_many_gets_evictions_and_changes_at_once(opened):
    """All ranks get and change blobs of all nodes with room for two of them: every get is one whole put."""
    ranks, made = world(), random.Random(world().rank)
    with opened(None, conf("256k")) as store:
        blobs = [blob for node in range(ranks.nodes) for blob in homed(node, ranks.nodes, 2)]
        for blob in blobs:
            store.put("t", blob, bytes([ranks.rank]) * 100_000)
        ranks.barrier("put")
        for _ in range(150):
            blob = made.choice(blobs)
            if made.random() < 0.15:
                store.put("t", blob, bytes([made.randrange(256)]) * 100_000)
            elif made.random() < 0.2:
                assert all(len(set(found)) == 1 and len(found) == 100_000 for found in store.get_many("t", blobs))
            else:
                start = made.choice((0, 0, 0, 50_000))
                found = store.get("t", blob, start)
                assert len(found) == 100_000 - start and len(set(found)) == 1
        ranks.barrier("over")
        assert store.statistics().cache.nbytes <= 256 << 10
        assert_its_room_is_free(store, ranks, store._cache)
