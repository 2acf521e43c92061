"""What a job file says without effect is told: keys, empty filters, ranges and formats that don't suit the source."""

import io

import pytest

from wrp.cae import ingest, omni, progress, remarks, url
from wrp.comm.ranks import world
from wrp.cte import Store


def loaded(folder, text):
    path = folder / "jobs.yaml"
    path.write_text(text)
    return omni.load(str(path))


@pytest.mark.parametrize("entry, sentence", [
    ("dataset_filters: {}", "transfer 1: the key 'dataset_filters' is not known and was ignored; did you mean 'dataset_filter'?"),
    ("colour: red", "transfer 1: the key 'colour' is not known and was ignored"),
    ("dataset_filter: {include_pattern: [a]}", "transfer 1, dataset_filter: the key 'include_pattern' is not known and was ignored; "
                                               "did you mean 'include_patterns'?"),
    ("dataset_filter: {exclude_patterns: }", "transfer 1: 'exclude_patterns' of dataset_filter is empty and filters nothing"),
    ("dataset_filter: ", "transfer 1: 'dataset_filter' is empty and filters nothing"),
    ("3: x", "transfer 1: the key 3 is not known and was ignored"),
])
def test_keys(tmp_path, entry, sentence):
    job = loaded(tmp_path, f"transfers:\n- {{src: 'hdf5::a', dst: 'iowarp::t', format: hdf5, {entry}}}\n")
    assert job.transfers[0].notes == (sentence,)


def test_known_keys_without_effect_are_not_told(tmp_path):
    job = loaded(tmp_path, "name: n\nversion: 1\ntransfers:\n- {src: 'file::a', dst: 'iowarp::t', format: raw, name: n, description: d}\n")
    assert job.notes == () and job.transfers[0].notes == ()


def test_top_level(tmp_path):
    job = loaded(tmp_path, "transferz: 1\ntransfers: []\n")
    assert job.notes == (f"{tmp_path}/jobs.yaml: the key 'transferz' is not known and was ignored; did you mean 'transfers'?",)


@pytest.mark.parametrize("src, format_, fields, start", [
    ("file::a", "binary", {"range_off": 5}, "transfer 1: range_off counts only with a range_size"),
    ("hdf5::a", "hdf5", {"range_off": 5, "range_size": 6}, "transfer 1: range_off and range_size count for file:: sources only"),
    ("hdf5::a", "hdf5", {"range_size": 6}, "transfer 1: range_size count"),
    ("file::a", "binary", {"include": ("x",)}, "transfer 1: dataset_filter counts for hdf5:: sources only"),
    ("file::a", "hdf5", {}, "transfer 1: format 'hdf5' selects nothing: the source is taken in as raw bytes"),
    ("hdf5::a", "csv", {}, "transfer 1: format 'csv' selects nothing: the source is taken in as an HDF5 file"),
    ("s3://a/b", "hfd5", {}, "transfer 1: format 'hfd5', which looks like 'hdf5', is none: the object is taken in as raw bytes"),
    ("s3://a/b", "h5", {"range_size": 6}, "transfer 1: range_size count for file:: sources only"),
    ("s3://a/b", "csv", {"include": ("x",)}, "transfer 1: dataset_filter counts for hdf5:: sources only"),
    ("file::a", "raw", {"s3_region": "x"}, "transfer 1: s3_region counts for s3:// sources only and was ignored"),
    ("gs://a/b", "raw", {"s3_profile": "x"}, "transfer 1: s3_profile counts for s3:// sources only and was ignored"),
    ("file::a", "binray", {}, "transfer 1: format 'binray', which looks like 'binary', selects nothing"),
    ("hdf5::a", "hfd5", {}, "transfer 1: format 'hfd5', which looks like 'hdf5', selects nothing"),
])
def test_values(src, format_, fields, start):
    note, = remarks.of_values(omni.Transfer(1, src, "iowarp::t", format_, **fields), url.parse(src)[0])
    assert note.startswith(start)


@pytest.mark.parametrize("src, format_, fields", [
    ("file::a", "CSV", {"range_off": 5, "range_size": 6}), ("file::a", "any", {}), ("file::a", "x", {}), ("file::a", "dat", {}),
    ("hdf5::a", "HDF5", {"exclude": ("x",)}), ("hdf5::a", "netcdf", {}), ("mine::a", "hdf5", {"range_off": 1, "range_size": 1}),
    ("s3://a/b", "HDF5", {"include": ("x",), "s3_region": "x"}), ("s3://a/b", "binary", {"range_size": 5}), ("gs://a/b", "parquet", {}),
])
def test_no_remark(src, format_, fields):
    assert remarks.of_values(omni.Transfer(1, src, "iowarp::t", format_, **fields), url.parse(src)[0]) == []


def test_each_is_told_once_per_transfer(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    job = loaded(tmp_path, "foo: 1\ntransfers:\n" + "".join(
        f"- {{src: 'file::{tmp_path}/a', dst: 'iowarp::{tag}', format: hdf5, colour: x}}\n" for tag in "tu"))
    stream = io.StringIO()
    with Store.open(None, world()) as store:
        ingest.run(job, store, world(), progress.Plain(stream))
    notes = [line for line in stream.getvalue().splitlines() if line.startswith("note: ")]
    assert [line.partition(": ")[2][:11] for line in notes[1:]] == ["transfer 1:", "transfer 1:", "transfer 2:", "transfer 2:"]
    assert "'foo'" in notes[0]
