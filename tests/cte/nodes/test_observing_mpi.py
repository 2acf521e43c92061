"""What other nodes were asked for and hold, asked by any rank: the same as each says of itself."""

import pytest
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.client import Client
from wrp.cte.nodes import answering
from wrp.cte.telemetry import Op, identity
from wrp.errors import UsageError

pytestmark = pytest.mark.mpi
PLAIN = "storage: [{path: 'ram::m', capacity_limit: 16m}]\n"


def put_by_all(ranks, store, count=20):
    for number in range(count):
        store.put("t", f"{ranks.rank}-{number}", bytes(100 * (number + 1)))
    ranks.barrier("all have put")


def test_telemetry_of_every_node_is_what_it_says_itself(opened):
    ranks = world()
    with opened(None, PLAIN) as store:
        put_by_all(ranks, store)
        store.alias("t", "other")
        polls = dict(ranks.gather((ranks.node, store.telemetry()), "what each node says of itself"))
        assert {entry.node for node, poll in polls.items() for entry in poll.entries if entry.node != node} == set()
        for node, poll in polls.items():
            assert store.telemetry(node=node) == poll
            some = store.telemetry(3, 5, node)
            assert some.entries == [entry for entry in poll.entries if entry.logical_time >= 3][:5] and some.last == some.entries[-1].logical_time
            assert store.telemetry(poll.last + 1, node=node) == (poll.last, [], 0)
        every = store.telemetry(node="all")
        assert sorted(every.entries, key=lambda entry: (entry.node, entry.logical_time)) == [entry for node in range(ranks.nodes) for entry in polls[node].entries]
        assert every.last == tuple(polls[node].last for node in range(ranks.nodes)) and every.lost == 0
        latest, times = [0] * ranks.nodes, []           # ranks of one node may look at the clock in another order than they take their turns
        for entry in every.entries:
            latest[entry.node] = max(latest[entry.node], entry.read_time or entry.mod_time)
            times.append(latest[entry.node])
        assert sorted(times) == times and sum(entry.op == Op.PUT_BLOB for entry in every.entries) == 20 * ranks.size
        entries, part = [], store.telemetry(limit=7, node="all")
        while part.entries:
            entries += part.entries
            part = store.telemetry([last + 1 for last in part.last], 7, "all")
        assert entries == every.entries and store.telemetry([last + 1 for last in every.last], node="all") == (every.last, [], 0)
        log = Client(store).poll_telemetry_log(0, "broadcast")
        assert [(entry.node, entry.logical_time) for entry in log.entries] == [(entry.node, entry.logical_time) for entry in every.entries]
        assert Client(store).poll_telemetry_log(0, f"physical:{ranks.nodes - 1}").last_logical_time == every.last[-1]
        assert {entry.tag for entry in every.entries if entry.op == Op.PUT_BLOB} == {identity("t")}
        ranks.barrier("all have looked")


def test_a_long_ring_comes_in_parts_however_fast_it_fills(opened, monkeypatch):
    """More than an answer has, while its node notes more: what there was at the first question comes, and the wait ends."""
    ranks = world()
    monkeypatch.setattr(answering, "_ENTRIES", 8)
    with opened(None, PLAIN) as store:
        put_by_all(ranks, store)
        before = dict(ranks.gather((ranks.node, store.telemetry().last), "how much each has noted"))
        if ranks.rank == 0:
            node, asked, begin = ranks.nodes - 1, [], store._net._asking.begin
            home = next(blob for blob in map(str, range(1000)) if store._routes.home("t", blob) == node)

            def slow(to, call, *args):      # between two questions the ring goes on by more than one answer has
                if call == "noted":
                    asked.append(args)
                    store._net._asking.begin = begin
                    for number in range(9):
                        store.put("t", home, bytes(number))
                    store._net._asking.begin = slow
                return begin(to, call, *args)
            store._net._asking.begin = slow
            poll = store.telemetry(node=node)
            assert before[node] + 9 <= poll.last < before[node] + 9 + 8 and len(asked) == -(-(before[node] + 1 + 9) // 8)
            assert [entry.logical_time for entry in poll.entries] == list(range(poll.last + 1)) and poll.lost == 0
        ranks.barrier("all have looked")


def test_statistics_of_every_node_are_what_it_says_itself(opened):
    ranks = world()
    with opened(None, PLAIN + "targets: {cache: 1m}\n") as store:
        put_by_all(ranks, store)
        store.get("t", f"{(ranks.rank + 1) % ranks.size}-19")
        ranks.barrier("all have got")
        if ranks.rank == 0:
            store.alias("t", "again"), store.put(f"only {ranks.rank}", "x", b"123")
        ranks.barrier("one tag has two names")
        said = dict(ranks.gather((ranks.node, store.statistics()), "what each node says of itself"))
        for node, wanted in said.items():
            found = store.statistics(node)
            assert found == wanted and found.targets[0].counts == wanted.targets[0].counts
        every = store.statistics("all")
        names = set(store.tags()) - {"again"} if "t" in every.tags else set(store.tags()) - {"t"}
        assert set(every.tags) == names
        tag = every.tags["t" if "t" in every.tags else "again"]
        assert (tag.blobs, tag.nbytes, tag.nbytes) == (20 * ranks.size, store.tag_size("t"), sum(tag.by_target.values())) and tag.reads == ranks.size
        assert {store.target_name(number) for number in every.targets} == {f"ram of node {node}" for node in range(ranks.nodes)}
        assert sum(target.nbytes for target in every.targets.values()) == tag.nbytes + 3
        assert every.index == tuple(map(sum, zip(*(part.index for part in said.values())))) and every.cache == tuple(map(sum, zip(*(part.cache for part in said.values()))))
        ranks.barrier("all have looked")


def test_refusals_and_stores_that_only_read(opened, shared_folder):
    ranks = world()
    with opened(shared_folder, "{}") as store:
        for call in (lambda node: store.telemetry(node=node), store.statistics):
            for wrong in (ranks.nodes, -1, "every", 0.5):
                with pytest.raises(UsageError, match="no node|no whole number"):
                    call(wrong)
        with pytest.raises(UsageError, match="one for each"):
            store.telemetry([0] * (ranks.nodes + 1), node="all")
        with pytest.raises(UsageError, match="ask by local, physical:N or broadcast"):
            Client(store).poll_telemetry_log(0, "direct_hash:5")
        store.put("t", f"{ranks.rank}", b"1")
    with Store.open(shared_folder, ranks, write=False) as store:
        assert store.statistics(ranks.node).tags["t"].blobs == ranks.size
        for node in ("all", (ranks.node + 1) % ranks.nodes):
            with pytest.raises(UsageError, match="asks no other node"):
                store.statistics(node)
            with pytest.raises(UsageError, match="asks no other node"):
                store.telemetry(node=node)
        ranks.barrier("all have looked")
