"""The command `wrp_cae_omni` in one process: report, exit codes, and where it keeps the store."""

import json

import pytest

from wrp.cae import cli
from wrp.comm.ranks import world
from wrp.cte import Store


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A job file with one good transfer, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WRP_STORE", raising=False)
    (tmp_path / "data.bin").write_bytes(bytes(100))
    (tmp_path / "jobs.yaml").write_text("transfers:\n  - {src: 'file::data.bin', dst: 'iowarp::t', format: binary}\n")
    return tmp_path / "jobs.yaml"


def test_report_and_default_folder(jobs, capsys):
    assert cli.main(["jobs.yaml", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split()[:4] == ["1", "1", "100", "B"] and err == ""
    with Store.open("wrp-store", world()) as store:
        assert store.get("t", "chunk_0") == bytes(100)


def test_json_and_store_from_the_environment(jobs, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("WRP_STORE", str(tmp_path / "other"))
    assert cli.main(["jobs.yaml", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["store"] == str(tmp_path / "other") and found["transfers"][0]["nbytes"] == 100
    assert "transfer 1: file::data.bin -> iowarp::t: done, 100 B" in err


def test_store_option_wins(jobs, monkeypatch, tmp_path):
    monkeypatch.setenv("WRP_STORE", str(tmp_path / "other"))
    assert cli.main(["jobs.yaml", "--quiet", "--store", "mine"]) == 0
    assert (tmp_path / "mine").is_dir() and not (tmp_path / "other").exists()


@pytest.mark.parametrize("text, code, sentence", [
    ("transfers: 5", 4, "OMNI 'transfers' must be a sequence/array"),
    ("transfers: [{src: 'file::none', dst: 'iowarp::t', format: binary}]", 5, "does not exist"),
    ("transfers: [{src: 'file::data.bin', dst: 'iowarp::t', format: b, range_off: 99, range_size: 2}]", 6, "beyond the end"),
])
def test_exit_codes(jobs, capsys, text, code, sentence):
    jobs.write_text(text)
    assert cli.main(["jobs.yaml", "--quiet"]) == code
    out, err = capsys.readouterr()
    assert sentence in err and err.count("\n") == 1 and out == ""


def test_finished_transfers_are_reported_when_a_later_one_fails(jobs, capsys):
    jobs.write_text(jobs.read_text() + "  - {src: 'file::none', dst: 'iowarp::u', format: binary}\n")
    assert cli.main(["jobs.yaml", "--quiet", "--json"]) == 5
    found = json.loads(capsys.readouterr().out)
    assert [transfer["number"] for transfer in found["transfers"]] == [1]
    assert found["exit_code"] == 5 and "does not exist" in found["error"]


@pytest.mark.parametrize("arguments, sentence", [
    ([], "no job file was named"), (["--nonsense", "jobs.yaml"], "unrecognized arguments: --nonsense"),
    (["jobs.yaml", "--timeout", "soon"], "argument --timeout: 'soon' is not a number of seconds above 0"),
])
def test_wrong_usage(jobs, capsys, arguments, sentence):
    assert cli.main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_help_names_the_defaults(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "default: WRP_STORE, else ./wrp-store" in out and "exit codes" in out
