"""The benchmark's command in one process: every case, its JSON, what it refuses, what it leaves behind."""

import json

import pytest

from wrp.comm.ranks.solo import Solo
from wrp.errors import OutOfSpace, StoreError, UsageError, WrpError
from wrp.runtime import bdev
from wrp.runtime.bench import cli, loops, measuring, ways
from wrp.runtime.daemon import attach

QUICK = ["--duration", "0.2", "--threads", "2"]


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """A small segment."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("runtime: {timeout_s: 20, segment_capacity: 64m}")
    monkeypatch.setenv("WRP_RUNTIME_CONF", str(conf))
    monkeypatch.delenv("CHI_SERVER_CONF", raising=False)


@pytest.mark.parametrize("case, where", [*((case, "ram") for case in sorted(loops.CASES)), ("bdev_io", "file")])
def test_case_gives_json_and_leaves_no_file(case, where, tmp_path, capsys):
    folder = tmp_path / "out"
    assert cli.main([*QUICK, "--test-case", case, "--io-size", "8k", "--output-dir", "ram" if where == "ram" else str(folder), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    together = result["together"]
    assert together["operations"] > 0 and together["failed"] == 0 and together["elapsed_s"] >= 0.2
    assert 0 < together["latency_ns"]["p50"] <= together["latency_ns"]["p99"] <= together["latency_ns"]["p99.9"] <= together["latency_ns"]["max"]
    assert together["MB_per_s"] == pytest.approx(together["iops"] * (8192 if case == "bdev_io" else 0) / 1e6)
    assert [part["rank"] for part in result["ranks"]] == [0] and not result["worker_and_client_apart"]
    assert result["python"]["call_ns"]["p50"] > 0 and result["python"]["tasks_per_s"] > 0
    if case == "bdev_io":
        assert result["ratios"]["bdev_io_to_" + ("memcpy" if where == "ram" else "pwrite")] > 0
    assert not folder.exists()


def test_lines_say_where_worker_and_client_are(capsys):
    assert cli.main([*QUICK, "--test-case", "latency", "--output-dir", "ram", "--verbose"]) == 0
    out = capsys.readouterr().out
    assert "worker and client are in one process" in out and "p99.9" in out and "rank 0" in out


@pytest.mark.parametrize("more, sentence", [
    (["--test-case", "nothing"], "invalid choice"), (["--io-size", "4q"], "is not a size"), (["--io-size", "0"], "--io-size must be"),
    (["--io-size", "2g"], "at most --max-file-size"), (["--threads", "0"], "--threads 0"), (["--duration", "nan"], "'nan' is not a number of seconds above 0"),
    (["--lane-policy", "best"], "invalid choice"), (["--attach", "x", "--output-dir", "/tmp/x"], "--output-dir ram")])
def test_wrong_options_are_refused(more, sentence, capsys):
    with pytest.raises(UsageError, match=sentence):
        cli.parse(more)
    assert cli.main(more) == UsageError.exit_code
    assert sentence in capsys.readouterr().err


def test_output_dir_that_cant_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be written to"):
        measuring.measure(Solo(), cli.parse([*QUICK, "--output-dir", str(tmp_path / "file" / "below")]))


def test_too_little_memory_is_refused():
    with pytest.raises(OutOfSpace):
        measuring.measure(Solo(), cli.parse([*QUICK, "--output-dir", "ram", "--io-size", "1g"]))


def test_operations_that_fail_are_not_counted(tmp_path):
    with pytest.raises(WrpError, match="no operation of bdev_allocation went well"):
        measuring.measure(Solo(), cli.parse([*QUICK, "--test-case", "bdev_allocation", "--io-size", "5000", "--max-file-size", "6000",
                                       "--output-dir", str(tmp_path / "out")]))
    assert not (tmp_path / "out").exists()


def test_write_outside_the_device_is_no_operation(runtime):
    pool = runtime.pool("ram::small", "bdev", capacity=1 << 20)
    way = ways.embedded(runtime, pool)
    code, _, _ = loops.trip(way.place, way.waits, pool.number, bdev.WRITE, 1 << 20, 0, 64)
    assert code == bdev.OUT_OF_BOUNDS
    assert loops.operation(way.place, way.waits, (loops.IO, pool.number, 64, runtime.segment.nbytes)) == bdev.OUT_OF_BOUNDS
    assert pool.call(bdev.GET_STATS).values[1] == 1 << 20           # and what was allocated is free again


def test_clients_of_a_daemon(start_daemon):
    running = start_daemon("bench")
    try:
        for case in ("latency", "bdev_io"):
            result = measuring.measure(Solo(), cli.parse([*QUICK, "--test-case", case, "--output-dir", "ram", "--attach", "bench"]))
            assert result["attached"] and result["worker_and_client_apart"] and result["together"]["failed"] == 0
        with attach("bench", 20) as attached:
            pool = attached.pool("ram::wrp_benchmark_buffers_12288", "bdev")
            assert pool.call(bdev.GET_STATS).values[:2] == (12288, 12288)       # what was leased is free again
    finally:
        running.end()
