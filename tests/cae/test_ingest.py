"""Whole jobs into a store in memory, in one process: what is there afterwards, and what is not when something fails."""

import os
import re

import h5py
import numpy as np
import pytest

from wrp.cae import ingest, omni
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import JobFileError, OutOfSpace, SourceError, SourceMissing

from . import reading, zoo


@pytest.fixture
def store():
    with Store.open(None, world()) as opened:
        yield opened


def job(*specs, **fields):
    transfers = tuple(omni.Transfer(number, src, f"iowarp::{tag}", "any", **fields) for number, (src, tag) in enumerate(specs, 1))
    return omni.Job(transfers)


def contents(store, tag_pattern=".*"):
    return {blob: store.get(*blob) for blob in store.blobs(tag_pattern)}


def test_what_is_in_the_store_is_what_was_surveyed(store, tmp_path):
    path = zoo.build(tmp_path / "zoo.h5")
    result, = ingest.run(job((f"hdf5::{path}", "run")), store, world())
    items = reading.survey(f"hdf5::{path}").items
    assert set(store.tags()) == {item.tag for item in items}
    for item in items:
        chunks = [blob for _, blob in store.blobs(re.escape(item.tag), r"chunk_\d+")]
        assert chunks == [f"chunk_{number}" for number in range(item.blobs)]
        assert b"".join(store.get(item.tag, blob) for blob in chunks) == reading.whole(item)
        assert store.get(item.tag, "description").decode() == item.description
    assert (result.datasets, result.nbytes) == (len(items) - 1, sum(item.nbytes for item in items))


def test_checksum_follows_the_bytes_only(store, tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"x" * 2_999_999 + b"y")
    results = ingest.run(job((f"file::{tmp_path}/a", "t")), store, world())
    results += ingest.run(job((f"file::{tmp_path}/a", "t")), store, world())
    results += ingest.run(job((f"file::{tmp_path}/b", "t")), store, world())
    first, again, other = (result.checksum for result in results)
    assert first == again != other
    assert re.fullmatch("[0-9a-f]{16}", first)


def test_taking_a_tag_in_again_replaces_it(store, tmp_path):
    path = str(tmp_path / "f.h5")
    with h5py.File(path, "w") as file:
        file["gone"], file["short"] = np.arange(3), np.zeros(600_000)
    store.put("run/mine", "x", b"not from the file")
    ingest.run(job((f"hdf5::{path}", "run")), store, world())
    with h5py.File(path, "w") as file:
        file["short"] = np.zeros(10)
    ingest.run(job((f"hdf5::{path}", "run")), store, world())
    assert store.tags() == ["run", "run/mine", "run/short"]
    assert [blob for _, blob in store.blobs("run/short")] == ["chunk_0", "description"]
    # and by a file of another kind
    ingest.run(job((f"file::{path}", "run")), store, world())
    assert store.tags() == ["run", "run/mine"]
    assert not store.exists("run", "layout")


def test_a_failing_transfer_leaves_nothing_and_those_before_it_stay(store, tmp_path):
    (tmp_path / "a").write_bytes(b"a" * 10)
    store.put("second", "kept", b"old")
    with pytest.raises(SourceMissing):
        ingest.run(job((f"file::{tmp_path}/a", "first"), (f"file::{tmp_path}/none", "second"), (f"file::{tmp_path}/a", "third")),
                   store, world())
    assert contents(store) == {("first", "description"): b"binary<size=10, offset=0>", ("first", "chunk_0"): b"a" * 10,
                               ("second", "kept"): b"old"}


def test_a_source_that_changes_while_it_is_read_leaves_nothing(store, tmp_path, monkeypatch):
    path = tmp_path / "growing"
    path.write_bytes(b"a" * 5_000_000)
    put = store.put

    def tick():
        with open(path, "ab") as file:
            file.write(b"more")

    ranks = world()
    monkeypatch.setattr(ranks, "tick", tick, raising=False)
    with pytest.raises(SourceError, match="was changed while it was being read"):
        ingest.run(job((f"file::{path}", "t")), store, ranks)
    assert store.tags() == []
    put("t", "b", b"usable")


def test_what_the_page_cache_has_only_in_part_comes_in_whole(store, tmp_path):
    data = np.random.default_rng(3).bytes(40 << 20)
    path = tmp_path / "data"
    path.write_bytes(data)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for start in (0, 1 << 20, 20 << 20, 21 << 20, 39 << 20):
            os.pread(file.fileno(), 1 << 20, start)
    ingest.run(job((f"file::{path}", "t")), store, world())
    assert b"".join(store.get("t", f"chunk_{blob}") for blob in range(40)) == data


def test_dependencies_decide_the_order(store, tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    transfers = (omni.Transfer(1, f"file::{tmp_path}/a", "iowarp::one", "x", depends_on="late"),
                 omni.Transfer(2, f"file::{tmp_path}/a", "iowarp::two", "x", name="late"))
    assert [result.number for result in ingest.run(omni.Job(transfers), store, world())] == [2, 1]
    with pytest.raises(JobFileError, match="did you mean 'late'"):
        ingest.run(omni.Job((*transfers, omni.Transfer(3, "file::x", "iowarp::c", "x", depends_on="lat"))), store, world())


def test_a_failed_transfer_and_those_that_were_not_run_are_named(store, tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"a")
    specs = [(f"file::{tmp_path}/{name}", f"t{number}") for number, name in enumerate(["a", "none", "a", "a"], 1)]
    with pytest.raises(SourceMissing, match=r"^transfer 2: .* does not exist.*; transfers 3, 4 were not run$"):
        ingest.run(job(*specs), store, world())
    with pytest.raises(SourceMissing, match=r"^transfer 2 \(b\): .*; transfer 3 was not run$"):
        ingest.run(job(*specs[:3], name="b"), store, world())
    with pytest.raises(SourceMissing) as caught:
        ingest.run(job(*specs[1:2]), store, world())
    assert "not run" not in str(caught.value)

    def full(*_):
        raise OutOfSpace("no room")

    monkeypatch.setattr(ingest, "_read", full)
    with pytest.raises(OutOfSpace, match=r"^transfer 1: no room; transfers 2, 3, 4, 5, 6, 7, 8, 9 and 3 more were not run$"):
        ingest.run(job(*specs[:1] * 12), store, world())


def test_a_missing_source_says_where_it_was_looked_for(store, tmp_path):
    with pytest.raises(SourceMissing, match="/none does not exist; .*; looked beside the job file too: /jobs/none$"):
        ingest.run(job(("file::none", "t"), folder="/jobs"), store, world())


def test_a_path_that_can_not_be_one(store):
    with pytest.raises(SourceError, match=r"^transfer 1: '.*a\\x00b' can't be opened"):
        ingest.run(job(("file::a\0b", "t")), store, world())


@pytest.fixture
def nested(store, tmp_path):
    """An HDF5 context `o/` in the store, with the dataset tags o/g/p and o/q."""
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["g/p"], file["q"] = np.arange(3), np.arange(4)
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["p"] = np.arange(5)
    ingest.run(job((f"hdf5::{tmp_path}/f.h5", "o/")), store, world())
    return tmp_path


@pytest.mark.parametrize("src, tag, sentence", [
    ("file::{}/f.h5", "o/g/p", "'o/g/p' belongs to the HDF5 context 'o/' in the store; .*wrp_cee destroy 'o/'"),
    ("hdf5::{}/p.h5", "o/g", "'o/g/p' belongs to the HDF5 context 'o/'"),
    ("hdf5::{}/f.h5", "o", "belongs to the HDF5 context 'o/'"),
])
def test_tags_of_another_context_are_not_taken(store, nested, src, tag, sentence):
    before = contents(store)
    with pytest.raises(JobFileError, match=sentence):
        ingest.run(job((src.format(nested), tag)), store, world())
    assert contents(store) == before


def test_a_dataset_does_not_take_the_place_of_a_context(store, nested):
    ingest.run(job((f"hdf5::{nested}/p.h5", "run/g")), store, world())
    with h5py.File(nested / "outer.h5", "w") as file:
        file["g"] = 1
    with pytest.raises(JobFileError, match="'run/g' is an HDF5 context in the store already"):
        ingest.run(job((f"hdf5::{nested}/outer.h5", "run")), store, world())


def test_free_tags_below_a_context_can_be_used(store, nested):
    ingest.run(job((f"file::{nested}/f.h5", "o/mine"), (f"hdf5::{nested}/f.h5", "o/")), store, world())
    assert store.tags() == ["o/", "o/g/p", "o/mine", "o/q"]
