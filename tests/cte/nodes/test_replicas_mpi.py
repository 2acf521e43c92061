"""Replicas: keepers have every blob as its home has it, whatever was done with it, and a get does without a home whose bytes are damaged."""

import random
import time
import warnings

import numpy as np
import pytest

from cte.test_races_mpi import assert_all_space_is_free
from harness.interrupting import Interrupted
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.homes import home_of
from wrp.cte.nodes.held import unpack
from wrp.cte.records import full_name
from wrp.errors import Changed, ConfigError, Corrupt, FewerReplicas, NoSuchBlob, NoSuchTag
from wrp.runtime.config import load

pytestmark = pytest.mark.mpi
SIZES = (1, 1000, 20_000, 40_000, 5_000_000)         # in a block, by themselves, more than travels in a question, in two extents


@pytest.fixture(params=["memory", "folder"])
def place(request, shared_folder):
    return None if request.param == "memory" else shared_folder


def conf(replicas=2, ram="48m", period_ms=0):
    """Blobs are on so many nodes, on as many as there are at most; so many milliseconds later."""
    return (f"storage: [{{path: 'ram::r', capacity_limit: {ram}}}]\n"
            f"targets: {{replicas: {min(replicas, world().nodes)}, replicate_period_ms: {period_ms}}}\n")


def data(seed, nbytes):
    return random.Random(seed).randbytes(nbytes)


def homed(node, nodes, count=1):
    """Names of blobs of tag "t" with this home."""
    return [blob for blob in (f"b{n}" for n in range(400)) if home_of("t", blob, nodes) == node][:count]


def assert_copies_are_right(store, ranks):
    """Collective: once nothing is owed the keepers have what the homes have, in the same generation, and nothing else."""
    store.replicate()
    assert store.statistics().owed == 0
    ranks.barrier("nobody changes anything")
    keepers, net = store._routes.keepers, store._net
    if keepers is not None:
        expected = {}
        for tag, blob in ((store.own_name(tag), blob) for tag, blob in store.blobs(".*")):
            home, name = home_of(tag, blob, ranks.nodes), full_name(tag, blob)
            (plain, stored), = net.at(home, "states", [name], [-1])
            for keeper in keepers.of(home) if plain is not None else ():
                expected.setdefault((keeper, tag), []).append(blob)
                found = net.at(keeper, "copy", name)
                assert found is not None and found[0][2] == plain[2], f"{name!r} of node {home} on node {keeper}"
            if plain is not None:
                record, copied = keepers.read(home, name, plain[2])
                whole = bytearray(record.raw or record.size)
                unpack(store._parts, record, copied, 0, memoryview(whole))
                assert whole == store.get(store._tag_names.names_of(tag)[0], blob) and stored in (None, copied)
        for node in range(ranks.nodes):
            for tag in ("t", "u", "batch", "then", "now"):
                assert sorted(net.at(node, "kept", tag)) == sorted(expected.get((node, tag), []))
    ranks.barrier("all have looked")


def damage(store, tag, blob, at_home=True, on=None):
    """On the first rank of the home, or of the nodes `on`: change a byte of what it has of a blob. Local."""
    ranks, parts = store.ranks, store._parts
    if ranks.local_rank:
        return
    if at_home and home_of(tag, blob, ranks.nodes) == ranks.node:
        parts.tiers.ram_bytes[store._here.extents(tag, blob)[-1][1]] ^= 0x10
    if on is not None and ranks.node in on:
        parts.tiers.ram_bytes[parts.copies._catalog.find(full_name(tag, blob)).extents[-1][1]] ^= 0x10


@pytest.mark.parametrize("period_ms", [0, 20])
def test_every_change_reaches_the_keepers(place, opened, period_ms):
    ranks = world()
    with opened(place, conf(2 if place is None else 3, period_ms=period_ms)) as store:
        for rank in range(ranks.size):
            if ranks.rank == rank:
                for number in range(ranks.nodes + 2):
                    blob = f"{rank}.{number}"
                    store.put("t", blob, data(number, SIZES[number % 4]))
                    store.put("t", blob, b"b" * 50_000, offset=5)
                    store.append("t", blob, b"d" * 40_000)
                    store.truncate("t", blob, 60_000)
                    store.score("t", blob, 0.25)
                    store.copy("t", blob, "u", blob)
                    store.rename("t", blob, f"{blob}.moved")
                    store.put("t", f"{blob}.packed", b"abc" * 30_000, compression="zlib")
                    with store.reserve("t", f"{blob}.kept", 70_000) as reserved:
                        reserved.view[:] = b"r" * 70_000
                    store.put("t", f"{blob}.gone", b"short")
                    store.delete("t", f"{blob}.gone")
                store.put_many("t", [f"{rank}.many{n}" for n in range(30)], np.frombuffer(data(rank, 30 * 700), np.uint8).reshape(30, 700))
            assert_copies_are_right(store, ranks)
        with store.batch("one") as batch:
            batch.put("batch", f"r{ranks.rank}", data(ranks.rank, 60_000))
            batch.put("t", f"{ranks.rank}.0.kept", b"replaced")
        assert_copies_are_right(store, ranks)
        if ranks.rank == ranks.size - 1:
            store.snapshot("t", "then")
            store.rename_tag("u", "now")
        assert_copies_are_right(store, ranks)
        with store.batch("two") as batch:
            batch.replace("batch")
            batch.remove("then")
        if ranks.rank == 0:
            store.destroy("t")
            store.destroy("now")
        assert_copies_are_right(store, ranks)
        assert store.tags() == ["batch"]
        store.flush_all()
        assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


def test_damaged_bytes_come_from_a_keeper_and_go_back_home(place, opened):
    """Every rank sees the right bytes, and the home has them again."""
    ranks = world()
    with opened(place, conf()) as store:
        blobs = [(blob, data(n, size)) for node in range(ranks.nodes) for n, (blob, size) in enumerate(zip(homed(node, ranks.nodes, len(SIZES)), SIZES))]
        if ranks.rank == 0:
            for blob, value in blobs:
                store.put("t", blob, value)
            store.put("t", "packed", b"abc" * 30_000, compression="zlib")
        for asker in range(ranks.size):
            ranks.barrier("all is whole")
            for blob, _ in [*blobs, ("packed", None)]:
                damage(store, "t", blob)
            ranks.barrier("all is damaged")
            if ranks.rank == asker:
                assert store.get_many("t", [blob for blob, _ in blobs]) == [value for _, value in blobs]
                assert store.get("t", "packed", 3, 6) == b"abcabc"
            ranks.barrier("looked")
            for blob, value in blobs:
                assert home_of("t", blob, ranks.nodes) != ranks.node or store._here.get("t", blob) == value
            out = bytearray(len(blobs[-1][1]))
            assert store.get("t", blobs[-1][0], out=out) == len(out) and out == blobs[-1][1]
        assert_copies_are_right(store, ranks)
        if place is not None:
            for blob, _ in blobs:
                damage(store, "t", blob)
            ranks.barrier("all is damaged")
            store.flush_all()           # what it writes down is whole
            assert all(store._here.get("t", blob) == value for blob, value in blobs if home_of("t", blob, ranks.nodes) == ranks.node)
        blob, value = blobs[2]
        keepers = store._routes.keepers.of(home_of("t", blob, ranks.nodes))
        ranks.barrier("all is written down")
        damage(store, "t", blob, on=keepers)
        ranks.barrier("nobody has it any more")
        with pytest.raises(Corrupt):
            store.get("t", blob)
        ranks.barrier("all have looked")
        if ranks.rank == 0:
            store.delete("t", blob)


def test_the_second_keeper_has_it_when_home_and_the_first_are_damaged(opened):
    ranks = world()
    if ranks.nodes < 3:
        pytest.skip("two keepers and a home are three nodes")
    with opened(None, conf(replicas=3)) as store:
        blob, = homed(1, ranks.nodes)
        if ranks.rank == 0:
            store.put("t", blob, data(1, 40_000))
        ranks.barrier("put")
        damage(store, "t", blob, on=[2])
        ranks.barrier("damaged")
        assert store.get("t", blob) == data(1, 40_000)
        ranks.barrier("all have looked")


def test_a_score_keeps_the_copies_of_a_damaged_blob(opened):
    """A new generation of the same bytes: the copies are of it without looking at the home's."""
    ranks = world()
    with opened(None, conf()) as store:
        blob, = homed(1, ranks.nodes)
        if ranks.rank == 0:
            store.put("t", blob, data(1, 40_000))
        ranks.barrier("put")
        damage(store, "t", blob)
        ranks.barrier("damaged")
        if ranks.rank == 0:
            store.score("t", blob, 0.5)
        ranks.barrier("scored")
        assert store.get("t", blob) == data(1, 40_000)
        ranks.barrier("all have looked")


@pytest.mark.parametrize("period_ms", [0, 1])
def test_all_ranks_change_the_same_blobs(place, opened, period_ms):
    """Whoever is last at the home is last at the keepers, too."""
    ranks = world()
    with opened(place, conf(3, period_ms=period_ms)) as store:
        made = random.Random(ranks.rank)
        for _ in range(60):
            blob = made.choice("abc")
            try:
                made.choice((lambda: store.put("t", blob, made.randbytes(made.choice(SIZES[:4]))), lambda: store.append("t", blob, b"x" * 900),
                             lambda: store.delete("t", blob), lambda: store.score("t", blob, 0.5), lambda: store.rename("t", blob, made.choice("abcd")),
                             lambda: store.truncate("t", blob, 100), lambda: store.destroy("t") if made.random() < 0.2 else None))()
            except (NoSuchBlob, NoSuchTag, Changed):
                pass                # another rank was quicker
        assert_copies_are_right(store, ranks)
        if ranks.rank == 0 and store.exists("t"):
            store.destroy("t")
        store.replicate()
        store.flush_all()
        assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


def test_what_changes_often_is_brought_once_and_as_it_is_then(opened):
    """A put waits for no keeper; what is owed is counted, and brought by a sweep, or where it is asked for, of a tag or a blob alone."""
    ranks = world()
    with opened(None, conf(period_ms=60_000)) as store:
        keeper, brought = 1 % ranks.nodes, []
        blob, other = homed(0, ranks.nodes, 2)
        keep = store._net.calls["keep"]
        store._net.calls["keep"] = lambda items: brought.extend(items) or keep(items)
        store._net.calls["brought"] = lambda: len(brought)
        ranks.barrier("the keepers count")
        if ranks.rank == ranks.size - 1:
            for number in range(20):
                store.put("t", blob, data(number, 1000))
            store.put("t", other, b"other")
            store.put("u", blob, b"of another tag")
            assert store.statistics().owed == 3 and store._net.at(keeper, "brought") == 0
            store.replicate("t", blob)
            assert store.statistics().owed == 2 and store._net.at(keeper, "brought") == 1
            assert store._net.at(keeper, "copy", full_name("t", blob))[1] == data(19, 1000)
            store.replicate("t")
            assert store.statistics().owed == 1 and store._net.at(keeper, "brought") == 2
            store.delete("t", other)
            store.replicate()
            assert store.statistics().owed == 0 and store._net.at(keeper, "copy", full_name("t", other)) is None
            with pytest.raises(NoSuchBlob):
                store.replicate("t", other)
        ranks.barrier("brought")
        if ranks.rank == 0:
            store.replicate("u", blob)              # whoever has changed it
            store.replicate("u")
        ranks.barrier("over")


def test_what_a_batch_changed_is_owed_by_whoever_changed_it(opened):
    """Not by the first rank of a blob's home: who has put a blob, or has replaced its tag, knows that copies are older."""
    ranks = world()
    with opened(None, conf(period_ms=60_000)) as store:
        blobs = [homed(node, ranks.nodes, ranks.size + 1) for node in range(ranks.nodes)]
        mine, last = [found[ranks.rank] for found in blobs], [found[-1] for found in blobs]
        with store.batch("one") as batch:
            for blob in mine:
                batch.put("t", blob, data(ranks.rank, 1000))
            for blob in last if ranks.rank == 0 else ():
                batch.put("t", blob, b"before")
        assert store.statistics().owed == len(mine) + (len(last) if ranks.rank == 0 else 0)
        ranks.barrier("all have looked")
        store.replicate()
        assert store.statistics().owed == 0
        for home, blob in enumerate(mine):
            assert all(store._net.at(keeper, "copy", full_name("t", blob))[1] == data(ranks.rank, 1000) for keeper in store._routes.keepers.of(home))
        ranks.barrier("all are with their keepers")
        with store.batch("two") as batch:
            if ranks.rank == ranks.size - 1:
                batch.replace("t")
            for blob in mine:
                batch.put("t", blob, data(ranks.size + ranks.rank, 1000))
        sweeping = store._routes.keepers.sweeping
        assert all(sweeping.owes(home, full_name("t", blob)) == (ranks.rank == ranks.size - 1) for home, blob in enumerate(last))
        store.replicate()
        assert store.statistics().owed == 0
        assert ranks.rank < ranks.size - 1 or not any(store._net.at(keeper, "copy", full_name("t", blob))
                                                      for home, blob in enumerate(last) for keeper in store._routes.keepers.of(home))
        assert_copies_are_right(store, ranks)


def test_a_copy_of_another_generation_never_stands_for_damaged_bytes(opened):
    ranks = world()
    with opened(None, conf(period_ms=60_000)) as store:
        blob, = homed(1, ranks.nodes)
        if ranks.rank == 0:
            store.put("t", blob, data(1, 40_000))
            store.replicate()
            store.put("t", blob, data(2, 40_000))
        ranks.barrier("put")
        damage(store, "t", blob)
        ranks.barrier("damaged")
        with pytest.raises(Corrupt):
            store.get("t", blob)
        ranks.barrier("all have looked")
        if ranks.rank == 0:
            store.put("t", "well", b"well")
            with pytest.raises(Corrupt):
                store.replicate()                   # the other one is brought all the same
            assert store.statistics().owed == 1 and not store._routes.keepers.sweeping.owes(home_of("t", "well", ranks.nodes), full_name("t", "well"))
            store.put("t", blob, data(3, 40_000))
            store.replicate()
            assert store.statistics().owed == 0
        ranks.barrier("put again")
        damage(store, "t", blob)
        ranks.barrier("damaged again")
        assert store.get("t", blob) == data(3, 40_000)
        ranks.barrier("all have looked again")


def test_a_sweep_comes_by_itself(opened):
    ranks = world()
    with opened(None, conf(period_ms=10)) as store:
        store.put("t", f"b{ranks.rank}", data(ranks.rank, 50_000))
        deadline = time.monotonic() + 20
        while store.statistics().owed and time.monotonic() < deadline:
            time.sleep(0.005)
        assert store.statistics().owed == 0
        assert_copies_are_right(store, ranks)


def test_a_keeper_without_room_is_said_and_has_no_older_copy(opened):
    """The put is done, on fewer nodes: a warning and the statistics say so; other blobs of the same call have all their copies."""
    ranks = world()
    if ranks.nodes < 3:
        pytest.skip("of two nodes each has what the other has")
    with opened(None, conf(ram="16m")) as store:
        if ranks.rank == 0:
            (full,), (blob, other) = homed(1, ranks.nodes), homed(0, ranks.nodes, 2)
            store.put("t", full, bytes(11 << 20))
            store.put("t", blob, b"old")
            with pytest.warns(FewerReplicas, match=f"{blob!r} of tag 't' is stored, but on fewer nodes than the 2 of targets.replicas: .* room"):
                store.put("t", blob, data(5, 6 << 20))
            assert store.statistics().lacking == 1
            assert store.get("t", blob) == data(5, 6 << 20) and store._net.at(1, "copy", full_name("t", blob)) is None
            with pytest.warns(FewerReplicas):
                store.put_many("t", [other, blob], [b"short", data(5, 6 << 20)])
            before = store.statistics().lacking
            assert before > 1 and store._net.at(1, "copy", full_name("t", other)) is not None
            with warnings.catch_warnings():
                warnings.simplefilter("error", FewerReplicas)
                with pytest.raises(FewerReplicas):
                    store.put("t", blob, data(7, 6 << 20))
                assert store.get("t", blob) == data(7, 6 << 20)
                store.delete("t", full)
                store.put("t", blob, data(6, 6 << 20))
            assert store.statistics().lacking == before + 1
        assert_copies_are_right(store, ranks)


def test_more_replicas_than_nodes_are_refused(tmp_path):
    ranks = world()
    path = tmp_path / "conf.yaml"
    path.write_text(f"targets: {{replicas: {ranks.nodes + 1}}}\n")
    with pytest.raises(ConfigError, match=f"targets.replicas is {ranks.nodes + 1}, but this job has {ranks.nodes} node"):
        Store.open(None, ranks, load(path))


@pytest.mark.parametrize("call", ["destroy", "destroy a folder", "delete"])
def test_copies_of_what_a_call_took_away_that_was_interrupted_go_at_the_next_occasion(opened, call, monkeypatch):
    ranks = world()

    def take_away(store, turn):
        if call == "delete":
            for blob in store.list("t"):
                store.delete("t", blob)
        else:
            store.destroy("t", recursive=call == "destroy a folder")
    with opened(None, conf(2)) as store:
        routes = store._routes
        for turn, (thing, name) in enumerate([(routes, "settle"), (routes.net, "everywhere")][:1 if call == "delete" else 2]):
            if ranks.rank == 0:
                for n in range(20):
                    store.put("t", f"b{n}", data(n, 2000)), store.put("t/u", f"b{n}", data(n, 2000))

                def interrupted(*args, inner=getattr(thing, name)):
                    if name == "settle" or args[0] == "kept":
                        raise Interrupted
                    return inner(*args)
                for _ in range(20 if call == "delete" else 1):
                    with monkeypatch.context() as patched:
                        patched.setattr(thing, name, interrupted)
                        with pytest.raises(Interrupted):
                            take_away(store, turn)
                assert not store.exists("t") or call == "delete" and store.list("t") == []
                assert routes._left
                if turn:
                    store.put("other", "b", b"x")
                    assert not routes._left
            assert_copies_are_right(store, ranks)
            if ranks.rank == 0:
                store.destroy("t/u") if store.exists("t/u") else None
            assert_copies_are_right(store, ranks)
