"""`wrp_cae_omni --resume` and `--check`: what a second run leaves out, and what it doesn't."""

import json

import pytest

from wrp.cae import cli
from wrp.comm.ranks import world
from wrp.cte import Store

_JOBS = """transfers:
  - {name: first, src: 'file::a.bin', dst: 'iowarp::a', format: binary, src_token: secret}
  - {src: 'file::b.bin', dst: 'iowarp::b', format: binary, depends_on: first}
"""


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A folder in which a run finished the first of two transfers and failed at the second."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"old")
    (tmp_path / "jobs.yaml").write_text(_JOBS)
    assert run() == 5
    (tmp_path / "a.bin").write_bytes(b"new")
    (tmp_path / "b.bin").write_bytes(b"second")
    return tmp_path


def run(*options):
    return cli.main(["jobs.yaml", "--store", "s", "--resume", "done", *options])


def content():
    with Store.open("s", world()) as store:
        return {tag: bytes(store.get(tag, "chunk_0")) for tag in store.tags()}


def test_goes_on_with_what_is_left(stopped, capsys):
    assert run() == 0
    assert "1 of 2 transfer(s) are in the store already (done)" in capsys.readouterr().err
    assert content() == {"a": b"old", "b": b"second"}
    assert "secret" not in (stopped / "done").read_text()
    assert run("--quiet") == 0 and len((stopped / "done").read_text().splitlines()) == 2


def test_takes_in_again_what_was_edited(stopped):
    (stopped / "jobs.yaml").write_text(_JOBS.replace("src_token: secret", "range_off: 1, range_size: 2"))
    assert run("--quiet") == 0
    assert content() == {"a": b"ew", "b": b"second"}


def test_takes_in_again_what_the_store_lost(stopped):
    with Store.open("s", world()) as store:
        store.destroy("a")
    assert run("--quiet") == 0
    assert content() == {"a": b"new", "b": b"second"}


def test_a_torn_line_counts_for_nothing(stopped):
    done = stopped / "done"
    done.write_text(done.read_text()[:-5])
    assert run("--quiet") == 0 and content()["a"] == b"new"
    (stopped / "a.bin").write_bytes(b"newest")
    assert run("--quiet") == 0 and content()["a"] == b"new"


def test_a_file_that_cannot_be_written_is_refused_before_the_work(stopped, capsys):
    assert cli.main(["jobs.yaml", "--store", "t", "--resume", "none/done", "--quiet"]) == 2
    assert "none/done can't be written" in capsys.readouterr().err
    with Store.open("t", world()) as store:
        assert store.tags() == []


def test_check_says_what_would_be_ignored(stopped, capsys):
    (stopped / "jobs.yaml").write_text(_JOBS.replace("name: first", "name: first, dataset_fliter: {}"))
    sentence = "transfer 1 (first): the key 'dataset_fliter' is not known and was ignored; did you mean 'dataset_filter'?"
    assert cli.main(["jobs.yaml", "--check"]) == 0
    assert capsys.readouterr().err == f"note: {sentence}\n"
    assert cli.main(["jobs.yaml", "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [sentence]


def test_check_looks_and_takes_nothing_in(stopped, capsys):
    assert cli.main(["jobs.yaml", "--store", "t", "--check"]) == 0
    assert capsys.readouterr().out.splitlines() == ["transfer 1 (first): file::a.bin: 1 dataset(s), 3 B",
                                                    "transfer 2: file::b.bin: 1 dataset(s), 6 B"]
    assert not (stopped / "t").exists()
    (stopped / "b.bin").unlink()
    assert cli.main(["jobs.yaml", "--store", "t", "--check"]) == 5
