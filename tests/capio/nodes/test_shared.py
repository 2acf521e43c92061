"""Servers of several nodes that have one CAPIO_DIR: nothing is copied. Two mounts of one folder (bindfs) stand for a file system that nodes share: the kernel
tells each of its own changes only."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from capio.nodes.several import Several
from capio.served import ended, needs_compiler
from harness.bound import bound
from harness.mpirun import find_mpirun, job_environment, needs_mpirun

pytestmark = [needs_compiler, needs_mpirun]
_FLOW = {"name": "shared", "permanent": ["keep"], "IO_Graph": [
    {"name": "writer", "output_stream": ["*"], "streaming": [{"name": ["n*", "keep"], "committed": "on_close", "mode": "no_update"},
                                                             {"name": ["c*"], "committed": "on_close:2", "mode": "update"},
                                                             {"dirname": ["d"], "committed": "on_n_files", "n_files": 4, "mode": "no_update"}]},
    {"name": "reader", "input_stream": ["*"]}]}


@contextmanager
def _sharing(folder, *options, **env):
    """Servers of two nodes with two mounts of one folder."""
    (folder / "common").mkdir()
    mounted = []
    try:
        for node in range(2):
            (folder / f"data{node}").mkdir()
            done = subprocess.run(["bindfs", *options, folder / "common", folder / f"data{node}"], capture_output=True) if shutil.which("bindfs") else None
            if done is None or done.returncode:
                pytest.skip("bindfs can't mount a folder here")
            mounted.append(folder / f"data{node}")
        found = Several(folder, _FLOW, **env)
        found.hold(0, "writer")
        found.hold(1, "reader")
        try:
            yield found
        finally:
            found.end()
    finally:
        for path in mounted:
            subprocess.run(["fusermount", "-u", "-z", path], check=True)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    with _sharing(folder) as found:
        yield found
    assert sorted(os.listdir(folder / "common")) == ["keep"]


def test_it_is_said(nodes):
    assert nodes.log().count("all nodes have one CAPIO_DIR") == 1


@pytest.mark.parametrize("home", [0, 1])
def test_a_file_is_read_on_another_node_while_it_is_written(nodes, home):
    name = f"n{home}"
    read = nodes.start(1 - home, "reader", f"md5sum < $CAPIO_DIR/{name}")
    nodes.wait_waiting()
    wrote = nodes.start(home, "writer", f"for i in 1 2 3; do seq {100000 * (home + 1)}; sleep 0.2; done | tee $CAPIO_DIR/{name} | md5sum")
    assert ended(wrote)[1] == ended(read)[1]
    assert os.stat(nodes.dir(0) / name).st_ino == os.stat(nodes.dir(0).parent / "common" / name).st_ino


def test_closes_on_two_nodes_count_together(nodes):
    read = nodes.start(1, "reader", "cat $CAPIO_DIR/c")
    nodes.wait_waiting()
    assert nodes.run(0, "writer", "echo a >> $CAPIO_DIR/c")[0] == 0
    time.sleep(0.2)
    assert read.poll() is None
    assert nodes.run(1, "writer", "echo b >> $CAPIO_DIR/c")[0] == 0
    assert ended(read)[1] == b"a\nb\n"


def test_entries_that_both_nodes_make(nodes):
    read = nodes.start(0, "reader", "cd $CAPIO_DIR && for f in $(ls d); do cat d/$f; done")
    nodes.wait_waiting()
    assert nodes.run(0, "writer", "mkdir $CAPIO_DIR/d; for i in 1 2; do echo $i > $CAPIO_DIR/d/f$i; done")[0] == 0
    assert nodes.run(1, "writer", "for i in 3 4; do echo $i > $CAPIO_DIR/d/f$i; done; echo x > $CAPIO_DIR/keep")[0] == 0
    assert ended(read)[1] == b"1\n2\n3\n4\n"


def _switches(process):
    """How often the process has gone to sleep."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))


def _lagging_read(nodes):
    """A reader whose node shows of a file, for a time, only what it held when it was seen first."""
    seen = nodes.folder / "seen"
    wrote = nodes.start(0, "writer", f"exec 3> $CAPIO_DIR/n; echo first >&3; until [ -e {seen} ]; do sleep 0.05; done; echo last >&3")
    read = nodes.start(1, "reader", ["cat", nodes.dir(1) / "n"])
    assert read.stdout.readline() == b"first\n"
    seen.touch()
    assert ended(wrote)[0] == 0
    return read


def test_a_reader_whose_file_system_is_late_sleeps(tmp_path):
    with _sharing(tmp_path, "-o", "attr_timeout=4,entry_timeout=4") as nodes:
        read = _lagging_read(nodes)
        before = _switches(read)
        time.sleep(1)
        assert read.poll() is None and _switches(read) - before < 50
        assert ended(read)[:2] == (0, b"last\n")


def test_a_file_system_that_is_too_late_is_named(tmp_path):
    with _sharing(tmp_path, "-o", "attr_timeout=600,entry_timeout=600", CAPIO_SILENT_S="5") as nodes:
        code, out, said = ended(_lagging_read(nodes))
        assert code == 1 and out == b"" and "bytes or more on the node where it is written, of which 6 are seen here after 5 s" in said


def test_servers_on_one_machine_are_refused(tmp_path):
    (tmp_path / "flow.json").write_text('{"name": "one", "IO_Graph": []}')
    (tmp_path / "data").mkdir()
    done = subprocess.run(bound([find_mpirun(), "-n", "2", "--oversubscribe", sys.executable, "-m", "wrp.capio.commands.serve", "-c", tmp_path / "flow.json", "--dir",
                                 tmp_path / "data"]), env=job_environment({"WRP_RANKS_PER_NODE": "1"}), capture_output=True, text=True, timeout=60, errors="replace")
    assert done.returncode == 2 and "run on one machine and have one CAPIO_DIR in common" in done.stderr, done.stderr
    assert not os.listdir(tmp_path / "data")
