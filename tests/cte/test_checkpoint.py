"""Checkpoint tags: what they haven't got is their source's. Several ranks and nodes: test_checkpoint_mpi.py."""

import random
import subprocess
import sys
from collections import ChainMap

import numpy as np
import pytest

from harness.mpirun import job_environment
from wrp.cte import Store
from wrp.cte.client import Client
from wrp.cte.crypt import Key
from wrp.cte.naming.settling import settled
from wrp.cte.naming.table import Table, entry_of, table_of
from wrp.cte.records import BLOB, TAG, Record
from wrp.errors import Changed, NoSuchBlob, NoSuchTag, RangeError, UsageError

BIG = bytes(range(256)) * 800


def reopened(open_store, store):
    store.close()
    return open_store()


def test_sources_stand_in_the_table_of_names():
    table = Table(Table().renamed([("a", "b")], 5))
    table.apply(table.sourced("c", "a") | table.sourced("a\uffff5", "c"))
    assert table_of(entry_of(*item).partition("\0")[2] for item in table.owns.items()).owns == table.owns
    assert table.sources == {"c": "a", "a\uffff5": "c"} and set(table.named) == {"a", "a\uffff5"} and table.checkpoints == {"a": ["c"], "c": ["a\uffff5"]}
    for gone, left in (({"c"}, {}), ({"a\uffff5"}, {"c": "a"})):
        other = Table(table.owns)
        other.apply(other.unsourced(gone))
        assert other.sources == left
    entries = [entry_of(*item) for item in Table().sourced("c", "a").items()]
    kept = {name: Record(name, TAG) for name in ("\uffff", "a", "c")} | {name: Record(name, BLOB) for name in entries}
    assert settled(dict(kept)) == kept
    del kept["c"]
    assert set(settled(dict(kept))) == {"\uffff", "a"}


@pytest.mark.parametrize("memory", [True, False])
def test_what_it_has_not_got_is_its_sources(open_store, memory):
    store = open_store(memory)
    store.put("t", "a", b"aaaa"), store.put("t", "b", BIG), store.put("other", "a", b"other")
    store.checkpoint("c", "t")
    assert store.get("c", "a") == bytes(store.view("c", "a")) == b"aaaa" and store.get("c", "b", 256, 3) == b"\0\1\2"
    assert store.exists("c", "b") and not store.exists("c", "x") and store.size("c", "b") == len(BIG)
    rows = np.zeros((2, 4), np.uint8)
    store.get_many("c", ["a", "b"], rows)
    assert store.get_many("c", ["b", "a"]) == [BIG, b"aaaa"] and rows.tolist() == [list(b"aaaa"), [0, 1, 2, 3]]
    assert store.get_segments("c", "b", [(0, 2), (256, 2)]) == [b"\0\1"] * 2 and store.wait("c", "a").stamp == store.info("c", "a").stamp == store.info("c", "a").generation == 0
    with pytest.raises(RangeError):
        store.get("c", "a", 4, 1)
    for call in (store.get, store.size, store.view, store.delete, store.info):
        with pytest.raises(NoSuchBlob, match="'x' in tag 'c'"):
            call("c", "x")
    store.put("c", "a", b"mine"), store.put("c", "new", b"n")
    store.put("t", "b", b"later"), store.put("t", "d", b"d")
    assert [store.get(tag, "a") for tag in "ct"] == [b"mine", b"aaaa"] and store.get("c", "b") == b"later" and not store.exists("t", "new")
    assert store.list("c") == list(store.infos("c")) == ["a", "b", "d", "new"] and store.list("c", "n") == ["new"] and store.tag_size("c") == 11
    assert store.blobs("c|t") == [("c", "a"), ("c", "b"), ("c", "d"), ("c", "new"), ("t", "a"), ("t", "b"), ("t", "d")]
    store.delete("t", "b"), store.delete("c", "a")
    assert not store.exists("c", "b") and store.get("c", "a") == b"aaaa"
    store.destroy("c")
    store.put("c", "z", b"plain")
    assert store.list("c") == ["z"] and not store.exists("c", "a")
    store.destroy("t")


CHANGES = [(lambda store: store.put("c", "a", b"X", offset=1), b"aXaa"), (lambda store: store.append("c", "a", b"X"), b"aaaaX"),
           (lambda store: store.truncate("c", "a", 2), b"aa"), (lambda store: store.put_segments("c", "a", [(0, b"X"), (3, b"Y")]), b"XaaY"),
           (lambda store: store.score("c", "a", 0.25), b"aaaa"), (lambda store: store.put("c", "a", b"X", if_generation=0), b"X"),
           (lambda store: store.copy("c", "a", "c", "a"), b"aaaa")]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_a_change_of_a_part_copies_the_blob_first(open_store, number):
    store = open_store()
    store.put("t", "a", b"aaaa", score=0.5)
    store.checkpoint("c", "t")
    change, wanted = CHANGES[number]
    change(store)
    assert store.get("c", "a") == wanted and store.info("c", "a").stamp and store.get("t", "a") == b"aaaa" and store.score("t", "a") == 0.5
    store.put("t", "a", b"later")
    assert reopened(open_store, store).get("c", "a") == wanted


def test_chains_names_and_restarts(open_store):
    store = open_store()
    store.put("t", "a", b"a"), store.put("t", "b", b"b")
    store.checkpoint("c", "t"), store.put("c", "b", b"of c"), store.checkpoint("d", "c")
    store.rename_tag("t", "u"), store.alias("d", "e"), store.put("t", "a", b"another t")
    for _ in range(2):
        assert [store.get("e", blob) for blob in store.list("e")] == [b"a", b"of c"] and store.tags() == ["c", "d", "e", "t", "u"]
        store = reopened(open_store, store)
    store.close()
    reader = open_store(write=False)
    assert reader.get("d", "a") == b"a" and reader.list("d") == ["a", "b"]
    reader.close()
    store = open_store()
    with pytest.raises(Changed, match="is the source of checkpoint tag 'c'"):
        store.destroy("u")
    with pytest.raises(Changed, match="'c' is the source of checkpoint tag 'd'"):
        store.destroy("c")
    store.destroy("e"), store.destroy("d"), store.destroy("c"), store.destroy("u")
    assert store.tags() == ["t"]
    store = reopened(open_store, store)
    assert store.tags() == ["t"] and not store._tag_names.sources
    store.put("run/t", "a", b"1"), store.checkpoint("run/c", "run/t")
    store.destroy("run", recursive=True)
    assert store.tags() == ["t"] and not store._tag_names.sources


REFUSALS = [
    (Changed, lambda store: store.checkpoint("t", "t")), (Changed, lambda store: store.checkpoint("c", "t")), (NoSuchTag, lambda store: store.checkpoint("x", "none")),
    (UsageError, lambda store: store.checkpoint("", "t")), (UsageError, lambda store: store.snapshot("c", "x")), (Changed, lambda store: store.destroy("t")),
    (NoSuchBlob, lambda store: store.delete("c", "a")), (NoSuchBlob, lambda store: store.rename("c", "a", "b")),
    (Changed, lambda store: store.put("c", "a", b"X", if_generation=store.info("t", "a").stamp)), (UsageError, lambda store: removed(store, "t")),
    (UsageError, lambda store: removed(store, "c")),
]


def removed(store, tag):
    with store.batch("removing") as batch:
        batch.remove(tag)


@pytest.mark.parametrize("number", range(len(REFUSALS)))
def test_what_is_refused_changes_nothing(open_store, number):
    store = open_store()
    store.put("t", "a", b"a")
    store.checkpoint("c", "t")
    kind, call = REFUSALS[number]
    with pytest.raises(kind):
        call(store)
    assert store.blobs(".*") == [("c", "a"), ("t", "a")] and store.get("c", "a") == b"a" and not store.info("c", "a").stamp


def test_of_a_client(open_store):
    client = Client(open_store())
    tag = client.get_or_create_tag("t")
    client.store.put("t", "a", b"1")
    then = client.checkpoint_tag(tag, "then")
    generation = client.get_blob_generation(then, "a")
    client.put_blob_if(then, "a", generation, b"2")
    assert client.store.get("then", "a") == b"2" and client.store.get("t", "a") == b"1"
    for word in (b"first", b"second"):
        client.store.put("t", "text", word)
        assert [found.tag for found in client.semantic_search(word.decode())] == ["t", "then"]


@pytest.mark.parametrize("key, seed", [(None, 1), (None, 2), (Key(bytes(range(32)), "the test"), 3)])
def test_any_order_of_calls_gives_what_chained_dictionaries_would(folder, configured, key, seed):
    rng, first = random.Random(seed), {}
    now = {"t": ChainMap(first), "c": ChainMap({}, first)}
    now["d"] = now["c"].new_child()

    def changed(store):
        tag, blob, data, call = rng.choice("tcd"), rng.choice("xyz"), rng.randbytes(rng.randrange(1, 300)), rng.randrange(6)
        old, at = now[tag].get(blob, b""), rng.randrange(400)
        if call == 0:
            store.put(tag, blob, data, if_generation=store.info(tag, blob).stamp if blob in now[tag] else 0)
            now[tag][blob] = data
        elif call == 1:
            store.put(tag, blob, data, offset=at)
            now[tag][blob] = old.ljust(at, b"\0")[:at] + data + old[at + len(data):]
        elif call == 2:
            store.append(tag, blob, data)
            now[tag][blob] = old + data
        elif call == 3 and blob in now[tag]:
            store.truncate(tag, blob, at)
            now[tag][blob] = old[:at].ljust(at, b"\0")
        elif call == 4 and blob in now[tag].maps[0]:
            store.delete(tag, blob)
            del now[tag][blob]
        elif call == 5 and blob in now[tag].maps[0]:
            store.move(tag, blob, "file")

    for turn in range(4):
        with Store.open(folder, config=configured(), key=key) as store:
            if not turn:
                store.create("t"), store.checkpoint("c", "t"), store.checkpoint("d", "c")
            for _ in range(40):
                changed(store)
                assert {tag: {blob: store.get(tag, blob) for blob in store.list(tag)} for tag in store.tags()} == now


KILLED = """
import os, sys
from wrp.cte import Store
store = Store.open(sys.argv[1])
store.put("t", "x", b"of the source"), store.put("f/t", "x", b"of the source"), store.checkpoint("c", "t"), store.checkpoint("f/c", "f/t")
for tag in ("c", "f/c"):
    store.put(tag, "y", b"its own")
store.flush()
store.put("c", "z", b"not flushed")
store.destroy("c"), store.destroy("f", recursive=True)
os._exit(0)
"""


def test_a_checkpoint_that_is_destroyed_does_not_come_back_without_its_source(folder):
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], capture_output=True, text=True, timeout=60, env=job_environment())
    assert done.returncode == 0, done.stderr
    with Store.open(folder) as store:
        assert [tag for tag in store.tags() if tag in ("c", "f/c")] == [] and store.get("t", "x") == b"of the source"
        store.checkpoint("c", "t")
        assert store.list("c") == ["x"]
