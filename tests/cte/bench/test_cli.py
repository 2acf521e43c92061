"""wrp_cte_bench in one process and under mpirun: what it counts, what it refuses, what it leaves behind."""

import json
import sys

import pytest

from harness.mpirun import mpirun, needs_mpirun
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.bench import cli, measuring, phase
from wrp.cte.bench.work import Work
from wrp.errors import NoSuchTag, UsageError


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    conf = tmp_path / "conf.yaml"
    conf.write_text("storage: [{path: 'ram::x', bdev_type: ram, capacity_limit: 32m}, {path: data, bdev_type: file, capacity_limit: 32m}]")
    monkeypatch.setenv("WRP_RUNTIME_CONF", str(conf))
    monkeypatch.delenv("CHI_SERVER_CONF", raising=False)


def run(capsys, *arguments):
    assert cli.main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("arguments", [("Put", 2, 4, "4k", 50), ("Get", 1, 1, "4k", 20), ("PutGet", 2, 3, "20000", 10), ("PutGet", 1, 4, "1k", 30, "--async"),
                                       ("Get", 2, 4, "4k", 50, "--jitted"), ("Put", 2, 1, "300k", 12, "--fresh"), ("PutGet", 1, 2, "64k", 6, "--compression", "zlib")], ids=str)
def test_what_is_measured(arguments, capsys):
    result = run(capsys, arguments[0].lower(), *arguments[1:], "--verify")
    case, threads, _, size, count = arguments[:5]
    names = {"Put": ["put"], "Get": ["get"], "PutGet": ["put", "get"]}[case]
    assert list(result["phases"]) == ["memcpy", *names] and list(result["ratios"]) == [f"{name}_to_memcpy" for name in names]
    for found in result["phases"].values():
        speeds, latency = found["thread_MB_per_s"], found["latency_ns"]
        assert (found["operations"], found["failed"]) == (threads * count, 0)
        assert 0 < speeds["min"] <= speeds["avg"] <= speeds["max"] and found["MB_per_s"] <= threads * speeds["max"] * 1.001
        assert found["MB_per_s"] == pytest.approx(threads * count * result["options"]["io_size"] / found["elapsed_s"] / 1e6)
        assert 0 < latency["p50"] <= latency["p99"] <= latency["p99.9"] <= latency["max"] <= found["elapsed_s"] * 1e9
    assert result["options"]["fresh"] == ("--fresh" in arguments)
    assert result["verified"] and result["wrong"] == 0 and result["blobs"] == threads * count


@pytest.mark.parametrize("fresh", [False, True])
def test_the_warm_up_gives_memory_its_pages(monkeypatch, fresh):
    """All clients put what they will put, at once, and nothing of it is left when time runs."""
    seen = []
    put, cool_down = Work.put, Work.cool_down

    def counted(self):
        seen.append((self.tag, len(self.names), [tag for tag in self._store.tags() if "warm-up" in tag]))
        return put(self)
    monkeypatch.setattr(Work, "put", counted)
    monkeypatch.setattr(Work, "cool_down", lambda self: (seen.append("removed"), cool_down(self)))
    measuring.measure(world(), cli.parse(["Put", "2", "3", "4k", "20", *["--fresh"] * fresh]))
    count = 3 if fresh else 20
    assert seen[:4] == [("tag_t0 warm-up", count, []), ("tag_t1 warm-up", count, ["tag_t0 warm-up"]), "removed", "removed"]
    assert sorted(seen[4:]) == [("tag_t0", 20, []), ("tag_t1", 20, [])]


def test_a_folder_is_flushed_and_stays_without_the_blobs(tmp_path, capsys):
    result = run(capsys, "Put", 1, 2, "8k", 10, "--store", tmp_path / "store")
    assert result["phases"]["put"]["flush_s"] > 0
    with Store.open(tmp_path / "store") as store:
        assert store.tags() == []


def test_what_fails_is_counted():
    options = cli.parse(["PutGet", "1", "2", "1m", "40", "--json"])
    with Store.open(None) as store:
        work = Work(store, options, 0)
        done = phase.run(world(), "put", [work.put])
        found = phase.figures(world(), done, 40 << 20, work.failed)
        assert 0 < found["failed"] < 40 == found["operations"] and not work.are_there()
        assert found["MB_per_s"] == pytest.approx((40 - found["failed"]) * (1 << 20) / found["elapsed_s"] / 1e6)
        store.delete(work.tag, "blob_0")
        store.put(work.tag, "blob_0", b"others")
        work.verify()
        assert 0 < work.wrong < 40
        work.close()
        with pytest.raises(NoSuchTag):
            store.list(work.tag)


def test_wrong_bytes_are_an_error(capsys, monkeypatch):
    monkeypatch.setattr(Work, "get", lambda self: (self._store.put(self.tag, "blob_1", b"others"), [1] * 3)[1])
    assert cli.main(["PutGet", "1", "1", "4k", "3", "--verify"]) == 1
    printed = capsys.readouterr()
    assert "1 of 3 blobs" in printed.err and "1 wrong" in printed.out


def test_the_first_error_of_a_thread_is_raised():
    def fails():
        raise UsageError("a thread's own")
    with pytest.raises(UsageError, match="a thread's own"):
        phase.run(world(), "fail", [fails, lambda: [1]])


@pytest.mark.parametrize("arguments", [["Put"], ["Set", 1, 1, "4k", 1], ["Put", 0, 1, "4k", 1], ["Put", 1, 0, "4k", 1], ["Put", 1, 1, "4q", 1], ["Put", 1, 1, "4k", 0],
                                       ["Put", 1, 1, "1t", 2], ["Put", 1, 1, "1t", 1], ["Put", 1, 1, 1, 10**12], ["Put", 1, 1, "4k", 1, "--jitted"], ["Get", 1, 1, "4k", 1, "--jitted", "--async"],
                                       ["Put", 1, 1, "4k", 1, "--compression", "no"]], ids=str)
def test_wrong_options_are_a_sentence(arguments, capsys):
    assert cli.main([*map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("wrp: ") and len(printed.err.splitlines()) == 1


@pytest.mark.parametrize("more", [[], ["--verify"], ["--async"]], ids=str)
def test_some_that_failed_are_an_error_with_the_first_reason(capsys, more):
    assert cli.main(["Put", "1", "1", "1m", "100", "--fresh", *more]) == 1
    printed = capsys.readouterr()
    assert "failed; a thread" in printed.out and len(printed.err.splitlines()) == 1
    assert ("blobs didn't have the bytes" if "--verify" in more else "puts failed, first: the store in memory: no tier has room for 1 MiB") in printed.err


@pytest.mark.parametrize("more", [[], ["--fresh"]], ids=str)
def test_more_blobs_than_the_index_has_names_for_are_refused_before_any_is_put(capsys, monkeypatch, more):
    monkeypatch.setattr(Work, "__init__", lambda *_: pytest.fail("the clients were made"))
    assert cli.main(["PutGet", "2", "64", "64", "40000", *more]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("wrp: 40000 blobs of each of 2 clients have 80002 names with their tags, and the store has room for 65536 more: raise runtime.index_slots")


def test_nothing_went_well(capsys):
    assert cli.main(["Put", "1", "1", "65m", "1"]) == 1
    assert "no put of Put went well" in capsys.readouterr().err


@needs_mpirun
def test_under_mpirun(tmp_path):
    done = mpirun(2, [sys.executable, "-m", "wrp.cte.bench.cli", "PutGet", 1, 4, "4k", 20, "--verify", "--json", "--store", tmp_path / "store"])
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["size"] == 2 and result["blobs"] == 40 and result["phases"]["get"]["operations"] == 40 and result["wrong"] == 0


@needs_mpirun
@pytest.mark.parametrize("arguments, sentence", [(["Put", 1, 1, "1m", 100, "--fresh"], "puts failed, first: "), (["Put", 1, 1, "1m", 100, "--fresh", "--verify"], "didn't have the bytes"),
                                                 (["Put", 1, 1, "65m", 1], "no put of Put went well")], ids=str)
def test_what_failed_is_said_once_for_all_ranks(arguments, sentence):
    done = mpirun(2, [sys.executable, "-m", "wrp.cte.bench.cli", *arguments])
    assert done.returncode == 1 and done.stderr.count("wrp: ") == done.stderr.count(sentence) == 1 and "MPI_ABORT" not in done.stderr + done.stdout
