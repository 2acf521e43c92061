"""Exports in the reference's forms, and the import that is the inverse of one: bytes as the reference writes them, on any number of ranks, holes refused."""

import json
import struct

import h5py
import numpy as np
import pytest
from cae import reading
from harness.mpirun import needs_mpirun, run_python

from wrp.cae import described, ingest, omni
from wrp.cee import asked, cli, export
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import Corrupt, NothingMatched, SourceError, UsageError


@pytest.fixture
def store(folder):
    with Store.open(folder) as opened:
        yield opened


def meta(shape, chunk, kind, itemsize, magic=0x4B564835, version=1):
    """`__meta` as the reference's client writes it."""
    padded = [*shape, *[0] * (8 - len(shape)), *chunk, *[0] * (8 - len(chunk))]
    return struct.pack("<4IQ16Q", magic, version, len(shape), kind, itemsize, *padded)


def put(store, tag, values, chunk, kind):
    """A tag as the reference's client leaves it."""
    store.put(tag, "__meta", meta(values.shape, chunk, kind, values.itemsize))
    grid = [length // part for length, part in zip(values.shape, chunk)]
    for at in np.ndindex(*grid):
        box = tuple(slice(place * part, (place + 1) * part) for place, part in zip(at, chunk))
        store.put(tag, "_".join(map(str, at)), values[box].tobytes())


KINDS = ["V5", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


@pytest.mark.parametrize("kind", range(11))
def test_a_described_tag_is_its_dataset_and_comes_back(store, tmp_path, kind):
    values = np.frombuffer(np.random.default_rng(kind).bytes(8 * 6 * 2 * np.dtype(KINDS[kind]).itemsize), KINDS[kind]).reshape(8, 6, 2)
    put(store, "run/step/u", values, (4, 3, 2), kind)
    nbytes = export.run(store, "run/step/u", tmp_path / "u.h5", world())
    assert nbytes == (tmp_path / "u.h5").stat().st_size
    with h5py.File(tmp_path / "u.h5") as file:
        found = file["run/step/u"]
        assert found.chunks == (4, 3, 2) and found.dtype == values.dtype and found[()].tobytes() == values.tobytes()
    before = {blob: store.get("run/step/u", blob) for _, blob in store.blobs("run/step/u")}
    store.destroy("run/step/u")
    ingest.run(omni.Job((omni.Transfer(1, f"kvhdf5::{tmp_path}/u.h5", "iowarp::run/step/u", "hdf5"),)), store, world())
    assert {blob: store.get("run/step/u", blob) for _, blob in store.blobs("run/step/u")} == before


@pytest.mark.parametrize("blob, data, sentence", [
    ("0_1", None, "has 3 of the 4 chunks that its __meta describes: a dataset with holes isn't exported"),
    ("0_1", b"short", "has 5 of the 48 bytes of its chunk '0_1'"),
    ("__meta", b"x", "__meta of tag 't' has 1 bytes, not 152"),
    ("__meta", meta((8, 6), (4, 3), 9, 4, version=2), "describes no dataset of version 1"),
    ("__meta", meta((8, 6), (4, 3), 9, 4, magic=5), "describes no dataset"),
    ("__meta", meta((8, 6), (3, 3), 9, 4), "describes no dataset"),
    ("__meta", meta((8, 6), (4, 0), 9, 4), "describes no dataset"),
    ("__meta", meta((8, 6), (4, 3), 9, 8), "describes no dataset"),
    ("__meta", meta((8, 6), (4, 3), 11, 4), "describes no dataset"),
    ("__meta", meta((2**63, 2**63), (1, 1), 9, 4), "describes no dataset"),
    ("__meta", meta((2**40, 6), (1, 3), 9, 4), "has 4 of the 2199023255552 chunks"),
])
def test_holes_and_what_describes_nothing_are_refused(store, tmp_path, blob, data, sentence):
    put(store, "t", np.arange(48, dtype="f4").reshape(8, 6), (4, 3), 9)
    store.delete("t", blob)
    if data is not None:
        store.put("t", blob, data)
    with pytest.raises(Corrupt, match=sentence):
        export.run(store, "t", tmp_path / "t.h5", world())
    assert list(tmp_path.glob("*t.h5*")) == []


def test_another_name_in_place_of_a_chunk_is_a_hole(store, tmp_path):
    put(store, "t", np.arange(48, dtype="f4").reshape(8, 6), (4, 3), 9)
    store.put("t", "7_7", store.get("t", "1_1"))
    store.delete("t", "1_1")
    with pytest.raises(Corrupt, match="has 0 of the 48 bytes of its chunk '1_1'"):
        export.run(store, "t", tmp_path / "t.h5", world())


def test_records_and_datasets_of_bytes(store, tmp_path):
    blobs = {"b10": b"x" * 70_000, "b2": b"", "größe/a": bytes(range(256)), "__meta": meta((1,), (1,), 1, 1), "0": b"q"}
    for name, data in blobs.items():
        store.put("t", name, data)
    del blobs["__meta"]
    export.run(store, "t", tmp_path / "t.bin", world(), form="binary")
    data, at, found = (tmp_path / "t.bin").read_bytes(), 0, {}
    while at < len(data):
        length, = struct.unpack_from("<I", data, at)
        name, (nbytes,) = data[at + 4:at + 4 + length].decode(), struct.unpack_from("<Q", data, at + 4 + length)
        at += 12 + length + nbytes
        found[name] = data[at - nbytes:at]
    assert found == blobs and list(found) == ["0", "b2", "b10", "größe/a"]
    store.delete("t", "__meta")
    export.run(store, "t", tmp_path / "t.h5", world(), form="hdf5")
    with h5py.File(tmp_path / "t.h5") as file:
        assert {name: file[name][()].tobytes() for name in blobs} == blobs and file["b2"].shape == (0,)
    store.put("t", "größe", b"a group already")
    with pytest.raises(UsageError, match="'größe/a' can't be the path of a dataset in an HDF5 file beside the others"):
        export.run(store, "t", tmp_path / "u.h5", world(), form="hdf5")
    with pytest.raises(UsageError, match="'zip' is no format of an export; there are hdf5 and binary"):
        export.run(store, "t", tmp_path / "u.h5", world(), form="zip")
    assert list(tmp_path.glob("*u.h5*")) == []


def test_chunks_too_large_for_hdf5(store, tmp_path, monkeypatch):
    values = np.arange(48, dtype="f8").reshape(8, 6)
    monkeypatch.setattr(asked, "_TOO_LARGE", 100)
    put(store, "one", values, (8, 6), 10)
    put(store, "two", values, (4, 6), 10)
    export.run(store, "one", tmp_path / "one.h5", world())
    with h5py.File(tmp_path / "one.h5") as file:
        assert file["one"].chunks is None and np.array_equal(file["one"], values)
    with pytest.raises(UsageError, match="has chunks of 192 bytes"):
        export.run(store, "two", tmp_path / "two.h5", world())


@pytest.mark.parametrize("shape, chunk, dtype, expected", [
    ((400, 300), (100, 100), "f8", (100, 100)), ((541, 541), (100, 100), "f8", (541, 541)), ((4096, 4096), None, "f4", (128, 4096)),
    ((3, 1 << 20), None, "f8", (1, 1 << 18)), ((1_000_003,), None, "u1", (1_000_003,)), ((5,), None, ">i4", (5,)),
])
def test_chunks_of_an_import(shape, chunk, dtype, expected):
    found = described.of(shape, chunk, np.dtype(dtype), "here")
    assert found.chunk == expected and all(length % part == 0 for length, part in zip(shape, found.chunk))
    assert described.unpack(found.pack(), "t") == found


@pytest.mark.parametrize("length, chunk", [(2**61 - 1, 1), (3 * (2**31 - 1), 2**31 - 1), (2**40, 2 << 20)])
def test_chunks_of_huge_lengths_are_chosen_at_once(length, chunk):
    assert described.of((length,), None, np.dtype("u1"), "here").chunk == (chunk,)


@pytest.mark.parametrize("shape, chunk, dtype, sentence", [
    ((), None, "f8", "has no dimensions or no elements"), ((3, 0), None, "f8", "no elements"), ((1,) * 9, None, "f8", "has 9 dimensions"),
    ((4,), None, "f2", "elements of type float16"), ((4,), None, "S3", "elements of type"), ((4,), None, "?", "elements of type bool"),
    ((4,), None, "i4,f4", "elements of type"), ((100_000,) * 7, (1,) * 7, "u1", "longer than 31 characters"),
])
def test_what_no_import_keeps(shape, chunk, dtype, sentence):
    with pytest.raises(SourceError, match=sentence):
        described.of(shape, chunk, np.dtype(dtype), "here")


@pytest.fixture
def file(tmp_path):
    """An HDF5 file with datasets of several ways of storage."""
    with h5py.File(tmp_path / "f.h5", "w") as made:
        made.create_dataset("a/gzip", data=np.arange(60_000, dtype=">i4").reshape(300, 200), chunks=(100, 50), compression=1)
        made["flat"] = np.arange(100.0)
        made["text"] = "words"
    return tmp_path / "f.h5"


def test_commands(file, tmp_path, folder, capsys):
    assert cli.main(["import", "a/gzip", str(file), "--store", folder]) == 0
    assert capsys.readouterr().out.startswith("a/gzip: 234.38 KiB in ")
    assert cli.main(["import", "other", f"{file}:/flat", "--store", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nbytes"] == 800
    assert cli.main(["export", "a/gzip", str(tmp_path / "again.h5"), "--store", folder]) == 0
    assert cli.main(["export", "other", str(tmp_path / "other.bin"), "--format", "binary", "--store", folder]) == 0
    with h5py.File(tmp_path / "again.h5") as again, h5py.File(file) as source:
        assert again["a/gzip"].chunks == (100, 50) and again["a/gzip"].dtype == "<i4" and np.array_equal(again["a/gzip"], source["a/gzip"])
    capsys.readouterr()
    for arguments, code, sentence in ((["import", "none", str(file)], NothingMatched.exit_code, "f.h5:/none: there is no dataset; name it, kvhdf5::"),
                                      (["import", "text", str(file)], SourceError.exit_code, "f.h5:/text has no dimensions"),
                                      (["import", "t", str(tmp_path / "none")], 5, "does not exist"), (["import", "", str(file)], 4, "names no tag"),
                                      (["export", "other", str(tmp_path / "x"), "--format", "zip"], 2, "invalid choice: 'zip'")):
        assert cli.main([*arguments, "--store", folder]) == code
        assert sentence in capsys.readouterr().err
    with Store.open(folder, write=False) as store:
        assert store.tags() == ["a/gzip", "other"]


def test_a_reader_of_chunks_gives_any_piece(file):
    item, = reading.survey(f"kvhdf5::{file}:/a/gzip").items
    whole = reading.whole(item)
    with h5py.File(file) as source:
        values = source["a/gzip"][()].astype("<i4")
    assert whole == b"".join(values[i:i + 100, j:j + 50].tobytes() for i in range(0, 300, 100) for j in range(0, 200, 50))
    assert b"".join(reading.pieces(item, [0, 3, 20_001, 99_999, item.nbytes])) == whole
    assert [item.name(number) for number in (0, 3, 4, 11)] == ["0_0", "0_3", "1_0", "2_3"]
    reader = item.open()
    reader.close()
    with pytest.raises(SourceError, match="closed"):
        reader.read_into(bytearray(1), 0)


_TOGETHER = """
from wrp.cae import ingest, omni
from wrp.cee import export
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import Corrupt
ranks = world()
with Store.open(None, ranks) as store:
    ingest.run(omni.Job((omni.Transfer(1, "SOURCE", "iowarp::a/gzip", "hdf5"),)), store, ranks)
    for form, name in (("", "again.h5"), ("binary", "again.bin")):
        export.run(store, "a/gzip", name, ranks, form=form)
    ranks.barrier("exported")
    if ranks.rank == 0:
        store.delete("a/gzip", "1_1")
    ranks.barrier("a hole is there")
    try:
        export.run(store, "a/gzip", "hole.h5", ranks)
    except Corrupt as error:
        assert "has 11 of the 12 chunks" in str(error)
    else:
        raise AssertionError("nothing was refused")
"""


@needs_mpirun
@pytest.mark.parametrize("ranks, nodes", [(3, {"WRP_RANKS_PER_NODE": "1"})])
def test_on_several_ranks(file, tmp_path, monkeypatch, ranks, nodes):
    monkeypatch.chdir(tmp_path)
    done = run_python(_TOGETHER.replace("SOURCE", f"kvhdf5::{file}"), ranks, env=nodes)
    assert done.returncode == 0, done.stderr
    with h5py.File(tmp_path / "again.h5") as again, h5py.File(file) as source:
        assert np.array_equal(again["a/gzip"], source["a/gzip"])
    assert (tmp_path / "again.bin").stat().st_size == 12 * (12 + 3 + 20_000) and not (tmp_path / "hole.h5").exists()
