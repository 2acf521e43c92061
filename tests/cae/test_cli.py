"""The command `wrp_cae_omni` in one process: report, exit codes, and where it keeps the store."""

import json
import os
import signal
import subprocess
import sys

import pytest
from harness.mpirun import job_environment, mpirun, needs_mpirun

import wrp
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


def test_check_says_what_there_is_and_takes_nothing_in(jobs, capsys, tmp_path):
    assert cli.main(["jobs.yaml", "--check"]) == 0
    assert capsys.readouterr().out == "transfer 1: file::data.bin: 1 dataset(s), 100 B\n"
    assert cli.main(["jobs.yaml", "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"transfers": [
        {"number": 1, "src": "file::data.bin", "dst": "iowarp::t", "datasets": 1, "nbytes": 100}], "notes": []}
    assert not (tmp_path / "wrp-store").exists()


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
    assert sorted(path.name for path in jobs.parent.iterdir()) == ["data.bin", "jobs.yaml"]       # no store is left that holds nothing


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


def test_version_and_no_abbreviations(jobs, capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"wrp_cae_omni {wrp.__version__}\n"
    assert cli.main(["jobs.yaml", "--qui"]) == 2
    assert "unrecognized arguments: --qui" in capsys.readouterr().err


def test_nothing_to_do(jobs, capsys):
    jobs.write_text("transfers: []\n")
    assert cli.main(["jobs.yaml"]) == 0
    out, err = capsys.readouterr()
    assert out == "nothing to do: the job file has no transfers\n" and err == ""
    assert cli.main(["jobs.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["transfers"] == []


COMMAND = [sys.executable, "-m", "wrp.cae.cli"]


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["jobs.yaml", "--quiet"], ["jobs.yaml", "--quiet", "--json"]])
def test_output_that_can_not_be_written(jobs, arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run(COMMAND + arguments, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=job_environment())
    assert done.returncode == 1
    assert done.stderr.startswith("wrp: standard output can't be written") and "No space left on device" in done.stderr and done.stderr.count("\n") == 1
    if "jobs.yaml" in arguments:
        with Store.open("wrp-store", world()) as store:
            assert store.get("t", "chunk_0") == bytes(100)


def test_a_reader_that_left_is_told_too(jobs):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(COMMAND + ["jobs.yaml"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, env=job_environment())
    os.close(writing)
    assert done.returncode == 1 and "can't be written (Broken pipe)" in done.stderr and "Traceback" not in done.stderr


def test_nobody_on_either_output_does_not_stop_the_job(jobs):
    with open("/dev/full", "w") as full:
        done = subprocess.run(COMMAND + ["jobs.yaml"], stdout=full, stderr=full, timeout=60, env=job_environment())
        told = subprocess.run(COMMAND + ["jobs.yaml"], stdout=subprocess.PIPE, stderr=full, timeout=60, env=job_environment())
    assert done.returncode == 1 and told.returncode == 0 and told.stdout
    with Store.open("wrp-store", world()) as store:
        assert store.tags() == ["t"]


def test_a_failure_wins_over_a_report_that_can_not_be_written(jobs):
    jobs.write_text(jobs.read_text() + "  - {src: 'file::none', dst: 'iowarp::u', format: binary}\n")
    with open("/dev/full", "w") as full:
        done = subprocess.run(COMMAND + ["jobs.yaml", "--quiet"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
                              env=job_environment())
    assert done.returncode == 5 and "does not exist" in done.stderr and done.stderr.count("\n") == 1


@needs_mpirun
def test_on_two_ranks_unwritable_output_is_one_sentence(jobs):
    script = 'exec "$@" > /dev/full'
    done = mpirun(2, ["sh", "-c", script, "sh", *COMMAND, "jobs.yaml", "--quiet"])
    assert done.returncode == 1
    assert done.stderr.count("can't be written (No space left on device)") == 1 and "MPI_ABORT" not in done.stderr


_TERMINATED = """
import os, signal, sys
from wrp.cae import cli, source
fill = source.fill
def slow(fd, buffer, offset, path):
    fill(fd, buffer, offset, path)
    if offset == 2 << 20:
        os.kill(os.getpid(), signal.SIGTERM)
source.fill = slow
sys.exit(cli.main(sys.argv[1:]))
"""


def test_sigterm_lets_the_half_done_transfer_go(jobs, tmp_path):
    (tmp_path / "big.bin").write_bytes(bytes(5 << 20))
    jobs.write_text(jobs.read_text() + "  - {src: 'file::big.bin', dst: 'iowarp::u', format: binary}\n")
    done = subprocess.run([sys.executable, "-c", _TERMINATED, "jobs.yaml", "--quiet"], capture_output=True, text=True, timeout=60,
                          env=job_environment())
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr == "wrp: interrupted\n"
    with Store.open("wrp-store", world()) as store:
        assert store.tags() == ["t"]
