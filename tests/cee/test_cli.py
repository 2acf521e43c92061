"""The command wrp_cee: what it prints, as text and as JSON, and its exit codes."""

import errno
import json
import os
import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest

import wrp_cee as cee
from harness.mpirun import job_environment
from wrp.cee import filling
from wrp.cee.cli import main
from wrp.cte import Store
from wrp.runtime.config import load


@pytest.fixture
def filled(folder):
    with Store.open(folder) as store:
        for tag, blobs in {"run": 3, "run/a": 11, "probe": 1}.items():
            for number in range(blobs):
                store.put(tag, f"chunk_{number}", bytes([number]) * (number + 1))
    return folder


def run(capfdbinary, *arguments):
    """(exit code, standard output, standard error)"""
    code = main(list(map(str, arguments)))
    out, err = capfdbinary.readouterr()
    return code, out, err.decode()


def answer(capfdbinary, *arguments):
    code, out, err = run(capfdbinary, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_ls(filled, capfdbinary):
    assert answer(capfdbinary, "ls", "--store", filled) == [
        {"tag": "probe", "blobs": 1, "nbytes": 1}, {"tag": "run", "blobs": 3, "nbytes": 6},
        {"tag": "run/a", "blobs": 11, "nbytes": 66}]
    assert [row["tag"] for row in answer(capfdbinary, "ls", "run.*", "--store", filled)] == ["run", "run/a"]
    code, out, err = run(capfdbinary, "ls", "--store", filled)
    assert [line.split()[0] for line in out.decode().splitlines()] == ["tag", "probe", "run", "run/a"]


def test_query(filled, capfdbinary):
    rows = answer(capfdbinary, "query", "run/a", "chunk_.*", "--limit", "3", "--store", filled)
    assert rows == [{"tag": "run/a", "blob": f"chunk_{number}", "size": number + 1} for number in range(3)]
    names = [row["blob"] for row in answer(capfdbinary, "query", "run/a", "--store", filled)]
    assert names[-2:] == ["chunk_9", "chunk_10"]
    code, out, err = run(capfdbinary, "query", "run", "--store", filled)
    assert out.decode().splitlines()[-1].startswith("3 blobs")


def test_stat(filled, capfdbinary):
    rows = answer(capfdbinary, "stat", "run", "chunk_2", "--store", filled)
    assert [(row["blob"], row["size"], row["checksum"]) for row in rows] == [("chunk_2", 3, f"{zlib.crc32(bytes([2] * 3)):08x}")]
    assert len(answer(capfdbinary, "stat", "run/a", "--store", filled)) == 11


def test_stat_says_how_a_blob_is_stored(tmp_path, capfdbinary):
    elsewhere = tmp_path / "disk"
    conf = tmp_path / "conf.yaml"
    conf.write_text(f"storage: [{{path: 'ram::r', capacity_limit: 1m}}, {{path: {elsewhere}, bdev_type: file, capacity_limit: 32m}}]\n")
    with Store.open(tmp_path / "s", config=load(conf)) as store:
        store.put("t", "empty", b"")
        store.put("t", "long", os.urandom((5 << 20) + 1))
        store.put("t", "packed", bytes(100_000), compression="zlib")
        stored = store.info("t", "packed").stored
    rows = {row["blob"]: row for row in answer(capfdbinary, "stat", "t", "--store", tmp_path / "s")}
    (name,) = rows["long"]["targets"]
    assert name.startswith(f"{elsewhere}-") and os.path.getsize(name) > 5 << 20
    assert {blob: (row["stored"], row["codec"], row["targets"], row["tiers"]) for blob, row in rows.items()} == {
        "empty": (0, "none", {}, []), "long": ((5 << 20) + 1, "none", {name: (5 << 20) + 1}, ["file"]), "packed": (stored, "zlib", {name: stored}, ["file"])}
    assert rows["packed"]["size"] == 100_000 > stored > 0
    lines = run(capfdbinary, "stat", "t", "packed", "--store", tmp_path / "s")[1].decode().split("\n")
    assert lines[0].split() == ["blob", "bytes", "crc32", "score", "changed", "stored", "codec", "targets"]
    assert lines[1].split()[-3:] == [str(stored), "zlib", name]


def test_retrieve(filled, capfdbinary, tmp_path):
    assert run(capfdbinary, "retrieve", "run", "--store", filled)[1] == bytes([0, 1, 1, 2, 2, 2])
    out = tmp_path / "out"
    said = answer(capfdbinary, "retrieve", "run", "chunk_[12]", "--out", out, "--store", filled)
    assert out.read_bytes() == bytes([1, 1, 2, 2, 2])
    assert (said["nbytes"], len(said["blobs"]), said["out"]) == (5, 2, str(out))


def test_export(filled, capfdbinary, tmp_path):
    assert answer(capfdbinary, "export", "run", tmp_path / "x", "--store", filled)["nbytes"] == 6
    code, out, err = run(capfdbinary, "export", "run", tmp_path / "x", "--store", filled)
    assert code == 2 and "--force" in err
    assert run(capfdbinary, "export", "run", tmp_path / "x", "--force", "--store", filled)[0] == 0
    assert sorted(os.listdir(tmp_path)) == ["store", "x"]


def test_destroy_takes_all_or_nothing(filled, capfdbinary):
    code, out, err = run(capfdbinary, "destroy", "probe", "nothing", "--store", filled)
    assert code == 6 and "'nothing'" in err
    assert answer(capfdbinary, "destroy", "probe", "run/a", "--store", filled) == {"destroyed": ["probe", "run/a"]}
    assert [row["tag"] for row in answer(capfdbinary, "ls", "--store", filled)] == ["run"]


@pytest.mark.parametrize("arguments, code, sentence", [
    (["query", "nobody"], 6, "no blob matches"),
    (["query", "ru"], 6, "whole name"),
    (["query", "("], 2, "regular expression"),
    (["query", "run", "--limit", "-1"], 2, "--limit"),
    (["ls", "x+"], 6, "no tag matches"),
    (["stat", "nobody"], 6, "'nobody'"),
    (["stat", "run", "nobody"], 6, "'nobody'"),
    (["retrieve", "run", "--json"], 2, "--out"),
    (["retrieve", "run", "--out", "/nowhere/x"], 2, "/nowhere"),
    (["retrieve", "run", "--out", "/dev/null", "--force"], 2, "no regular file"),
    (["ls", "--jso"], 2, "--jso"),
    (["export", "nobody", "x"], 6, "'nobody'"),
])
def test_refusals(filled, capfdbinary, arguments, code, sentence):
    found, out, err = run(capfdbinary, *arguments, "--store", filled)
    assert (found, out) == (code, b"")
    assert sentence in err and err.count("\n") == 1 and err.startswith("wrp: ")


def test_store_that_is_not_there_is_not_made(folder, capfdbinary, monkeypatch):
    monkeypatch.setenv("WRP_STORE", folder)
    for arguments in (["ls"], ["destroy", "run"]):
        code, out, err = run(capfdbinary, *arguments)
        assert code == 7 and folder in err
        assert not os.path.exists(folder)


def test_file_in_the_place_of_a_store(tmp_path, capfdbinary):
    (tmp_path / "file").write_bytes(b"x")
    code, out, err = run(capfdbinary, "ls", "--store", tmp_path / "file")
    assert code == 7 and f"{tmp_path / 'file'} is a file" in err


def test_empty_store(folder, capfdbinary):
    Store.open(folder).close()
    assert run(capfdbinary, "ls", "--store", folder) == (0, b"the store is empty\n", "")
    assert answer(capfdbinary, "ls", "--store", folder) == []


def test_version(capfdbinary):
    code, out, err = run(capfdbinary, "--version")
    assert (code, err) == (0, "") and out.startswith(b"wrp_cee ") and out.count(b"\n") == 1


def test_one_blob_is_no_blobs(filled, capfdbinary):
    assert run(capfdbinary, "query", "probe", "--store", filled)[1].splitlines()[-1].startswith(b"1 blob, ")


def test_odd_and_long_names(folder, capfdbinary):
    long = "deep/" * 40 + "name"
    with Store.open(folder) as store:
        store.put("a\x1b[31m\nb", "chunk_0", b"x")
        store.put(long, "chunk_0", b"x")
    lines = run(capfdbinary, "query", ".*|a\\x1b.*\\n.*", "--store", folder)[1].decode().splitlines()
    assert any(line.startswith("a\\x1b[31m\\nb  ") and len(line) < 100 for line in lines)
    assert long in lines and lines[lines.index(long) + 1].split() == ["chunk_0", "1"]


def test_a_terminal_gets_no_bytes(filled):
    ours, theirs = os.openpty()
    try:
        done = subprocess.run([sys.executable, "-m", "wrp.cee.cli", "retrieve", "run", "--store", str(filled)], stdin=subprocess.DEVNULL,
                              stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=50)
    finally:
        os.close(ours), os.close(theirs)
    assert done.returncode == 2 and "nothing for a terminal: give --out FILE" in done.stderr


def test_retrieve_replaces_with_force_only(filled, capfdbinary, tmp_path):
    out = tmp_path / "out"
    out.write_bytes(b"mine")
    code, _, err = run(capfdbinary, "retrieve", "run", "--out", out, "--store", filled)
    assert code == 2 and "--force" in err and out.read_bytes() == b"mine"
    assert run(capfdbinary, "retrieve", "run", "--out", out, "--force", "--store", filled)[0] == 0
    assert out.read_bytes() == bytes([0, 1, 1, 2, 2, 2])


def test_retrieve_without_room_leaves_nothing(filled, capfdbinary, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(filling, "write_all", full)
    code, _, err = run(capfdbinary, "retrieve", "run", "--out", tmp_path / "out", "--store", filled)
    assert code == 8 and "no room" in err
    assert os.listdir(tmp_path) == ["store"]


def test_tag_of_one_dataset(folder, tmp_path, capfdbinary):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/b"] = np.arange(10)
        file["c"] = np.arange(3)
    with cee.ContextInterface(folder) as interface:
        interface.context_bundle([cee.AssimilationCtx(f"hdf5::{tmp_path / 'x.h5'}", "iowarp::my/run", "hdf5")])
    code, out, _ = run(capfdbinary, "export", "my/run/a/b", tmp_path / "b", "--store", folder)
    assert code == 0 and b"raw bytes of one dataset (wrp_cee export my/run rebuilds the HDF5 file)" in out
    assert b"raw bytes" not in run(capfdbinary, "export", "my/run", tmp_path / "whole.h5", "--store", folder)[1]
    code, out, err = run(capfdbinary, "destroy", "my/run/a/b", "--store", folder)
    assert code == 0 and "my/run can't be exported whole any more" in err
    assert run(capfdbinary, "destroy", "my/run/c", "my/run", "--store", folder)[2] == ""


def test_virtual_and_external_datasets_are_named(folder, tmp_path, capfdbinary):
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["x"] = np.arange(4)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        layout = h5py.VirtualLayout((4,), "i8")
        layout[:] = h5py.VirtualSource(tmp_path / "part.h5", "x", (4,))
        file.create_virtual_dataset("v", layout)
        file.create_dataset("e", (4,), "i8", external=[(str(tmp_path / "raw"), 0, 32)])[:] = np.arange(4)
        file["plain"] = np.arange(4)
    with cee.ContextInterface(folder) as interface:
        interface.context_bundle([cee.AssimilationCtx(f"hdf5::{tmp_path / 'x.h5'}", "iowarp::run", "hdf5")])
    code, out, err = run(capfdbinary, "export", "run", tmp_path / "again.h5", "--store", folder)
    assert code == 0 and err.count("\n") == 2
    assert "/v is virtual: " in err and "/e is stored in other files: " in err
    assert "wrp_cee retrieve run/v 'chunk_.*' --out FILE" in err
    assert run(capfdbinary, "retrieve", "run/v", "chunk_.*", "--store", folder)[1] == np.arange(4).tobytes()


@pytest.mark.parametrize("command", ["query", "retrieve"])
@pytest.mark.parametrize("where, sentence", [(">/dev/full", "No space left"), ("| true", "closed by its reader")])
def test_output_that_cannot_be_written(folder, command, where, sentence):
    with Store.open(folder) as store:
        store.put("big", "blob", bytes(1 << 20))
        for number in range(5000 if where == "| true" else 1):
            store.put("big", f"{number}", b"x")
    line = f"{sys.executable} -m wrp.cee.cli {command} big --store {folder} {where}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=60, env=job_environment())
    assert done.returncode == 1 and sentence in done.stderr
    assert done.stderr.startswith("wrp: ") and done.stderr.count("\n") == 1


def test_stat_without_a_tag_and_recover(tmp_path, capfdbinary, monkeypatch):
    folder, conf = tmp_path / "s", tmp_path / "conf.yaml"
    disks = [tmp_path / f"disk{number}" for number in range(3)]
    for disk in disks:
        disk.mkdir()
    conf.write_text(f"storage: [{{path: 'ram::r', capacity_limit: 1m}}, {{path: {tmp_path / 'plain'}, bdev_type: file, capacity_limit: 4m}}, "
                    f"{{path: kept, bdev_type: safe, members: [{', '.join(str(disk / 'p') for disk in disks)}], capacity_limit: 8m}}]\n")
    with Store.open(folder, config=load(conf)) as store:
        for number in range(8):
            store.put("t", str(number), os.urandom(1 << 20))
    before = run(capfdbinary, "retrieve", "t", "--store", folder)[1]
    found = {each["kind"]: each for each in answer(capfdbinary, "stat", "--store", folder)}
    assert set(found) == {"file", "safe"} and found["file"]["state"] == {} and found["file"]["name"].startswith(f"{tmp_path / 'plain'}-")
    state = found["safe"]["state"]
    assert state["failed"] == [] and state["parity_level"] == 1 and len(state["members"]) == 3
    os.unlink(state["members"][1])
    code, out, err = run(capfdbinary, "stat", "--store", folder)
    assert (code, err) == (0, "") and out.decode().splitlines()[-1] == f"safe: 3 members, 1 out ({state['members'][1]}), none more may be lost"
    assert [line.split()[1] for line in out.decode().splitlines() if line.startswith("safe ")] == ["in", "out", "in"]
    for arguments, sentence in ((("recover", state["members"][0]), "is no member that is out: out are /"), (("recover", "nobody"), "nobody is no member that is out")):
        code, out, err = run(capfdbinary, *arguments, "--store", folder)
        assert (code, out) == (2, b"") and sentence in err
    ticks, rebuild = [], Store.recover
    monkeypatch.setattr(Store, "recover", lambda self, device, file, path, tick: ticks.append(tick) or rebuild(self, device, file, path, tick))
    code, out, err = run(capfdbinary, "recover", "--store", folder, "--json")
    assert [tick.__name__ for tick in ticks] == ["tick"]            # others wait for this rank meanwhile
    assert code == 0 and json.loads(out) == {"recovered": {state["members"][1]: pytest.approx(os.path.getsize(state["members"][2]) >> 16, abs=40)}}
    assert run(capfdbinary, "recover", "--store", folder)[:2] == (0, b"no member is out\n")
    os.unlink(state["members"][0])
    assert run(capfdbinary, "retrieve", "t", "--store", folder)[1] == before
