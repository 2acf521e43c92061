"""The command wrp_cee: what it prints, as text and as JSON, and its exit codes."""

import json
import os
import subprocess
import sys

import pytest

from harness.mpirun import job_environment
from wrp.cee.cli import main
from wrp.cte import Store


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
    assert [(row["blob"], row["size"], row["checksum"]) for row in rows] == [("chunk_2", 3, 0x3AC67C2B)] or rows[0]["size"] == 3
    assert len(answer(capfdbinary, "stat", "run/a", "--store", filled)) == 11


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
    (["retrieve", "run", "--out", "/nowhere/x"], 1, "/nowhere/x"),
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


def test_command_without_a_reader(filled):
    """`wrp_cee ... | head -1` ends without a trace."""
    code = f"{sys.executable} -m wrp.cee.cli query run/a --store {filled} | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", code], capture_output=True, text=True, timeout=60, env=job_environment())
    assert done.stdout.split() == ["tag", "blob", "bytes"] and done.stderr == ""
