"""compose, compose --unregister, and what a restarted daemon makes again: real daemons, on one node and on two."""

import json
import os

import pytest

from harness.daemons import Running
from harness.mpirun import needs_mpirun
from harness.packages import make_package
from wrp.errors import OutOfSpace, UsageError
from wrp.runtime import bdev
from wrp.runtime.commands import chimaera, cli
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View

_MODULE = '''
from wrp.runtime.waiting.coroutines import sleep

class Counts:
    methods = {10: "add", 11: "linger"}

    def __init__(self, pool_name, start=0):
        self.total = start

    def add(self, number):
        self.total += number
        return self.total

    async def linger(self):
        await sleep(3600)
'''


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "conf.yaml"
    path.write_text(f"runtime: {{timeout_s: 20, segment_capacity: 128m, conf_dir: {tmp_path / 'kept'}}}\n"
                    "compose: [{mod_name: bdev, pool_name: 'ram::composed', capacity: 32m}]")
    return path


@pytest.fixture
def start(conf, tmp_path, monkeypatch):
    """start(name, ranks=0, **more) -> Running; ended after the test."""
    make_package(tmp_path, "counts", "Counts", _MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    started = []

    def run(name, ranks=0, **more):
        started.append(Running(name, conf, ranks, {"PYTHONPATH": str(tmp_path), "WRP_RANKS_PER_NODE": "1"}, **more))
        return started[-1]

    yield run
    for running in started:
        running.end()


@pytest.fixture
def asked(tmp_path):
    """A file that asks for three pools, two of them for ever."""
    path = tmp_path / "pools.yaml"
    path.write_text("compose:\n"
                    "  - {mod_name: bdev, pool_name: 'ram::more', capacity: 64m, restart: true, pool_id: '305.1'}\n"
                    "  - {mod_name: counts, pool_name: counted, start: 5, shards: 2, restart: true}\n"
                    "  - {mod_name: bdev, pool_name: 'ram::once', capacity: 4m}\n")
    return path


def compose(capsys, *arguments):
    """(exit code, the answer or the sentence)."""
    code = chimaera.main(["compose", *map(str, arguments), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if code == 0 else said.err


def nbytes_of(attached):
    """Bytes of memory that the daemon's segment takes."""
    return os.fstat(attached.segment._fd).st_blocks * 512


@pytest.mark.parametrize("ranks", [0, pytest.param(2, marks=needs_mpirun)])
def test_pools_come_and_go(start, asked, capsys, ranks):
    start("composing", ranks)
    for _ in range(2):
        code, rows = compose(capsys, asked, "--name", "composing")
        assert code == 0 and [row["made"] for row in rows] == [True] * 3 and [row["kept"] for row in rows] == [True, True, False]
        with attach("composing", 10) as attached:
            pool = attached.pool("counted")
            assert [reply.values[0] for reply in pool.call_each(10, 1)] == [6] * (2 * max(1, ranks))
            device = attached.device("ram::more")
            device.write(device.lease(48 << 20), b"\1" * (48 << 20))
        code, rows = compose(capsys, "--unregister", asked, "--name", "composing")
        assert code == 0 and [row["removed"] for row in rows] == [True] * 3
        with View("composing") as view:
            assert view.status()["pools"] == ["admin", "ram::composed"]
    code, rows = compose(capsys, "--unregister", asked, "--name", "composing")
    assert code == 0 and [row["removed"] for row in rows] == [False] * 3


def test_memory_of_a_removed_device_is_free_again_and_its_old_pool_no_other(start, asked, capsys):
    start("shrinking")
    with attach("shrinking", 10) as attached:
        assert compose(capsys, asked, "--name", "shrinking")[0] == 0
        pool, counted, device = attached.pool("ram::more"), attached.pool("counted"), attached.device("ram::more")
        offset = device.lease(60 << 20)
        device.write(offset, b"\1" * (60 << 20))
        device.give_back(offset, 60 << 20)
        device.close()
        held = nbytes_of(attached)
        assert compose(capsys, "--unregister", asked, "--name", "shrinking") == (0, [{"name": name, "removed": True} for name in ("ram::more", "counted", "ram::once")])
        assert nbytes_of(attached) <= held - (50 << 20)
        assert pool.call(bdev.GET_STATS).code == bdev.NOT_MADE and counted.call(10, 1).code == 96
        assert compose(capsys, asked, "--name", "shrinking")[0] == 0
        assert pool.call(bdev.GET_STATS).code == bdev.NOT_MADE                   # the new one isn't the old one
        again = attached.device("ram::more")
        assert again.capacity == 64 << 20 and attached.pool("counted").call(10, 1).values[0] == 6
        out = bytearray(4096)
        again.read(again.lease(4096), out)
        assert out == bytes(4096)                   # nothing of the old one is shown
        with pytest.raises(OutOfSpace):
            again.lease(65 << 20)


def test_what_is_used_stays(start, asked, capsys):
    start("used")
    assert compose(capsys, asked, "--name", "used")[0] == 0
    with attach("used", 10) as attached:
        device = attached.device("ram::once")
        offset = device.lease(4096)
        code, sentence = compose(capsys, "--unregister", asked, "--name", "used")
        assert code == 2 and "pool 'ram::once' can't be removed: " in sentence and "of it are leased" in sentence
        device.give_back(offset, 4096)
        device.close()
        lingering = attached.pool("counted").submit(11, query="direct_id:1")
        code, sentence = compose(capsys, "--unregister", asked, "--name", "used")
        assert code == 2 and "pool 'counted' can't be removed: 1 of its tasks are under way" in sentence
        with View("used") as view:
            assert {"ram::more", "ram::once", "counted"} < set(view.status()["pools"])
        for name, sentence in (("admin", "it is built in"), ("nobody", "there is no pool 'nobody'")):
            with pytest.raises(UsageError, match=sentence):
                attached.remove("ram::once", name)
        assert attached.has_pool("ram::once")
        lingering.cancel()
        assert lingering.wait(10).code == 97
    assert compose(capsys, "--unregister", asked, "--name", "used")[0] == 0


@pytest.mark.parametrize("ranks", [0, pytest.param(2, marks=needs_mpirun)])
def test_a_restarted_daemon_makes_pools_again(start, asked, capsys, tmp_path, ranks):
    running = start("again", ranks)
    assert compose(capsys, asked, "--name", "again")[0] == 0
    second = start("again", ranks, command="restart", until_not=running.pid)
    assert running.wait() == 0
    with attach("again", 10) as attached:
        assert attached.pool("ram::more").id == (305, 1) and not attached.has_pool("ram::once")
        assert [reply.values[0] for reply in attached.pool("counted").call_each(10, 0)] == [5] * (2 * max(1, ranks))
        attached.remove("counted")                  # and isn't kept any more
    file = tmp_path / "kept" / "restart" / "again.json"
    assert [entry["name"] for entry in json.loads(file.read_text())] == ["ram::more"]
    file.write_text(json.dumps([{"name": "gone", "module": "not here", "params": {}}, *json.loads(file.read_text())]))
    third = start("again", ranks, command="restart", until_not=second.pid)
    with attach("again", 10) as attached:
        assert attached.has_pool("ram::more") and not attached.has_pool("counted")
    third.end()
    assert any("pool 'gone' isn't made again: there is no module 'not here'" in line for line in third.lines)


def test_a_note_that_cant_be_read_or_written(start, conf, asked, capsys, tmp_path):
    conf.write_text(conf.read_text().replace(str(tmp_path / "kept"), "/proc/nowhere"))
    running = start("noted")
    code, sentence = compose(capsys, asked, "--name", "noted")
    assert code == 7 and "can't be written to /proc/nowhere/restart/noted.json" in sentence and "set runtime.conf_dir" in sentence
    assert running.end() == 0
    conf.write_text(conf.read_text().replace("/proc/nowhere", str(tmp_path / "kept")))
    (tmp_path / "kept" / "restart").mkdir(parents=True)
    (tmp_path / "kept" / "restart" / "noted.json").write_text("[")
    with pytest.raises(AssertionError, match="can't be read from .*noted.json.*repair or remove it"):
        start("noted", command="restart")
