"""The Python interface: codes and lists as users of the reference system know them."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

import wrp_cee as cee
from harness.mpirun import job_environment
from wrp.cee.context import fitting
from wrp.cte import Store
from wrp.errors import JobFileError, NoSuchTag, SourceMissing, UsageError


def context(path, tag, **more):
    return cee.AssimilationCtx(src=f"file::{path}", dst=f"iowarp::{tag}", format="binary", **more)


def test_example_of_the_reference(interface, raw):
    path, data = raw
    assert interface.context_bundle([context(path, "my_dataset")]) == 0
    assert interface.context_query("my_dataset", ".*", 0) == ["chunk_0", "chunk_1", "chunk_2", "description"]
    packed = interface.context_retrieve("my_dataset", ".*", 0)
    assert packed == [data + f"binary<size={len(data)}, offset=0>".encode()]
    assert interface.context_destroy(["my_dataset"]) == 0
    assert interface.context_query(".*", ".*") == [] and interface.context_retrieve(".*", ".*") == []


def test_what_was_taken_in_is_there_for_the_next_process(folder, raw):
    path, data = raw
    with cee.ContextInterface(store=folder) as interface:
        assert interface.context_bundle([context(path, "t", range_off=5, range_size=1000)]) == 0
    code = ("import wrp_cee as cee; i = cee.ContextInterface(); "
            "print(i.context_retrieve('t', 'chunk_.*')[0].hex(), i.context_bundle([]))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
                          env=job_environment({"WRP_STORE": folder}))
    assert done.stdout.split() == [data[5:1005].hex(), "0"], done.stderr


def test_two_interfaces_share_a_store(folder, raw):
    with cee.ContextInterface(folder) as one, cee.ContextInterface(folder) as two:
        assert one.context_bundle([context(raw[0], "t")]) == 0
        assert two.context_query("t", "desc.*") == ["description"]
        one.close()
        assert two.context_query("t", "desc.*") == ["description"]


def test_readers_of_two_processes_do_not_mind_each_other(folder, raw):
    with cee.ContextInterface(folder) as interface:
        assert interface.context_query(".*", ".*") == [] and not os.path.exists(folder)
        interface.context_bundle([context(raw[0], "t")])
    with cee.ContextInterface(folder) as interface:
        names = interface.context_query("t", ".*")
        code = f"import wrp_cee as cee; print(cee.ContextInterface({folder!r}).context_query('t', '.*'))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=job_environment())
        assert done.stdout.strip() == str(names), done.stderr
        assert interface.context_destroy(["t"]) == 0 and interface.context_query("t", ".*") == []


@pytest.mark.parametrize("wrong, error", [
    (dict(src="file::/nowhere/x", dst="iowarp::t", format="binary"), SourceMissing),
    (dict(src="files::x", dst="iowarp::t", format="binary"), JobFileError),
    (dict(src="file::x", dst="t", format="binary"), JobFileError),
    (dict(src="file::x", dst="iowarp::t", format="binary", range_off=-1), UsageError),
    (dict(src=None, dst="iowarp::t", format="binary"), UsageError),
    (dict(src="file::x", dst="iowarp::t", format="binary", depends_on="nobody"), JobFileError),
])
def test_failed_bundle_has_a_code_a_sentence_and_leaves_nothing(interface, capfd, wrong, error):
    assert interface.context_bundle([cee.AssimilationCtx(**wrong)]) == error.exit_code
    assert isinstance(interface.last_error, error)
    assert capfd.readouterr().err.count(str(interface.last_error)) == 1
    assert interface.context_query(".*", ".*") == []


def test_destroy_of_a_missing_tag_is_1_and_takes_the_others(interface, raw):
    interface.context_bundle([context(raw[0], "t")])
    assert interface.context_destroy(["nothing", "t"]) == 1
    assert isinstance(interface.last_error, NoSuchTag)
    assert interface.context_query("t", ".*") == []


def test_destroy_of_an_hdf5_context_takes_its_datasets(interface, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/b"] = np.arange(10)
    for tag in ("run", "run/other"):
        ctx = cee.AssimilationCtx(f"hdf5::{tmp_path / 'x.h5'}", f"iowarp::{tag}", "hdf5")
        assert interface.context_bundle([ctx]) == 0
    assert interface.context_query("run/a/b", ".*") == ["chunk_0", "description"]
    assert interface.context_destroy(["run"]) == 0
    assert interface.context_query("run(/a/b)?", ".*") == []
    assert interface.context_query("run/other/a/b", ".*") == ["chunk_0", "description"]


def test_splice_copies_in_one_step(interface, raw):
    interface.context_bundle([context(raw[0], "a", range_size=10), context(raw[0], "b", range_size=20)])
    assert interface.context_splice("new", "a", "chunk_.*") == 0
    assert interface.context_retrieve("new", ".*") == [raw[1][:10]]
    assert interface.context_splice("new", "[ab]", "chunk_.*") == 0
    assert interface.context_query("new", ".*") == ["a/chunk_0", "b/chunk_0"]
    assert interface.context_splice("other", "nothing", ".*") == 6
    assert interface.context_splice("other", b"a", ".*") == 2 and "context_splice: " in str(interface.last_error)
    assert interface.context_query("other", ".*") == []


def test_splice_gives_no_two_blobs_one_name(folder):
    with Store.open(folder) as store:
        store.put("a", "b/c", b"1")
        store.put("a/b", "c", b"2")
    with cee.ContextInterface(store=folder) as interface:
        assert interface.context_splice("new", "a.*", ".*") == 2
        assert "would both be called 'a/b/c'" in str(interface.last_error) and interface.context_query("new", ".*") == []


def test_splice_leaves_hdf5_contexts_whole(interface, tmp_path):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["g/x"] = np.arange(100)
    interface.context_bundle([cee.AssimilationCtx(f"hdf5::{tmp_path}/s.h5", "iowarp::run/", "hdf5")])
    for tag in ("run/", "run/g/x"):
        assert interface.context_splice(tag, "run/", ".*") == 2
        assert f"{tag!r} belongs to the HDF5 context 'run/'" in str(interface.last_error)
    # a copy of a context's own blobs has none of its datasets
    assert interface.context_splice("copy", "run/", ".*") == 0
    assert interface.context_destroy(["copy"]) == 0
    assert interface.context_query("run/g/x", ".*") == ["chunk_0", "description"]


def test_retrieve_that_leaves_blobs_out_says_so(interface, raw, capfd):
    interface.context_bundle([context(raw[0], "t")])            # blobs of 1 MiB, 1 MiB, 12345 and some bytes
    packed = interface.context_retrieve("t", ".*", 0, 3 << 19, 1)
    assert packed[0] == raw[1][:1 << 20] + raw[1][2 << 20:] + interface.context_retrieve("t", "desc.*")[0]
    assert interface.last_error is None
    interface.context_retrieve("t", ".*", 0, 3 << 19)
    assert str(interface.last_error).startswith("1 of 4 blobs fit into max_context_size=1572864: ")
    interface.context_retrieve("t", ".*", 2)
    assert str(interface.last_error).startswith("2 of 4 blobs fit into max_results=2: ")
    assert capfd.readouterr().err.splitlines()[-1] == f"wrp: {interface.last_error}"
    assert len(interface.context_retrieve("t", ".*")) == 1 and interface.last_error is None
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("arguments", [("(", ".*"), (".*", "["), (b"t", ".*"), (None, ".*"), (".*", ".*", "10"), (".*", ".*", -1),
                                       (".*", ".*", 1.5)])
def test_wrong_arguments_are_a_sentence(interface, arguments):
    for call in (interface.context_query, interface.context_retrieve):
        with pytest.raises(UsageError, match="context_(query|retrieve): ") as caught:
            call(*arguments)
        assert interface.last_error is caught.value
    with pytest.raises(UsageError, match="max_context_size"):
        interface.context_retrieve(".*", ".*", 0, "1M")


def test_last_error_belongs_to_the_last_call(interface, folder, raw):
    assert interface.context_query("t", ".*") == [] and f"no store at {folder}" in str(interface.last_error)
    assert interface.context_retrieve("t", ".*") == [] and f"no store at {folder}" in str(interface.last_error)
    assert interface.context_bundle([]) == 0 and interface.last_error is None
    assert interface.context_destroy("t") == 1 and isinstance(interface.last_error, UsageError)
    assert interface.context_bundle(context(raw[0], "t")) == 2 and isinstance(interface.last_error, UsageError)
    assert interface.context_bundle([context(raw[0], "t")]) == 0 and interface.last_error is None
    assert interface.context_destroy(["nothing"]) == 1 and interface.last_error
    assert interface.context_query("nothing", ".*") == [] and interface.last_error is None


def test_context_looks_as_in_the_reference():
    ctx = cee.AssimilationCtx("file::a", "iowarp::b", "binary")
    assert repr(ctx) == "<AssimilationCtx src='file::a' dst='iowarp::b' format='binary'>"
    ctx.range_off = 7
    assert (ctx.depends_on, ctx.range_off, ctx.range_size, ctx.src_token, ctx.dst_token) == ("", 7, 0, "", "")


@pytest.mark.parametrize("sizes, limit, batch, chosen", [
    ([5, 5, 5], 15, 32, [0, 1, 2]),
    ([5, 9, 1, 1], 7, 32, [0]),             # what doesn't fit ends its batch,
    ([5, 9, 1, 1], 7, 2, [0, 2, 3]),        # a later batch may add smaller ones
    ([0, 3, 0], 10, 1, [1]),
    ([], 10, 4, []),
])
def test_fitting(sizes, limit, batch, chosen):
    assert fitting(sizes, limit, batch) == chosen


def test_queries_by_time_and_by_words(folder):
    with Store.open(folder) as store:
        for blob, text in (("a", b"storms over the sea"), ("b", b"calm sea, sea, sea"), ("c", b"wind"), ("other", b"sea")):
            store.put("notes", blob, text)
        stamps = {blob: store.info("notes", blob).stamp for blob in "abc"}
    with cee.ContextInterface(store=folder) as interface:
        assert interface.context_query("notes", "[abc]", time_begin=stamps["b"]) == ["b", "c"]
        assert interface.context_query("notes", "[abc]", 0, "", stamps["a"], stamps["b"]) == ["a", "b"]
        assert interface.context_query("notes", ".*", 1, "sea", 1, stamps["c"]) == ["a"]       # times count before words
        assert interface.context_query("notes", "[abc]", prompt="the sea") == ["a", "b"] and interface.context_query("notes", "[abc]", 1, "Sea") == ["b"]
        assert interface.context_query("none", ".*", prompt="sea") == [] == interface.context_query("notes", ".*", prompt="mountain")
        assert interface.context_retrieve("notes", "[abc]", prompt="sea") == [b"calm sea, sea, seastorms over the sea"]
        assert interface.context_retrieve("notes", "[abc]", time_end=stamps["a"]) == [b"storms over the sea"]
        for wrong in (dict(prompt=5), dict(time_begin=-1), dict(time_begin=9, time_end=3), dict(prompt="!")):
            with pytest.raises(UsageError):
                interface.context_query("notes", ".*", **wrong)


def test_the_later_name():
    import clio_cee

    assert clio_cee.ContextInterface is cee.ContextInterface and clio_cee.AssimilationCtx is cee.AssimilationCtx
