"""Names of tags: several for one, renamed ones, folders of them. Model, crashes and several ranks: test_model.py, proof/renaming.py, test_naming_mpi.py."""

import numpy as np
import pytest

from wrp.cte.client import Client
from wrp.cte.naming.table import by_own, entry_of, linked, names_of, own_of, renamed, table_of, unnamed
from wrp.errors import Changed, NoSuchBlob, NoSuchTag, OutOfSpace, UsageError


def reopened(open_store, store):
    store.close()
    return open_store()


def test_the_table_says_what_a_dictionary_would():
    table = renamed({}, [("a", "b"), ("c", "d")], 5)
    assert own_of(table, "b") == "a" and own_of(table, "x") == "x" and own_of(table, "a") != "a"
    assert table_of(entry_of(*item).partition("\0")[2] for item in table.items()) == table
    table = linked(table, "e", "a")
    assert names_of(table, by_own(table), "a") == ["b", "e"] and names_of(table, by_own(table), "new") == ["new"]
    table = unnamed(renamed(table, [("b", "a")], 6), ["e"], 7)
    assert own_of(table, "a") == "a" and names_of(table, by_own(table), "a") == ["a"] and names_of(table, by_own(table), "e") == []


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
    assert store.tags() == [] and not store._names.table()
    assert all(store._tiers.free(target) == store._tiers.device(target).capacity for target in (0, 1))


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
