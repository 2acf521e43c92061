"""A daemon from its start to its end, over one process and over the ranks of a job."""

import os
import signal
import subprocess
import sys
import time

import pytest

from harness.mpirun import job_environment, mpirun, needs_mpirun
from wrp.comm import names
from wrp.errors import RuntimeGone
from wrp.runtime import bdev
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View


_GONE_S = 10


def left(name):
    return [found for found in os.listdir(names.folder()) if found.startswith(name)]


@pytest.mark.parametrize("ranks", [0, pytest.param(3, marks=needs_mpirun)])
def test_starts_serves_and_stops(start_daemon, ranks):
    running = start_daemon(f"whole{ranks}", ranks)
    attached = attach(running.name, 10)
    pool = attached.pool("ram::new", "bdev", capacity=1 << 20)
    assert pool.call(bdev.GET_STATS).values[0] == 1 << 20
    with View(running.name) as view:
        assert view.status()["ranks"] == (ranks or 1) and len(view.workers()) == 2 * (ranks or 1)
        assert view.attached() == [os.getpid()]
    if ranks:
        with View(running.name) as view:
            assert view.stop(15)
        assert running.wait() == 0
    else:
        assert running.end(signal.SIGTERM) == 0
    assert left(running.name) == []
    with pytest.raises(RuntimeGone, match="was stopped; start it again"):
        pool.call(bdev.GET_STATS)
    attached.close()
    text = "\n".join(running.lines)
    plural = "s" if ranks else ""
    assert f"started: 1 node, {ranks or 1} rank{plural}, name {running.name}, process {running.pid}" in text
    assert f"attach('{running.name}')" in text and f"wrp-runtime stop --name {running.name}" in text
    assert f"stopping ({'wrp-runtime stop' if ranks else 'SIGTERM'})" in text and text.endswith("wrp-runtime: stopped")


@needs_mpirun
def test_nodes_have_a_name_each_and_stop_together(start_daemon):
    running = start_daemon("nodes", 3, {"WRP_RANKS_PER_NODE": "1"})
    found = []
    for name in ("nodes", "nodes.1", "nodes.2"):
        with attach(name, 10) as attached:
            assert attached.pool("ram::composed").call(bdev.GET_STATS).code == 0
            found.append(attached.about.node)
    assert found == [0, 1, 2]
    with View("nodes.2") as view:
        assert view.stop(15)
    assert running.wait() == 0 and left("nodes") == []
    assert "stopping (" in "\n".join(running.lines)


@needs_mpirun
def test_job_that_is_told_to_end_leaves_nothing(start_daemon):
    running = start_daemon("told", 2)
    with View(running.name) as view:
        running.end(signal.SIGTERM)             # the exit code is mpirun's own
        # mpirun kills what doesn't end within a fifth of a second, and doesn't wait until the kernel has taken it down
        until = time.monotonic() + _GONE_S
        while view.about.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        assert not view.about.is_alive()
    assert left(running.name) == []


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT], ids=lambda number: number.name)
def test_stops_by_other_signals(start_daemon, number):
    running = start_daemon(f"signal{number.value}")
    assert running.end(number) == 0
    assert f"stopping ({number.name})" in "\n".join(running.lines) and left(running.name) == []


def test_task_of_the_reference_stops_it(start_daemon):
    running = start_daemon("task")
    with attach(running.name, 10) as attached:
        assert attached.pool("admin", "admin").call(12).code == 0
        assert running.wait() == 0
    assert "stopping (a task StopRuntime)" in "\n".join(running.lines) and left(running.name) == []


def test_second_daemon_of_a_name_is_refused(daemon):
    done = subprocess.run([sys.executable, "-m", "wrp.runtime.commands.cli", "start", "--name", daemon.name], env=job_environment(),
                          capture_output=True, text=True, timeout=40)
    assert done.returncode == 7
    assert done.stderr.startswith(f"wrp: a daemon 'shared' runs on this node already (process {daemon.pid}): attach to it")
    with attach(daemon.name, 10) as attached:
        assert attached.pool("ram::composed").call(bdev.GET_STATS).code == 0


@needs_mpirun
def test_failed_start_ends_all_ranks_and_leaves_nothing(tmp_path):
    conf = tmp_path / "c.yaml"
    conf.write_text("runtime: {segment_capacity: 16m}\ncompose: [{mod_name: bdev, pool_name: 'ram::x', capacity: 1t}]")
    done = mpirun(2, [sys.executable, "-m", "wrp.runtime.commands.cli", "--name", "failing", "--conf", conf])
    assert done.returncode == 8 and done.stderr.count("wrp: device 'ram::x'") == 1
    assert left("failing") == []
