"""Long blobs in files that are renamed: an entry of the journal takes their places from one name to another, and no byte is copied. Short ones are in test_edits.py."""

import os
import shutil

import pytest

from wrp.cte import Store
from wrp.errors import Changed, NoSuchBlob, StoreError, Uncertain

MIB = 1 << 20
DATA = os.urandom(MIB) * 3


def places(store, tag, blob):
    return store._catalog.find(f"{tag}\0{blob}").durable


def found_after_a_crash(store, tmp_path):
    """{(tag, blob): bytes} of a store in the state that its folder is in now."""
    copied = shutil.copytree(store.folder, tmp_path / "copied", ignore=shutil.ignore_patterns("lock", "members"))
    with Store.open(copied) as crashed:
        found = {(tag, blob): crashed.get(tag, blob) for tag, blob in crashed.blobs(".*")}
    shutil.rmtree(copied)
    return found


def all_is_free(store):
    for tag in store.tags():
        store.destroy(tag)
    store.flush()
    return all(store._tiers.free(target) == store._tiers.device(target).capacity for target in (0, 1))


@pytest.mark.parametrize("ram", ["32m", "64k"])
@pytest.mark.parametrize("flushed", [True, False])
def test_a_renamed_blob_keeps_its_places(open_store, tmp_path, ram, flushed):
    store = open_store(ram=ram)
    store.put("t", "a", DATA, score=0.5)
    if flushed:
        store.flush()
    if flushed or ram == "64k":
        before = places(store, "t", "a")
        generation = store.info("t", "a").stamp
        store.rename("t", "a", "b", new_tag="u")
        store.rename("u", "b", "c")
        assert (places(store, "u", "c") == before or not flushed) and store.info("u", "c").stamp > generation and store.info("u", "c").score == 0.5
        assert found_after_a_crash(store, tmp_path) == {("u", "c"): DATA}
    else:
        store.rename("t", "a", "c", new_tag="u")
    with pytest.raises(NoSuchBlob):
        store.rename("t", "a", "x")
    store.close()
    again = open_store(ram=ram)
    assert again.blobs(".*") == [("u", "c")] and again.get("u", "c") == DATA
    again.put("u", "c", b"changed", offset=5)
    again.rename("u", "c", "d")
    assert again.get("u", "d") == DATA[:5] + b"changed" + DATA[12:]
    again.flush()
    assert all_is_free(again)


@pytest.mark.parametrize("there", [b"short", DATA[::-1]])
@pytest.mark.parametrize("is_flushed", [True, False])
def test_it_takes_the_place_of_another(open_store, tmp_path, there, is_flushed):
    store = open_store(ram="64k")
    store.put("t", "new", DATA)
    store.put("t", "old", there)
    if is_flushed:
        store.flush()
    with pytest.raises(Changed, match="'t/old' is taken"):
        store.rename("t", "new", "old")
    store.rename("t", "new", "old", replace=True)
    with pytest.raises(Changed):
        store.rename("t", "old", "old", replace=True)
    assert store.get("t", "old") == DATA and store.list("t") == ["old"] and found_after_a_crash(store, tmp_path) == {("t", "old"): DATA}
    assert all_is_free(store)


@pytest.mark.parametrize("error", [StoreError, Uncertain])
@pytest.mark.parametrize("tag, blob", [("u", "b"), ("t", "there")])
def test_a_journal_that_takes_nothing_leaves_all_as_it_was(open_store, monkeypatch, error, tag, blob):
    store = open_store()
    store.put("t", "a", DATA), store.put("t", "there", b"1")
    store.flush()
    before = places(store, "t", "a")

    def refused(*_):
        raise error("the disk")
    with monkeypatch.context() as patched:
        patched.setattr(store._parts.journal, "append", refused)
        with pytest.raises(error, match="the disk"):
            store.rename("t", "a", blob, new_tag=tag, replace=True)
    assert store.tags() == ["t"] and store.list("t") == ["a", "there"] and store.get("t", "a") == DATA and store.get("t", "there") == b"1"
    store.flush()
    assert (places(store, "t", "a") == before) == (error is StoreError)         # what may be named elsewhere is nobody's


@pytest.mark.parametrize("step", ["append", "put", "remove"])
def test_an_error_of_a_handler_leaves_one_name(open_store, tmp_path, monkeypatch, step):
    """A handler of a signal may raise one between any two steps."""
    store = open_store()
    store.put("t", "a", DATA)
    store.flush()
    owner = store._parts.journal if step == "append" else store._catalog
    call = getattr(owner, step)

    def interrupted(*args):
        monkeypatch.setattr(owner, step, call)
        call(*args)
        raise KeyboardInterrupt
    monkeypatch.setattr(owner, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.rename("t", "a", "b")
    assert store.list("t") == ["b"] and store.get("t", "b") == DATA and found_after_a_crash(store, tmp_path) == {("t", "b"): DATA}
    assert all_is_free(store)
