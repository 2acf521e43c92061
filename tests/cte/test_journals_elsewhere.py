"""Journals of a store in another place: found again whatever a later job says, moved at an opening, never lost on the way."""

import json
import os

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.folder import Folder
from wrp.cte.folder.folder import FORMAT
from wrp.errors import ConfigError, StoreError
from wrp.runtime.config import load

SIZES = "storage: [{path: 'ram::r', capacity_limit: 8m}, {path: data, bdev_type: file, capacity_limit: 32m}]\n"


@pytest.fixture
def opened(tmp_path):
    """A function that opens the store with its journals at a place ("": in its folder); left open, it is closed at the end."""
    stores = []

    def make(log, **options):
        conf = tmp_path / "conf.yaml"
        conf.write_text(SIZES + (f"performance: {{metadata_log_path: {log}}}\n" if log else ""))
        stores.append(Store.open(tmp_path / "store", config=load(conf), **options))
        return stores[-1]
    yield make
    for store in stores:
        store.close()


def fill(store, name):
    store.put("t", name, name.encode() * 1000)
    store.flush()


def found(store):
    return {blob: store.get("t", blob) for blob in store.list("t")}


def journals(path):
    return sorted(os.listdir(path)) if os.path.isdir(path) else None


def test_they_lie_there_and_are_found_without_the_configuration(opened, tmp_path):
    places = ["", tmp_path / "first", tmp_path / "second", ""]
    expected = {}
    for turn, place in enumerate(places):
        with opened(place) as store:
            fill(store, f"b{turn}")
            folder = store._parts.folder.journals
            assert journals(folder) == [f"{turn + 1}-0"] and folder.startswith(str(place or tmp_path / "store")), "only the newest"
            expected[f"b{turn}"] = f"b{turn}".encode() * 1000
        if place:
            with opened("", write=False) as store:          # a reader moves nothing
                assert found(store) == expected
            assert journals(folder) and json.loads((tmp_path / "store" / "STORE").read_text())["format"] == FORMAT
    with opened("") as store:
        assert found(store) == expected
    assert sorted(os.listdir(tmp_path)) == ["conf.yaml", "store"] and json.loads((tmp_path / "store" / "STORE").read_text())["format"] == FORMAT


@pytest.mark.parametrize("step", ["write_snapshot", "_drop", "_leave_logs"])
def test_an_opening_that_dies_on_the_way_loses_nothing(opened, tmp_path, monkeypatch, step):
    with opened(tmp_path / "first") as store:
        fill(store, "a")
    for place in (tmp_path / "second", ""):
        with monkeypatch.context() as patched:
            patched.setattr(Folder, step, lambda *_: (_ for _ in ()).throw(OSError(5, "dies here")))
            with pytest.raises(StoreError, match="dies here"):
                opened(place)
        with opened(place, write=False) as store:
            assert found(store) == {"a": b"a" * 1000}
    with opened("") as store:
        assert found(store) == {"a": b"a" * 1000}
        assert [name for name in os.listdir(tmp_path) if name.startswith(("first", "second"))] == []


def test_a_folder_that_is_missing_is_named(opened, tmp_path):
    with opened(tmp_path / "log") as store:
        fill(store, "a")
        folder = store._parts.folder.journals
    os.rename(folder, tmp_path / "aside")
    for write in (True, False):
        with pytest.raises(StoreError, match=f"its journals lie in {folder}, which isn't there"):
            opened("", write=write)
    os.rename(tmp_path / "aside", folder)
    with opened("") as store:
        assert found(store) == {"a": b"a" * 1000}


def test_a_place_that_cannot_be_is_refused_and_leaves_nothing(opened, tmp_path):
    with pytest.raises(StoreError, match="metadata_log_path .*/no/log: .* is no folder that this user can write to"):
        opened(tmp_path / "no" / "log")
    with pytest.raises(ConfigError, match="'log' must be an absolute path"):
        opened("log")
    with pytest.raises(LookupError), opened(tmp_path / "log"):
        raise LookupError("an error of the caller")
    assert os.listdir(tmp_path) == ["conf.yaml"]


@pytest.mark.mpi
def test_every_rank_has_its_journal_there(shared_folder, tmp_path):
    ranks = world()
    conf = tmp_path / "conf.yaml"
    conf.write_text(SIZES + f"performance: {{metadata_log_path: {shared_folder}-log}}\n")
    with Store.open(shared_folder, ranks, load(conf)) as store:
        fill(store, f"r{ranks.rank}")
        store.flush_all()
        folder = store._parts.folder.journals
        ranks.barrier("all have flushed")
        assert journals(folder) and not journals(os.path.join(shared_folder, "journal"))
    with Store.open(shared_folder, ranks) as store:
        assert store.list("t") == [f"r{rank}" for rank in range(ranks.size)] and not os.path.isdir(folder)
        ranks.barrier("all have looked")
