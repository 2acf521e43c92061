"""A daemon over two nodes, used by processes attached to either."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from harness.mpirun import find_mpirun, needs_mpirun
from harness.packages import make_package
from wrp.errors import UsageError
from wrp.runtime import admin, bdev
from wrp.runtime.commands import chimaera, cli
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View

pytestmark = needs_mpirun
_MODULE = '''
import os
from wrp.runtime.waiting.coroutines import sleep

class Far:
    methods = {10: "where", 11: "forever", 12: "count"}

    def __init__(self, pool_name, refuses=-1):
        self.waiting = 0

    def where(self, number=0):
        return os.getpid(), number, 1

    async def forever(self):
        self.waiting += 1
        try:
            await sleep(3600)
        finally:
            self.waiting -= 1

    def count(self):
        return self.waiting

    def save(self):
        return b""

    def load(self, state):
        pass
'''
_KILLED = """
import os, signal, sys, time
from wrp.runtime.daemon import attach
attached = attach(sys.argv[1], 10)
futures = [attached.pool("far").submit(11, query="direct_id:1") for _ in range(20)]
while attached.pool("far").call(12, query="direct_id:1").values[0] < 20:
    time.sleep(0.01)
print("waiting", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def names(start_daemon, tmp_path_factory):
    """The names of one daemon on its two nodes."""
    if find_mpirun() is None:
        pytest.skip("no mpirun")
    folder = tmp_path_factory.mktemp("far")
    make_package(folder, "far", "Far", _MODULE)
    running = start_daemon("far", 2, {"WRP_RANKS_PER_NODE": "1", "PYTHONPATH": str(folder)})
    with attach("far", 10) as attached:
        attached.pool("far", "far", shards=2)
    yield running.name, f"{running.name}.1"
    with View(f"{running.name}.1") as view:
        assert view.stop(15)
    assert running.wait() == 0


@pytest.fixture(params=[0, 1])
def attached(request, names):
    with attach(names[request.param], 10) as attached:
        yield attached


def test_pools_of_the_other_node_are_reached(attached, names):
    pids = []
    for name in names:
        with View(name) as view:
            pids.append(view.about.pid)
    pool = attached.pool("far")
    assert [pool.call(10, query=f"direct_id:{container}").values[0] for container in range(4)] == [pids[0]] * 2 + [pids[1]] * 2
    assert pool.call(10, 5, query="broadcast").values[1:3] == (20, 4)
    assert [reply.values[0] for reply in pool.call_each(10)] == [pids[0]] * 2 + [pids[1]] * 2
    assert attached.pool("admin").call(admin.MONITOR, 0, query="physical:1").values[3] == pids[1]
    futures = pool.submit_many(10, [(number,) for number in range(200)], query="direct_hash:3")
    assert [future.wait().values[1] for future in futures] == list(range(200))


def test_a_pool_asked_for_on_one_node_is_made_on_all(attached):
    name = f"ram::made{attached.about.node}"
    pool = attached.pool(name, "bdev", capacity=4 << 20)
    assert pool.call(bdev.GET_STATS, query="broadcast").values[0] == 8 << 20
    with pytest.raises(UsageError, match="can't have 2 shards"):
        attached.pool("ram::other", "bdev", shards=2)


def test_cancelling_and_deadlines_reach_the_other_node(attached):
    pool, other = attached.pool("far"), f"direct_id:{2 * (1 - attached.about.node)}"
    future = pool.submit(11, query=other)
    time.sleep(0.05)
    future.cancel()
    assert future.wait(10).code == 97
    assert pool.submit(11, query=other, deadline_s=0.2).wait(10).code == 98
    assert pool.call(12, query=other).values[0] == 0


def test_tasks_of_a_killed_process_are_cancelled_on_the_other_node(names):
    process = subprocess.Popen([sys.executable, "-c", _KILLED, names[1]], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "waiting\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with attach(names[0], 10) as attached:
        pool, until = attached.pool("far"), time.monotonic() + 20
        while pool.call(12, query="direct_id:1").values[0]:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_container_is_brought_to_the_other_node_by_the_command(names, capsys):
    with attach(names[1], 10) as attached:
        pool = attached.pool("wandering", "far", shards=2)
        other = pool.call(10, query="direct_id:3").values[0]
        assert pool.call(10, query="direct_id:0").values[0] != other
        number = "%d.%d" % pool.id
        assert cli.main(["migrate", "--name", names[1], "--pool", "wandering", "--container", "0", "--node", "1"]) == 0
        assert capsys.readouterr().out == "container 0 of wandering is on node 1\n"
        assert pool.call(10, query="direct_id:0").values[0] == other and pool.call(10, query="direct_id:1").values[0] != other
        with attach(names[0], 10) as again:
            assert again.pool("wandering").call(10, query="direct_id:0").values[0] == other
        assert chimaera.main(["migrate", "--name", names[0], "--pool-id", number, "--container-id", "0", "--node-id", "0", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"pool": "wandering", "container": 0, "node": 0}
        assert pool.call(10, query="direct_id:0").values[0] != other
        for options, code, sentence in ((["--pool-id", "9.9"], 2, "has no pool with the id 9.9"), ([], 2, "give --pool NAME or --pool-id"),
                                        (["--pool", "wandering", "--node", "7"], 2, "there are 2 nodes"), (["--pool", "admin"], 2, "written in Python")):
            assert cli.main(["migrate", "--name", names[0], "--container", "0", "--node", "1", *options]) == code
            assert sentence in capsys.readouterr().err
