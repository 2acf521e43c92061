"""What one node can't do, the others hear of in bounded time: a server that doesn't start, one that is silent."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from capio.nodes.several import Several, make_folders
from capio.served import LIMIT_S, ended, needs_compiler
from harness.bound import bound
from harness.mpirun import find_mpirun, job_environment, needs_mpirun
from wrp.capio.client import Client
from wrp.capio.server import place

pytestmark = [needs_compiler, needs_mpirun]
_FLOW = {"name": "bounds", "IO_Graph": [
    {"name": "writer", "output_stream": ["*"], "streaming": [{"name": ["*"], "committed": "on_close", "mode": "no_update"}]},
    {"name": "reader", "input_stream": ["*"]}]}


def _start(folder, count=3):
    argv = [find_mpirun(), "-n", str(count), "--oversubscribe", "--bind-to", "none", *make_folders(folder, count, _FLOW)]
    return bound(argv), job_environment({"WRP_RANKS_PER_NODE": "1"})


def _no_directory(folder):
    (folder / "data1").rmdir()
    (folder / "data1").write_text("")


def _busy(folder):
    env = dict(os.environ, CAPIO_DIR=str(folder), WRP_SHM_DIR=str(folder / "shm1"))
    (folder / "other.json").write_text(json.dumps(_FLOW))
    server = subprocess.Popen(bound([sys.executable, "-m", "wrp.capio.commands.serve", "-c", folder / "other.json"]), env=env, stdin=subprocess.DEVNULL)
    Client("bounds", wait_s=LIMIT_S, socket_path=folder / "shm1" / place.folder("bounds").name / "socket").close()
    return server


@pytest.mark.parametrize("hinder, sentence", [(_no_directory, "data1 isn't a directory"), (_busy, "runs already on this node")])
def test_a_server_that_cannot_start_on_one_node_ends_all(tmp_path, hinder, sentence):
    argv, env = _start(tmp_path)
    other = hinder(tmp_path)
    try:
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=2 * LIMIT_S)
    finally:
        if other is not None:
            other.terminate()
            other.wait(LIMIT_S)
    assert done.returncode and done.stderr.count(sentence) == 1 and "Traceback" not in done.stderr, done.stderr
    assert not list(tmp_path.glob("data[02]/*")) and not list(tmp_path.glob("shm*/*/socket"))


@pytest.fixture
def nodes(tmp_path):
    several = Several(tmp_path, _FLOW, 3, CAPIO_SILENT_S="2")
    several.hold(0, "writer")
    yield several
    several.end()


def _wait_silent(nodes):
    deadline = time.monotonic() + LIMIT_S
    while "node 1" not in nodes.log() or "is silent" not in nodes.log():
        assert time.monotonic() < deadline, nodes.log()
        time.sleep(0.1)


_SLOW = """import os, time
plain, os.unlink = os.unlink, lambda path, **more: ("/data0/" in str(path) and time.sleep(1), plain(path, **more))
"""


def test_a_node_that_removes_its_files_longer_than_the_others_removes_all_where_one_is_silent(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(_SLOW)           # as a disk that still writes what is to go
    nodes = Several(tmp_path, _FLOW, 3, CAPIO_SILENT_S="2", PYTHONPATH=str(tmp_path))
    try:
        assert nodes.run(0, "writer", "for n in 1 2; do echo $n > $CAPIO_DIR/$n; done")[0] == 0
        os.kill(nodes.pid(1), signal.SIGSTOP)
        _wait_silent(nodes)
        assert nodes.stop(0) != 0
        assert nodes.files(0) == []
    finally:
        nodes.end()


def test_what_is_on_its_way_to_a_silent_node_leaves_room_for_others_and_the_end_is_near(nodes):
    os.kill(nodes.pid(1), signal.SIGSTOP)
    blocked = nodes.start(1, "reader", "cat $CAPIO_DIR/a")
    make = "head -c 100000000 /dev/zero > $CAPIO_DIR/{0}"
    assert nodes.run(0, "writer", make.format("a"))[0] == 0
    os.kill(nodes.pid(1), signal.SIGCONT)       # it asks for all of the file, and stands still again while it comes
    with nodes.client(0) as client:
        while not (nodes.dir(1) / "a").exists():
            client.control("status")
    os.kill(nodes.pid(1), signal.SIGSTOP)
    assert nodes.run(0, "writer", make.format("b"))[0] == 0
    code, out, said = nodes.run(2, "reader", "cat $CAPIO_DIR/b | wc -c")
    assert (code, out.strip(), said) == (0, b"100000000", "")
    _wait_silent(nodes)
    begun = time.monotonic()
    assert nodes.stop(0) != 0 and time.monotonic() - begun < 10
    assert ended(blocked)[0] != 0
    assert nodes.files(0) == nodes.files(2) == []
