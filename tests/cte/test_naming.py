"""Names of tags: several for one, renamed ones, folders of them. Model, crashes and several ranks: test_model.py, proof/renaming.py, test_naming_mpi.py."""

import ctypes
import random
import sys

import msgpack
import numpy as np
import pytest

from wrp.cte.client import Client
from wrp.cte.names import Own
from wrp.cte.naming.latest import NBYTES, Latest
from wrp.cte.naming.table import Table, entry_of, table_of
from wrp.errors import Changed, NoSuchBlob, NoSuchTag, OutOfSpace, UsageError


def reopened(open_store, store):
    store.close()
    return open_store()


def test_the_table_says_what_a_dictionary_would():
    table = Table(Table().renamed([("a", "b"), ("c", "d")], 5))
    assert table.own_of("b") == "a" and table.own_of("x") == "x" and table.own_of("a") != "a"
    assert table_of(entry_of(*item).partition("\0")[2] for item in table.owns.items()).owns == table.owns
    table.apply(table.linked("e", "a"))
    assert table.names_of("a") == ["b", "e"] and table.names_of("new") == ["new"]
    table.apply(table.renamed([("b", "a")], 6))
    table.apply(table.unnamed(["e"], 7))
    assert table.own_of("a") == "a" and table.names_of("a") == ["a"] and set(table.owns) == {"c", "d"}


def test_a_name_that_changes_stands_for_the_old_or_the_new_at_every_step():
    table, seen = Table({"a": "x", "\uffffc": "\uffffx"}), set()

    def look(*_):
        seen.add((str(table.own_of("a")), str(table.sources.get("c"))))
        return look
    before = sys.gettrace()
    sys.settrace(look)
    try:
        table.apply({"a": "y", "\uffffc": "\uffffy"})
    finally:
        sys.settrace(before)
    assert seen == {("x", "x"), ("y", "x"), ("y", "y")}


@pytest.mark.parametrize("seed", range(3))
def test_a_table_that_changes_is_what_a_new_one_would_be(seed):
    made, table = random.Random(seed), Table()
    for stamp in range(300):
        name, other = (made.choice("abcdef") for _ in range(2))
        call = made.choice(("link", "rename", "unname", "source", "unsource", "drop"))
        change = {"link": lambda: table.linked(name, table.own_of(other)), "rename": lambda: table.renamed([(name, other)], stamp),
                  "unname": lambda: table.unnamed([name, other], stamp), "source": lambda: table.sourced(name, other), "unsource": lambda: table.unsourced({name}),
                  "drop": lambda: table.dropped([name, other], set())}[call]()
        table.apply(change)
        new = Table(table.owns)
        assert all(getattr(table, each) == getattr(new, each) for each in ("owns", "named", "sources", "checkpoints")), (stamp, call, name, other)
        assert all(type(own) is Own and own.given == name for name, own in table.owns.items() if name[0] != "\uffff")


def test_the_latest_changes_are_known_or_said_not_to_be():
    memory = ctypes.create_string_buffer(NBYTES)
    latest, changes = Latest(ctypes.addressof(memory)), {}
    assert latest.since(0, 0) == [] and latest.since(0, 1) is None
    for number in range(1, 2000):
        changes[number] = {f"name {number}": "x" * (number % 500), "gone": None}
        latest.add(number, changes[number])
        if number > 20 and number % 50:
            continue
        known = next(seen for seen in reversed(range(-1, number)) if seen < 0 or latest.since(seen, number) is None) + 1
        assert number - known >= min(number, 40)
        assert latest.since(known, number) == [changes[each] for each in range(known + 1, number + 1)]
    latest.add(2000, {"long": "x" * NBYTES})
    assert latest.since(1999, 2000) is None and latest.since(2000, 2000) == []
    latest.add(2001, {"a": "b"})
    latest.add(2003, {"c": "d"})
    assert latest.since(2001, 2003) is None and latest.since(2002, 2003) is None


@pytest.mark.parametrize("ram", ["8m", "64k"])
def test_a_tag_has_all_its_names(open_store, ram):
    store = open_store(ram=ram)
    store.put("t", "a", b"a" * 100_000)
    store.flush()
    generation = store.info("t", "a").stamp
    store.alias("t", "u"), store.alias("u", "v"), store.alias("v", "t")
    assert store.tags() == store.aliases("v") == ["t", "u", "v"] and len({store.tag_stamp(tag) for tag in store.tags()}) == 1
    store.put("u", "b", b"b")
    store.append("v", "b", b"!")
    with store.batch("by another name") as batch:
        batch.put("v", "c", b"c")
    assert [entry.tag for entry in batch.entries] == ["t"]
    assert store.blobs("t|v") == [(tag, blob) for tag in "tv" for blob in "abc"] and store.tag_size("u") == 100_003
    store.destroy("t")
    with pytest.raises(NoSuchTag, match="no tag 't'"):
        store.get("t", "a")
    store.rename_tag("v", "w")
    assert store.tags() == ["u", "w"] and store.info("w", "a").stamp == generation
    with pytest.raises(NoSuchBlob, match="'x' in tag 'w'"):
        store.get("w", "x")
    assert store.get(np.array(["w"])[0], "b") == b"b!"
    store.put("t", "a", b"another")
    store = reopened(open_store, store)
    assert store.get("w", "a") == b"a" * 100_000 and store.get("t", "a") == b"another" and store.aliases("u") == ["u", "w"]
    assert {change.tag for change in store.changed()} == {"t", "u"} == set(store.statistics().tags) and store.changed(pattern="w")[-1].tag == "w"
    store.destroy("w"), store.destroy("u")
    store = reopened(open_store, store)
    assert store.blobs(".*") == [("t", "a")]
    store.destroy("t")
    store = reopened(open_store, store)
    assert store.tags() == [] and not store._tag_names.table().owns
    assert all(store._tiers.free(target) == store._tiers.device(target).capacity for target in (0, 1))


def test_names_that_go_leave_nothing_however_many_there_were(open_store):
    """10 000 of each: the table, the index and its memory are as after the first of them."""
    store = open_store(memory=True)
    store.put("t", "b", b"1"), store.rename_tag("t", "0")

    def rename(number):
        store.rename_tag(str(number), str(number + 1))

    def make(number):
        store.create(f"made {number}")
        store.destroy(f"made {number}")

    def make_and_rename(number):
        store.create(f"made {number}"), store.rename_tag(f"made {number}", f"renamed {number}")
        store.destroy(f"renamed {number}")

    def alias(number):
        store.alias("t again", f"alias {number}")
        store.destroy(f"alias {number}")

    def taken():
        return len(store._tag_names.table().owns), len(store._catalog), store._catalog.statistics().nbytes
    for call, count, most in ((rename, 10_000, 2), (make, 10_000, 2), (make_and_rename, 2000, 2 * 2 * 256), (alias, 1000, 2 * 2 * 256)):
        if call is alias:
            store.rename_tag("10000", "t again")
        for number in range(600):
            call(number)
        most, before = max(most, len(store._tag_names.table().owns)), taken()
        for number in range(600, count):
            call(number)
            assert number % 50 or len(store._tag_names.table().owns) <= most
        after = taken()
        assert after[2] <= before[2] + 4096 and after[1] - after[0] == before[1] - before[0] == 3, (call, before, after)
    assert store.tags() == ["t again"] and store.get("t again", "b") == b"1"
    store.put("made 3", "b", b"3"), store.put("renamed 1999", "b", b"4")
    assert store.tags() == ["made 3", "renamed 1999", "t again"]


def test_a_change_costs_what_it_changes_not_what_there_is(open_store, monkeypatch):
    store, frames, looks = open_store(), [], []
    append, names_held = store._parts.journal.append, store._catalog.names_held
    monkeypatch.setattr(store._parts.journal, "append", lambda change, *rest: frames.append(len(msgpack.packb(change))) or append(change, *rest))
    monkeypatch.setattr(store._catalog, "names_held", lambda tag: looks.append(tag) or names_held(tag))
    store.put("t", "b", b"1")
    for number in range(1000, 1400):
        store.alias("t", f"alias {number}")
        assert store.own_name(f"alias {number}") == "t"
    assert len(frames) == 400 and max(frames) < min(frames) + 8 and len(looks) <= 1
    del frames[:]
    for number in range(1000, 1100):
        store.rename_tag(f"alias {number}", f"other {number}")
    for number in range(1100, 1200):
        store.destroy(f"alias {number}")
    assert len(frames) == 200 and max(frames) < 400 and len(looks) <= 1 and len(store.aliases("t")) == 301


@pytest.mark.parametrize("is_made_again", [False, True])
def test_who_still_means_a_tag_by_a_name_that_it_had_is_refused(open_store, is_made_again):
    """The own name that a call has found is free again, and another tag may have it, before the call gets on."""
    store = open_store()
    store.create("a"), store.rename_tag("a", "c")
    store._tag_names.unused += ["none"] * 512
    found = store._own("c")
    batch = store.batch("begun before")
    batch.put("c", "b", b"late")
    store.destroy("c")
    store.put("other", "mine", b"1")
    store._tag_names.unused += ["none"] * 512
    store.create("x"), store.alias("x", "y")
    assert not {"a", "c"} & set(store._tag_names.table().owns)
    if is_made_again:
        store.put("a", "mine", b"1")
    for late in (lambda: store._changes.create(found), lambda: store._changes.publish(found, "b", (), 0), batch.commit, lambda: store.rename("other", "mine", "b", found),
                 lambda: store.put(found, "b", b"x" * 100_000, offset=3), lambda: store.snapshot("other", found)):
        with pytest.raises((Changed, NoSuchTag)):
            late()
    assert store.tags() == ["a"] * is_made_again + ["other", "x", "y"] and (not is_made_again or store.list("a") == ["mine"])
    store.put("c", "b", b"2")
    assert store.get("c", "b") == b"2" and store.aliases("c") == ["c"]


def test_a_name_that_keeps_another_from_a_tag_lasts_as_long_as_there_is_one(open_store):
    store = open_store()
    store.put("c", "b", b"y"), store.rename_tag("c", "y")
    store.put("a", "b", b"1"), store.rename_tag("a", "c")
    store.destroy("c")                      # `c` stands for the own name a, which no tag has, since y has the own name c
    for turn in range(3):
        if turn == 1:
            store = reopened(open_store, store)
        store.put("c", "b", b"c")
        assert store.tags() == ["c", "y"] and store.get("y", "b") == b"y"
        store.destroy("c")
        store._tag_names.unused += ["none"] * 512
        store.alias("y", "z"), store.destroy("z")
    store.put("c", "b", b"c"), store.put("a", "b", b"a")
    store = reopened(open_store, store)
    assert {tag: store.get(tag, "b") for tag in store.tags()} == {"a": b"a", "c": b"c", "y": b"y"}


REFUSALS = [
    (NoSuchTag, lambda store: store.alias("none", "x")), (Changed, lambda store: store.alias("t", "d/x")), (UsageError, lambda store: store.alias("t", "")),
    (NoSuchTag, lambda store: store.rename_tag("none", "x")), (Changed, lambda store: store.rename_tag("t", "t")), (UsageError, lambda store: store.alias("t", "\uffff")),
    (Changed, lambda store: store.rename_folder("d", "d")), (UsageError, lambda store: store.rename_folder("d", "d/deep")),
    (NoSuchTag, lambda store: store.rename_folder("none", "x")), (Changed, lambda store: store.rename_folder("d", "e")),
    (UsageError, lambda store: store.rename_folder("d", "e" * 4095)), (NoSuchTag, lambda store: store.destroy("none", recursive=True)),
    (NoSuchTag, lambda store: store.aliases("none")), (UsageError, lambda store: store.put("\uffff", "b", b"1")), (UsageError, lambda store: store.create("a\uffff1")),
]


@pytest.mark.parametrize("number", range(len(REFUSALS)))
def test_what_is_refused_changes_nothing(open_store, number):
    store = open_store()
    for tag in ("t", "d/x", "d/y", "e/y"):
        store.put(tag, "b", tag.encode())
    kind, call = REFUSALS[number]
    with pytest.raises(kind):
        call(store)
    assert store.tags() == ["d/x", "d/y", "e/y", "t"]
    store = reopened(open_store, store)
    assert [store.get(tag, "b") for tag in store.tags()] == [b"d/x", b"d/y", b"e/y", b"t"]


@pytest.mark.parametrize("is_renamed", [False, True])
def test_what_the_store_makes_of_names_is_no_name(open_store, is_renamed):
    store = open_store()
    store.put("t", "b", b"1")
    if is_renamed:
        store.rename_tag("t", "u")
        store.put("t", "b", b"2")
    for name in ["\uffff", "\uffff\uffff", *(own for own in map(store.own_name, store.tags()) if "\uffff" in own)]:
        assert not store.exists(name) and not store.exists(name, "b")
        for call in (store.list, store.infos, store.aliases, store.destroy, store.tag_size, store.tag_stamp, lambda name: store.get(name, "b"), lambda name: store.view(name, "b")):
            with pytest.raises((NoSuchTag, UsageError)):
                call(name)
    assert store.get("t", "b") == (b"2" if is_renamed else b"1")


def test_folders_of_tags(open_store):
    store = open_store()
    for tag in ("run", "run/10/a", "run/9/a", "run/9/b/c", "runs", "other/9"):
        store.put(tag, "b", tag.encode())
    assert store.children() == [("other", False, True), ("run", True, True), ("runs", True, False)]
    assert store.children("run") == [("run/9", False, True), ("run/10", False, True)] and store.children("runs") == store.children("none") == []
    store.rename_folder("run", "done/run")
    assert store.tags() == ["done/run", "done/run/9/a", "done/run/9/b/c", "done/run/10/a", "other/9", "runs"]
    assert store.get("done/run/9/b/c", "b") == b"run/9/b/c" and store.children("done") == [("done/run", True, True)]
    store.put("run/9/a", "b", b"new")
    store.alias("done/run/9/a", "kept")
    store.destroy("done/run/9", recursive=True)
    assert store.tags() == ["done/run", "done/run/10/a", "kept", "other/9", "run/9/a", "runs"]
    store = reopened(open_store, store)
    assert store.tags() == ["done/run", "done/run/10/a", "kept", "other/9", "run/9/a", "runs"]
    assert store.get("kept", "b") == b"run/9/a" and store.get("run/9/a", "b") == b"new"
    store.destroy("done", recursive=True)
    store = reopened(open_store, store)
    assert store.tags() == ["kept", "other/9", "run/9/a", "runs"]


def test_a_folder_that_goes_leaves_no_name_of_its_tags(open_store):
    store = open_store()
    store.put("f/a", "x", b"1")
    store.alias("f/a", "f/b")
    store.put("g", "x", b"1")
    store.rename_tag("g", "f/c")
    store.destroy("f", recursive=True)
    assert store.tags() == []
    for turn in range(2):
        for tag in ("f/a", "f/b", "f/c", "g"):
            store.put(tag, "x", tag.encode())
        assert {tag: store.get(tag, "x").decode() for tag in store.tags()} == {tag: tag for tag in ("f/a", "f/b", "f/c", "g")}
        store = reopened(open_store, store)


def test_destroying_a_folder_looks_through_its_names_a_fixed_number_of_times(open_store, monkeypatch):
    class Names(list):
        looks = 0

        def __iter__(self):
            Names.looks += 1
            return super().__iter__()
    store = open_store()
    for number in range(100):
        store.put(f"f/{number}", "b", b"1")
    in_folder = store._naming._in_folder
    monkeypatch.setattr(store._naming, "_in_folder", lambda folder: Names(in_folder(folder)))
    store.destroy("f", recursive=True)
    assert store.tags() == [] and 0 < Names.looks < 10


def test_a_name_without_room_in_the_catalog_never_was(open_store, monkeypatch):
    store = open_store()
    store.put("t", "b", b"x")
    monkeypatch.setattr(store._catalog, "_slots", 2)
    for call in (store.alias, store.rename_tag):
        with pytest.raises(OutOfSpace, match="raise runtime.index_slots"):
            call("t", "new")
    assert store.tags() == ["t"]
    monkeypatch.undo()
    assert reopened(open_store, store).tags() == ["t"]


def test_a_compression_goes_with_its_tag(open_store):
    store = open_store()
    store.set_compression("t", "zlib fast")
    store.put("t", "b", bytes(9000))
    store.rename_tag("t", "u")
    store = reopened(open_store, store)
    store.put("u", "c", bytes(9000)), store.put("t", "c", bytes(9000))
    assert store.info("u", "c").stored < 900 and store.info("t", "c").stored == 9000 and store.compression("u") is not None


def test_a_batch_does_not_remove_a_tag_with_other_names(open_store):
    store = open_store()
    store.put("t", "b", b"1")
    store.alias("t", "u")
    with pytest.raises(UsageError, match="'t' is also named 'u'"):
        with store.batch("removes") as batch:
            batch.remove("u")
    store.destroy("u")
    with store.batch("removes") as batch:
        batch.remove("t")
    assert store.tags() == []


def test_a_name_that_another_got_meanwhile_is_no_place_for_a_tag(open_store):
    store = open_store()
    store.put("t", "b", b"1")
    before = store._own("new")
    with pytest.raises(Changed, match="'new' was given to another tag"):
        with store.batch("under way") as batch:
            batch.put("new", "b", b"2")
            store.alias("t", "new")
    with pytest.raises(Changed, match="'new' was given to another tag"):
        store._changes.create(before)
    store.flush()
    store.destroy("t")
    assert store.get("new", "b") == b"1" and store.tags() == ["new"]


def test_the_client_s_calls(open_store):
    with Client(open_store()) as client:
        tag = client.get_or_create_tag("t")
        client.put_blob(tag, "b", 0, None, b"words of it")
        assert client.get_or_create_tag_alias(tag, "u") == tag == client.get_or_create_tag("u") and client.get_num_aliases(tag) == 2
        assert client.rename_tag("u", "d/v") == tag and client.get_tag_name(tag) == "t" and client.get_blob("d/v", "b") == b"words of it"
        assert [found.tag for found in client.semantic_search("words")] == ["d/v"] and client.get_child_tags("d") == [("d/v", True, False)]
        client.rename_folder("d", "e")
        assert client.tag_query("e/.*").results == ["e/v"]
        assert {entry.tag_id for entry in client.poll_telemetry_log().entries if entry.op.name == "PUT_BLOB"} == {tag}
        client.del_tag(tag)
        assert client.tag_query(".*").total == 0
