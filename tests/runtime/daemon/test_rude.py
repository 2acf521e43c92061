"""Modules that say sys.exit, workers that end, daemons that don't: each is told as what it is, and nothing stays."""

import os
import signal
import sys
import time

import numpy as np
import pytest

from harness.packages import make_package
from harness.standing import stop
from wrp.comm import names
from wrp.errors import RuntimeGone, UsageError, WaitTimeout, WrpError
from wrp.runtime import modules, records
from wrp.runtime.commands import cli
from wrp.runtime.config import load
from wrp.runtime.daemon import attach

_MODULE = '''
import sys, time
from wrp.runtime.waiting.coroutines import sleep

class Rude:
    methods = {10: "interrupted", 11: "leaves", 12: "twice", 13: "naps", 14: "breaks", 15: "waits", 16: "waiting", 17: "is_no_number", 18: "begun"}
    count = ever = 0

    def __init__(self, pool_name, start=0):
        if start < 0:
            sys.exit("no")
        self.start = start

    def interrupted(self):
        raise KeyboardInterrupt

    async def leaves(self):
        await sleep(0.001)
        sys.exit(3)

    def twice(self, number):
        return 2 * number + self.start

    def naps(self):
        time.sleep(1000)

    def breaks(self):
        from wrp.runtime.pythonworker import PythonLoop
        PythonLoop._finish = None

    async def waits(self):
        self.count += 1
        self.ever += 1
        try:
            await sleep(1000)
        finally:
            self.count -= 1

    def waiting(self):
        return self.count

    def begun(self):
        return self.ever

    def is_no_number(self):
        class Number:
            def __int__(self):
                sys.exit(4)
        return Number()
'''


@pytest.fixture(scope="module")
def start(start_daemon, tmp_path_factory):
    """start(name) -> a daemon that has the module."""
    folder = tmp_path_factory.mktemp("rude")
    make_package(folder, "rude", "Rude", _MODULE)
    return lambda name: start_daemon(name, env={"PYTHONPATH": str(folder)})


@pytest.fixture(scope="module")
def running(start):
    return start("rude")


@pytest.fixture
def attached(running):
    with attach(running.name, 10) as attached:
        yield attached


def test_a_module_that_wants_to_leave_fails_alone(attached):
    pool = attached.pool("mine", "rude")
    for method in (10, 11, 17):
        assert pool.call(method).code == 99
    assert pool.call(12, 21).values[0] == 42
    with pytest.raises(WrpError, match="module rude says sys.exit"):
        attached.pool("never", "rude", start=-1)
    assert attached.pool("numpy", "rude", start=np.int64(3)).call(12, 1).values[0] == 5


def test_the_same_in_periodic_tasks(runtime, tmp_path):
    place = {}
    exec(_MODULE, place)
    modules.register("rude_periodic", place["Rude"])
    pool = runtime.pool("periodic", "rude_periodic")
    for method in (10, 11):
        task = pool.submit(method, period_s=0.005)
        until = time.monotonic() + 20
        while task.runs[0] < 3 and time.monotonic() < until:
            time.sleep(0.005)
        task.cancel()
        assert task.wait().code == 97 and task.runs[0] >= 3
    assert pool.call(12, 21).values[0] == 42


def test_a_post_keeps_its_deadline(attached):
    pool = attached.pool("posted", "rude")
    pool.post(15, deadline_s=0.4)
    until = time.monotonic() + 20
    while pool.call(18).values[0] == 0 and time.monotonic() < until:
        time.sleep(0.005)
    while pool.call(16).values[0] and time.monotonic() < until:
        time.sleep(0.01)
    assert time.monotonic() < until


@pytest.mark.parametrize("options", [{"deadline_s": float("inf")}, {"deadline_s": float("nan")}, {"deadline_s": 1e30}, {"deadline_s": "1"},
                                     {"period_s": float("inf")}, {"period_s": "1"}, {"period_s": 0}], ids=str)
def test_limits_that_are_none_are_refused_and_take_nothing(runtime, attached, options):
    count = records.count(runtime.node.address, runtime.node.layout)
    for node in (runtime, attached):
        pool = node.pool("admin", "admin")
        for _ in range(count if node is runtime else 2):
            with pytest.raises(UsageError, match="_s=|a period of|a periodic task"):
                pool.submit(9, 0, **options)
        if "deadline_s" in options:
            with pytest.raises(UsageError):
                pool.post(9, 0, **options)
        assert pool.call(9, 0).code == 0
    assert records.count(runtime.node.address, runtime.node.layout) == count


def test_wrong_calls_are_one_sentence(runtime, attached):
    for node in (runtime, attached):
        pool = node.pool("admin", "admin")
        for method in ("add", 1 << 70, -1 << 64, 1.5, None):
            for call in (pool.call, pool.submit, pool.post, lambda method: pool.submit_many(method, [(1,)])):
                with pytest.raises(UsageError, match="is no method of pool 'admin'"):
                    call(method)
        for word in (1 << 63, 1 << 64, 1 << 70, -1 << 70, 1.5):
            with pytest.raises(UsageError, match="an argument of a task"):
                pool.call(9, word)
        assert pool.call(np.int64(9), np.int64(0)).code == 0
        node.pool("ram::text", "bdev", capacity="4m")
        assert node.device("ram::text").capacity == 4 << 20 if node is attached else runtime.devices["ram::text"].capacity == 4 << 20
        with pytest.raises(UsageError, match="is no whole number"):
            (attached.device if node is attached else runtime.devices.get)("ram::text").lease("1")
        for name, params, sentence in (("ram::a", {"capacity": "many"}, "is not a size"), ("ram::b", {"shards": "x"}, "can't have 'x' shards"),
                                       ("", {}, "can't name a pool"), ("a\nb", {}, "can't name a pool")):
            with pytest.raises(UsageError, match=sentence):
                node.pool(name, "bdev", **params)
    with pytest.raises(UsageError, match="there is no other node"):
        attached.pool("lonely", "rude").migrate(0, 0)
    with pytest.raises(UsageError, match="must be what JSON can say"):
        attached.pool("x", "rude", start=object())


def test_a_daemon_without_a_worker_says_so_and_ends(start):
    broken = start("broken")
    with attach(broken.name, 10) as attached:
        pool = attached.pool("mine", "rude")
        with pytest.raises(RuntimeGone, match=r"is about to end: the worker of rank 0 \(process \d+\) has ended by an error|has ended without being stopped"):
            pool.call(14)
    assert broken.wait() == 10 and "the python worker of rank 0" in "\n".join(broken.lines) and "has ended by an error" in "\n".join(broken.lines)
    assert broken.name not in os.listdir(names.folder())


def test_a_daemon_that_does_not_stop_ends_by_a_signal(start, capsys):
    busy = start("busy")
    with attach(busy.name, 10) as attached:
        attached.pool("mine", "rude").post(13)
        assert cli.main(["stop", "--name", busy.name, "--timeout", "0.3"]) == 9
        assert f"kill {busy.pid} ends it at once" in capsys.readouterr().err
        os.kill(busy.pid, signal.SIGTERM)
        assert busy.wait() == -signal.SIGTERM and busy.name not in os.listdir(names.folder())
        with pytest.raises(RuntimeGone, match="was told to end by|was stopped"):
            attached.pool("admin").call(9, 0)


def test_a_second_signal_ends_a_daemon_that_the_first_did_not(start):
    busy = start("busier")
    with attach(busy.name, 10) as attached:
        attached.pool("mine", "rude").post(13)
        begun = time.monotonic()
        os.kill(busy.pid, signal.SIGTERM)
        time.sleep(0.2)
        os.kill(busy.pid, signal.SIGTERM)               # of the same end: it is to have its time
        while busy.process.poll() is None and time.monotonic() < begun + 1:
            time.sleep(0.02)
        assert time.monotonic() >= begun + 1
        while busy.process.poll() is None and time.monotonic() < begun + 20:        # the second that it hears of may be late
            os.kill(busy.pid, signal.SIGTERM)
            time.sleep(0.1)
        assert busy.wait() == -signal.SIGTERM and busy.name not in os.listdir(names.folder())


def test_a_halted_daemon_is_left_all_the_same(start, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("runtime: {timeout_s: 1}")
    halted = start("halted")
    attached = attach(halted.name, 10, load(str(tmp_path / "c.yaml")))
    attached.device("ram::composed").lease(100)
    attached.pool("ram::more", "bdev", capacity=1 << 20)
    attached.device("ram::more").lease(100)
    stop(halted.pid)
    try:
        with pytest.raises(WaitTimeout, match="method"):
            attached.close()
        assert not attached.is_open
        with pytest.raises(WaitTimeout, match="it doesn't answer: is it halted"):
            attach(halted.name, 0, load(str(tmp_path / "c.yaml")))
        assert cli.main(["status", "--name", halted.name]) == 0
        assert "doesn't answer, process" in capsys.readouterr().out
    finally:
        os.kill(halted.pid, signal.SIGCONT)
    with attach(halted.name, 10) as again:
        until = time.monotonic() + 20
        while again.pool("ram::more").call(14).values[1] < 1 << 20 and time.monotonic() < until:
            time.sleep(0.05)
        assert again.pool("ram::more").call(14).values[1] == 1 << 20
    assert halted.end() == 0
