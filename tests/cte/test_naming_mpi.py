"""Names of tags that all ranks give and take away, on one node and on several: the same on 1, 2, 3 and 4."""

import random

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.naming import changing
from wrp.errors import Changed, NoSuchTag, UsageError

pytestmark = pytest.mark.mpi

NAMES = ("a", "d/x", "d/y", "d/y/z", "e/x")
FOLDERS = ("d", "e", "d/y", "f")


@pytest.fixture(params=["a folder", "memory"])
def place(request):
    return request.getfixturevalue("shared_folder") if request.param == "a folder" else None


def test_every_rank_sees_every_name(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        store.put("t", f"r{ranks.rank}", b"%d" % ranks.rank * 9)
        ranks.barrier("all is put")
        store.alias("t", f"name{ranks.rank}")
        ranks.barrier("all have named it")
        assert store.aliases("t") == ["t", *(f"name{rank}" for rank in range(ranks.size))]
        assert all(store.get(name, f"r{ranks.size - 1}") == b"%d" % (ranks.size - 1) * 9 for name in store.tags())
        ranks.barrier("all have looked")
        if ranks.rank == ranks.size - 1:
            store.destroy("t")
            store.put("t", "b", b"another")
            for rank in range(ranks.size - 1):
                store.destroy(f"name{rank}")
        ranks.barrier("renamed")
        last = f"name{ranks.size - 1}"
        assert store.tags() == [last, "t"] and len(store.list(last)) == ranks.size and store.list("t") == ["b"]
        assert store.blobs("t") == [("t", "b")] and {change.tag for change in store.changed()} == {last, "t"}
        ranks.barrier("all have looked")
        with store.batch("all ranks") as batch:
            batch.put(last, f"r{ranks.rank}", b"batch")
        assert {entry.tag for entry in batch.entries} == {last} and store.get(last, f"r{ranks.size - 1}") == b"batch"
        ranks.barrier("all have looked")
        store.flush_all()
        found = {name: store.get(*name) for name in store.blobs(".*")}
        ranks.barrier("all have looked")
    if place is not None:
        with Store.open(place, ranks) as store:
            assert {name: store.get(*name) for name in store.blobs(".*")} == found and len(found) == ranks.size + 1
            ranks.barrier("all have looked")


def test_what_the_store_makes_of_names_is_no_name(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        if ranks.rank == 0:
            store.put("t", "b", b"1")
            store.rename_tag("t", "u")
            store.put("t", "b", b"2")
        ranks.barrier("all is put")
        for name in ("\uffff", store.own_name("t")):
            assert not store.exists(name) and not store.exists(name, "b")
            for call in (store.list, store.infos, lambda name: store.get(name, "b")):
                with pytest.raises((NoSuchTag, UsageError)):
                    call(name)
            with pytest.raises(UsageError):
                store.put(name, "b", b"3")
        ranks.barrier("all have looked")


def test_of_those_who_want_a_name_one_gets_it(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        for turn in range(5):
            store.put(f"t{turn}/{ranks.rank}", "b", b"%d" % ranks.rank)
            ranks.barrier("all is put")
            try:
                (store.rename_tag if turn % 2 else store.alias)(f"t{turn}/{ranks.rank}", f"taken{turn}")
                got = True
            except Changed:
                got = False
            winners = [rank for rank, won in enumerate(ranks.gather(got, "who got the name")) if won]
            assert len(winners) == 1 and store.get(f"taken{turn}", "b") == b"%d" % winners[0]
            ranks.barrier("all have looked")


def test_a_tag_that_is_destroyed_while_it_gets_a_name_shares_nothing(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        for turn in range(8):
            if ranks.rank == 0:
                store.put(f"t{turn}", "x", b"old")
            ranks.barrier("it is there")
            try:
                if ranks.rank == 0:
                    store.alias(f"t{turn}", f"u{turn}")
                elif ranks.rank == 1:
                    store.destroy(f"t{turn}")
            except NoSuchTag:
                pass                    # it was destroyed before it got the name
            ranks.barrier("both are done")
            if ranks.rank == 0:
                kept = store.exists(f"u{turn}")
                assert kept == (ranks.size == 1 or f"u{turn}" in store.tags())
                store.put(f"t{turn}", "x", b"new")
                assert not kept or ranks.size == 1 or store.get(f"u{turn}", "x") == b"old"
                store.put(f"u{turn}", "x", b"other")
                assert store.get(f"t{turn}", "x") == (b"new" if ranks.size > 1 else b"other")
            ranks.barrier("compared")


def test_a_flush_of_who_destroys_a_tag_makes_it_last(shared_folder):
    ranks = world()
    with Store.open(shared_folder, ranks) as store:
        for number in range(6):
            store.put("t", f"{ranks.rank}/{number}", b"x")
        store.flush_all()
        if ranks.rank == ranks.size - 1:
            store.destroy("t")
            store.flush()
        ranks.barrier("destroyed and flushed")
        here = getattr(store, "_here", store)
        assert not here._changes.owed and store.tags() == []
        ranks.barrier("all have looked")


def test_who_makes_a_tag_and_who_takes_its_name_lose_nothing(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        if ranks.rank == 0:
            store.put("t", "b", b"t")
        ranks.barrier("begin")
        for turn in range(6):
            put = False
            try:
                if ranks.rank == 0:
                    store.alias("t", f"n{turn}")
                else:
                    store.put(f"n{turn}", f"r{ranks.rank}", b"%d" % ranks.rank)
                    put = True
            except Changed:
                pass                    # whoever was first has the name
            puts = ranks.gather(put, "who has put")
            for rank, done in enumerate(puts):
                assert not done or store.get(f"n{turn}", f"r{rank}") == b"%d" % rank
            ranks.barrier("all have looked")


def test_a_batch_that_is_refused_says_the_same_on_every_rank(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        if ranks.rank == 0:
            store.put("t", "b", b"t")
        ranks.barrier("begin")
        for kind, wrong in ((Changed, lambda batch: store.alias("t", "new")), (UsageError, lambda batch: batch.remove("new"))):
            with pytest.raises(kind, match="'new'") as refused:
                with store.batch("under way") as batch:
                    batch.put("new" if kind is Changed else "other", f"r{ranks.rank}", b"2")
                    if ranks.rank == ranks.size - 1:
                        wrong(batch)
            assert len(set(ranks.gather(str(refused.value), "what each rank was told"))) == 1
            assert store.tags() == ["new", "t"] and store.list("new") == ["b"]
            ranks.barrier("all have looked")


def test_a_change_costs_what_it_changes_not_what_there_is(place, monkeypatch):
    ranks = world()
    with Store.open(place, ranks) as store:
        looks, sizes, catalog = [], [], store._parts.catalog
        names_held = catalog.names_held
        monkeypatch.setattr(catalog, "names_held", lambda tag: looks.append(tag) or names_held(tag))
        if ranks.rank == 0 and ranks.nodes > 1:
            channel = store._net._asking._channel
            monkeypatch.setattr(store._net._asking, "_channel", lambda nbytes: sizes.append(nbytes) or channel(nbytes))
        if ranks.rank == 0:
            store.put("t", "b", b"t")
        for turn in range(4):
            if ranks.rank == 0:
                for number in range(100 * turn, 100 * turn + 100):
                    store.alias("t", f"alias {number}")
            ranks.barrier("named")
            assert store.own_name(f"alias {100 * turn}") == "t" == store.own_name(f"alias {100 * turn + 99}")
            ranks.barrier("looked")
        if ranks.rank == 0:
            for number in range(100):
                store.rename_tag(f"alias {number}", f"other {number}")
        ranks.barrier("renamed")
        assert len(store.aliases("other 99")) == 401 and len(looks) <= 1 and max(sizes, default=0) < 200, (looks, max(sizes, default=0))
        ranks.barrier("looked again")


def test_who_sees_a_change_first_is_served_by_homes_that_do_not_know_it_yet(place, monkeypatch):
    ranks = world()
    with Store.open(place, ranks) as store:
        if ranks.nodes == 1:
            pytest.skip("one node knows a change at one moment")
        if ranks.rank == 0:
            ask, blobs, looks = store._naming._ask, [f"b{number}" for number in range(8)], []

            def looking(nodes, call, *args):
                if call == "take_names":
                    looks.pop()()
                return ask(nodes, call, *args)

            def look(name, before):
                assert [store.get(name, blob) for blob in blobs[:4]] == [before] * 4
                for blob in blobs:
                    store.put(name, blob, name.encode())
            monkeypatch.setattr(store._naming, "_ask", looking)
            for blob in blobs[:4]:
                store.put("t", blob, b"first")
            looks.append(lambda: look("u", b"first"))
            store.alias("t", "u")
            looks.append(lambda: look("v", b"u"))
            store.rename_tag("u", "v")
            assert not looks and [store.get(name, blob) for name in "tv" for blob in blobs] == [b"v"] * 16
        ranks.barrier("named")
        assert store.aliases("t") == ["t", "v"] and store.tags() == ["t", "v"]
        ranks.barrier("all have looked")


@pytest.mark.parametrize("is_made_again", [False, True])
def test_who_still_means_a_tag_by_a_name_that_it_had_is_refused_at_its_home(place, is_made_again):
    ranks = world()
    with Store.open(place, ranks) as store:
        if ranks.rank == 0:
            store.create("a"), store.rename_tag("a", "c")
        ranks.barrier("renamed")
        found = store._own("c")
        ranks.barrier("all have found it")
        if ranks.rank == 0:
            store.destroy("c")
            store._tag_names.unused += ["none"] * 512
            store.create("other"), store.alias("other", "another")
            assert "a" not in store._tag_names.table().owns
            if is_made_again:
                store.put("a", "mine", b"1")
        ranks.barrier("the own name is free, or another tag's")
        for number in range(6):
            for late in (lambda: store.put(found, f"b{number}", b"late"), lambda: store.append(found, f"b{number}", b"x" * 100_000), lambda: store.create(found)):
                with pytest.raises(Changed, match="'c' was given to another tag, or taken away"):
                    late()
        ranks.barrier("all were refused")
        assert store.tags() == ["a"] * is_made_again + ["another", "other"] and (not is_made_again or store.list("a") == ["mine"])
        ranks.barrier("all have looked")


def test_folders_move_as_one(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        if ranks.rank == 0:
            for number in range(20):
                store.put(f"f0/{number}", "b", b"%d" % number)
        ranks.barrier("all is put")
        for turn in range(6):
            if ranks.rank == turn % ranks.size:
                store.rename_folder(f"f{turn}", f"f{turn + 1}")
            else:
                for _ in range(20):
                    seen = [len(store.children(f"f{number}")) for number in (turn, turn + 1)]
                    assert set(seen) <= {0, 20}
            ranks.barrier(f"turn {turn}")
        assert [store.get(tag, "b") for tag in store.tags()] == [b"%d" % number for number in range(20)]
        ranks.barrier("all have looked")
        if ranks.rank == ranks.size - 1:
            store.destroy("f6", recursive=True)
        ranks.barrier("destroyed")
        assert store.tags() == []
        store.flush_all()
    if place is not None:
        with Store.open(place, ranks) as store:
            assert store.tags() == [] and not store._tag_names.table().owns
            ranks.barrier("all have looked")


def test_what_ranks_name_and_destroy_at_once_is_never_anothers(place, monkeypatch):
    """Each rank has one tag at a time, which it makes, renames to a name that others want, too, and destroys. Own names are used again soon."""
    ranks = world()
    monkeypatch.setattr(changing, "_UNUSED", 1)
    made, name, blobs = random.Random(ranks.rank), None, {}
    with Store.open(place, ranks) as store:
        for turn in range(150):
            call = made.choice(("rename", "rename", "put", "put", "destroy", "destroy_folder")) if name is not None else "make"
            try:
                if call == "make":
                    wanted, blobs = f"r{ranks.rank}/{made.randrange(2)}", {"who": b"%d" % ranks.rank}
                    store.put(wanted, "who", blobs["who"])
                    name = wanted
                elif call == "rename":
                    wanted = made.choice((f"s{made.randrange(3)}", f"r{ranks.rank}/{made.randrange(2)}"))
                    store.rename_tag(name, wanted)
                    name = wanted
                elif call == "put":
                    blob, data = f"b{made.randrange(8)}", b"%d:%d" % (ranks.rank, turn)
                    store.put(name, blob, data)
                    blobs[blob] = data
                else:
                    store.destroy(name, recursive=call == "destroy_folder")
                    name = None
            except Changed:
                pass                    # another has the name, or is about to drop what is left of it
            if name is not None:
                assert {blob: store.get(name, blob) for blob in store.list(name)} == blobs, (turn, call, name)
        if name is not None:
            store.destroy(name)
        ranks.barrier("all is destroyed")
        assert store.tags() == []
        ranks.barrier("all have looked")


@pytest.mark.parametrize("seed", [1, 2])
def test_random_names_given_by_random_ranks_are_those_of_a_dictionary(place, seed, monkeypatch):
    """The ranks draw the same calls; each is made by one of them, then all compare. Names of destroyed tags are used again soon."""
    monkeypatch.setattr(changing, "_UNUSED", seed - 1)
    ranks = world()
    made, known = random.Random(seed), {}
    with Store.open(place, ranks) as store:
        for turn in range(24):
            _one_call(store, ranks, made, known, turn)
            ranks.barrier(f"call {turn}")
            assert store.tags() == sorted(known)
            assert all(store.get(name, "b") == blob[0] for name, blob in known.items())
            ranks.barrier("compared")
    if place is not None:
        with Store.open(place, ranks) as store:
            assert {name: store.get(name, "b") for name in store.tags()} == {name: blob[0] for name, blob in known.items()}
            assert all(set(store.aliases(name)) == {other for other in known if known[other] is known[name]} for name in known)
            ranks.barrier("compared")


def _one_call(store, ranks, made, known, turn):
    call = made.choice(("put", "put", "alias", "alias", "rename_tag", "destroy", "rename_folder", "destroy_folder", "flush"))
    first, second = (made.choice(FOLDERS if call.endswith("folder") else NAMES) for _ in range(2))
    if made.randrange(ranks.size) == ranks.rank:
        try:
            if call == "put":
                store.put(first, "b", b"%d" % turn)
            elif call == "flush":
                store.flush()
            elif call.startswith("destroy"):
                store.destroy(first, recursive=call == "destroy_folder")
            else:
                getattr(store, call)(first, second)
        except (Changed, NoSuchTag, UsageError):
            pass
    inside = [name for name in known if name == first or name.startswith(first + "/")]
    moved = {name: second + name[len(first):] for name in inside}
    if call == "put":
        known.setdefault(first, [b""])[0] = b"%d" % turn
    elif call in ("alias", "rename_tag") and first in known and second not in known:
        known[second] = known[first] if call == "alias" else known.pop(first)
    elif call == "destroy":
        known.pop(first, None)
    elif call == "destroy_folder" or call == "rename_folder" and not (second + "/").startswith(first + "/") and not set(moved.values()) & set(known):
        blobs = {name: known.pop(name) for name in inside}
        if call == "rename_folder":
            known.update((moved[name], blobs[name]) for name in inside)
