"""`string::` sources: payloads of every kind become one blob each, beside what a tag has; what can't be is refused before anything is taken in."""

import base64
import json

import h5py
import pytest

import wrp_cee as cee
from harness.mpirun import needs_mpirun, run_python
from wrp.cae import cli, ingest, omni
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import JobFileError, UsageError

from . import reading
from .test_ingest import contents, job

ODD = bytes(range(256)) * 3 + b"\r\n\0"


@pytest.fixture
def store():
    with Store.open(None, world()) as opened:
        yield opened


def inline(*specs):
    return omni.Job(tuple(omni.Transfer(number, f"string::{blob}", f"iowarp::{tag}", "string", src_data=data)
                          for number, (tag, blob, data) in enumerate(specs, 1)))


def test_the_payload_is_the_blob(store):
    results = ingest.run(inline(("t", "odd", ODD), ("t", "größe::1", b"x"), ("u", "odd", b"y" * (3 << 20))), store, world())
    assert contents(store) == {("t", "odd"): ODD, ("t", "größe::1"): b"x", ("u", "odd"): b"y" * (3 << 20)}
    assert [(result.datasets, result.nbytes) for result in results] == [(1, len(ODD)), (1, 1), (1, 3 << 20)]
    assert results[0].checksum != results[1].checksum


def test_a_tag_keeps_its_other_blobs(store, tmp_path):
    (tmp_path / "a").write_bytes(b"a" * 10)
    ingest.run(job((f"file::{tmp_path}/a", "t")), store, world())
    ingest.run(inline(("t", "note", b"old")), store, world())
    ingest.run(inline(("t", "note", b"new")), store, world())
    assert contents(store) == {("t", "description"): b"binary<size=10, offset=0>", ("t", "chunk_0"): b"a" * 10, ("t", "note"): b"new"}
    # and the next file in its place takes the note away
    ingest.run(job((f"file::{tmp_path}/a", "t")), store, world())
    assert ("t", "note") not in contents(store)


def test_a_note_beside_an_hdf5_context_leaves_it_whole(store, tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["g/x"] = 5
    ingest.run(job((f"hdf5::{tmp_path}/f.h5", "run")), store, world())
    before = contents(store)
    ingest.run(inline(("run", "note", b"n")), store, world())
    assert contents(store) == {**before, ("run", "note"): b"n"}
    for tag, blob, sentence in (("run", "layout", "the blob 'layout' of the tag 'run' holds a source that was taken in"),
                                ("run", "chunk_0", "holds a source"), ("run", "description", "holds a source"), ("run/g/x", "note", "belongs to the HDF5 context 'run'")):
        with pytest.raises(JobFileError, match=sentence):
            ingest.run(inline((tag, blob, b"n")), store, world())
    assert contents(store) == {**before, ("run", "note"): b"n"}


def test_a_note_beside_a_described_dataset_leaves_it_whole(store, tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["x"] = [[1, 2], [3, 4]]
    ingest.run(omni.Job((omni.Transfer(1, f"kvhdf5::{tmp_path}/f.h5:/x", "iowarp::x", "hdf5"),)), store, world())
    before = contents(store)
    assert set(before) == {("x", "__meta"), ("x", "0_0")}
    for blob in ("__meta", "0_0", "7"):
        with pytest.raises(JobFileError, match=f"the blob '{blob}' of the tag 'x' holds a source that was taken in"):
            ingest.run(inline(("x", blob, b"n")), store, world())
    ingest.run(inline(("x", "note", b"n"), ("y", "0_0", b"n")), store, world())
    assert contents(store) == {**before, ("x", "note"): b"n", ("y", "0_0"): b"n"}


def test_names_of_contexts_are_free_where_there_is_none(store):
    for _ in range(2):
        ingest.run(inline(("t", "description", b"mine"), ("t", "chunk_0", b"c")), store, world())
    assert contents(store) == {("t", "description"): b"mine", ("t", "chunk_0"): b"c"}


def test_a_failing_one_leaves_nothing(store):
    with pytest.raises(UsageError, match="^transfer 2: blob .* can't be a name.*; transfer 3 was not run$"):
        ingest.run(inline(("t", "a", b"1"), ("t", "b" * 5000, b"2"), ("t", "c", b"3")), store, world())
    assert contents(store) == {("t", "a"): b"1"}


YAML = f"""transfers:
  - {{src: "string::text", dst: "iowarp::t", format: string, src_data: "grüße\\n"}}
  - {{src: "string::odd", dst: "iowarp::t", format: any, src_data: !!binary {base64.b64encode(ODD).decode()}}}
  - src: "string::block"
    dst: "iowarp::t"
    format: string
    src_data: |
      two
      lines
"""


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("a file of this name beside the job file is none of its business")
    (tmp_path / "jobs.yaml").write_text(YAML)
    return tmp_path / "jobs.yaml"


def test_job_file(jobs, capsys):
    assert cli.main(["jobs.yaml", "--check"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "transfer 1: string::text: 1 dataset(s), 8 B"
    assert cli.main(["jobs.yaml", "--store", "s", "--resume", "done", "--json", "--quiet"]) == 0
    assert [found["nbytes"] for found in json.loads(capsys.readouterr().out)["transfers"]] == [8, len(ODD), 10]
    with Store.open("s", world()) as store:
        assert contents(store) == {("t", "text"): "grüße\n".encode(), ("t", "odd"): ODD, ("t", "block"): b"two\nlines\n"}
        store.delete("t", "odd")
    # one blob is gone, another's bytes are edited: both are taken in again, the third isn't
    jobs.write_text(YAML.replace("lines", "words"))
    assert cli.main(["jobs.yaml", "--store", "s", "--resume", "done"]) == 0
    assert "1 of 3 transfer(s) are in the store already" in capsys.readouterr().err
    with Store.open("s", world()) as store:
        assert store.get("t", "odd") == ODD and store.get("t", "block") == b"two\nwords\n"


@pytest.mark.parametrize("fields, note", [("range_off: 1, range_size: 1", "range_off and range_size count for file:: sources only"),
                                          ("dataset_filter: {include_patterns: [x]}", "dataset_filter counts for hdf5:: sources only")])
def test_what_has_no_effect_is_told(jobs, capsys, fields, note):
    jobs.write_text(f'transfers: [{{src: "string::a", dst: "iowarp::t", format: string, src_data: x, {fields}}}]')
    assert cli.main(["jobs.yaml", "--check"]) == 0
    assert note in capsys.readouterr().err


def test_src_data_of_a_file_is_told(jobs, capsys):
    jobs.write_text('transfers: [{src: "file::text", dst: "iowarp::t", format: binary, src_data: x}]')
    assert cli.main(["jobs.yaml", "--check"]) == 0
    assert "note: transfer 1: src_data counts for string:: sources only and was ignored" in capsys.readouterr().err


def test_streams_in_pieces():
    item, = reading.survey("string::odd", src_data=ODD).items
    assert b"".join(reading.pieces(item, [0, 1, 255, 600, item.nbytes])) == ODD == reading.whole(item)


def test_contexts_of_the_reference(tmp_path):
    with cee.ContextInterface(store=tmp_path / "s") as interface:
        ctx = cee.AssimilationCtx("string::odd", "iowarp::t", "string", src_data=ODD)
        text = cee.AssimilationCtx()
        text.src, text.dst, text.format, text.src_data = "string::text", "iowarp::t", "string", "grüße"
        assert interface.context_bundle([ctx, text]) == 0
        assert interface.context_retrieve("t", "odd") == [ODD] and interface.context_retrieve("t", "text") == ["grüße".encode()]
        for src, data, code, sentence in (("string::x", "", 4, "string::x has no 'src_data'"), ("string::", b"x", 4, "names no blob"),
                                          ("string::x", 5, 2, "src_data of item 1 must be text or bytes, not 5"), ("string::x", "\ud800", 4, "half of a character")):
            assert interface.context_bundle([cee.AssimilationCtx(src, "iowarp::t", "string", src_data=data)]) == code
            assert sentence in str(interface.last_error)
        assert interface.context_query("t", ".*") == ["odd", "text"]


_TOGETHER = """
import wrp_cee as cee
from wrp.comm.ranks import world
with cee.ContextInterface() as interface:
    assert interface.context_bundle([cee.AssimilationCtx(f"string::b{n}", "iowarp::t", "string", src_data=bytes([n]) * (n + 1)) for n in range(7)]) == 0
    assert interface.context_retrieve("t", "b.*") == [b"".join(bytes([n]) * (n + 1) for n in range(7))]
    assert interface.context_bundle([cee.AssimilationCtx("string::b", "iowarp::t", "string")]) == 4
    world().barrier("all have seen it")
"""


@needs_mpirun
@pytest.mark.parametrize("ranks, nodes", [(3, {"WRP_RANKS_PER_NODE": "1"})])
def test_on_several_ranks(tmp_path, ranks, nodes):
    done = run_python(_TOGETHER, ranks, env={"WRP_STORE": str(tmp_path / "s"), **nodes})
    assert done.returncode == 0 and done.stderr.count("has no 'src_data'") == 1, done.stderr
