"""A workflow over nodes: bytes come to where they are read, and everything ends, whoever dies."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from capio.nodes.several import Several
from capio.served import document, ended, killed, needs_compiler
from harness.mpirun import needs_mpirun
from wrp.capio.commands import storage

pytestmark = [needs_compiler, needs_mpirun]
_UPDATING = """
import os, time
with open(os.environ["CAPIO_DIR"] + "/u", "wb") as file:
    file.write(b"?" * 10_000_000)
    file.flush()
    time.sleep(0.5)
    file.seek(5)
    file.write(b"!")
    file.truncate(9_000_000)
"""


def _flow(name):
    return {"name": name, "permanent": ["keep"], "IO_Graph": [
        {"name": "writer", "output_stream": ["*", "d/*"], "streaming": [
            {"name": ["n*", "keep"], "committed": "on_close", "mode": "no_update"}, {"name": ["u*"], "committed": "on_close", "mode": "update"},
            {"dirname": ["d"], "committed": "on_n_files", "n_files": 4, "mode": "no_update"}, {"name": ["d/*"], "committed": "on_close", "mode": "update"}]},
        {"name": "reader", "input_stream": ["*", "d/*"]}]}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nodes")
    (folder / "data1").mkdir()
    for name in ("umine", "ularge"):
        (folder / "data1" / name).write_text("precious")
    several = Several(folder, _flow("nodes"))
    several.hold(0, "writer")
    yield several
    several.end()


@pytest.fixture
def make_nodes(tmp_path):
    made = []

    def make(**env):
        made.append(Several(tmp_path, _flow("dying"), **env))
        return made[-1]

    yield make
    for several in made:
        several.end()


@pytest.mark.parametrize("home", [0, 1])
def test_bytes_come_while_they_are_written(nodes, home):
    read = nodes.start(1 - home, "reader", f"cat $CAPIO_DIR/n{home}")
    nodes.wait_waiting()
    wrote = nodes.start(home, "writer", f"{{ echo first; sleep 1; seq 1 2000000; }} > $CAPIO_DIR/n{home}")
    assert read.stdout.readline() == b"first\n"
    assert wrote.poll() is None
    code, out, said = ended(read)
    assert (code, said) == (0, "") and out == (nodes.dir(home) / f"n{home}").read_bytes()[6:] and len(out) > 14_000_000
    assert ended(wrote)[0] == 0


@pytest.mark.parametrize("home", [0, 1])
def test_a_late_reader_and_one_on_the_same_node(nodes, home):
    assert nodes.run(home, "writer", f"seq 1 1000 > $CAPIO_DIR/nlate{home}")[0] == 0
    outs = [nodes.run(node, "reader", f"cat $CAPIO_DIR/nlate{home}; stat -c %s $CAPIO_DIR/nlate{home}")[1] for node in (0, 1, 1 - home)]
    assert outs[0] == outs[1] == outs[2] == b"".join(b"%d\n" % number for number in range(1, 1001)) + b"3893\n"


def test_what_changes_before_the_close_is_read_as_it_is_then(nodes):
    read = nodes.start(1, "reader", "md5sum < $CAPIO_DIR/u")
    nodes.wait_waiting()
    assert nodes.run(0, "writer", [sys.executable, "-c", _UPDATING])[0] == 0
    assert ended(read)[1] == subprocess.run(["md5sum"], input=b"?????!" + b"?" * 8_999_994, capture_output=True).stdout


def test_entries_of_a_directory_are_listed_on_another_node(nodes):
    read = nodes.start(1, "reader", "cd $CAPIO_DIR && for f in $(ls d); do cat d/$f; done")
    nodes.wait_waiting()
    assert nodes.run(0, "writer", "mkdir $CAPIO_DIR/d; for i in 1 2 3 4; do echo $i > $CAPIO_DIR/d/f$i; sleep 0.1; done")[0] == 0
    assert ended(read)[1] == b"1\n2\n3\n4\n"


def test_a_copy_is_not_written(nodes):
    nodes.run(0, "writer", "echo x > $CAPIO_DIR/uread")
    assert nodes.run(1, "reader", "cat $CAPIO_DIR/uread")[1] == b"x\n"
    code, _, said = nodes.run(1, "writer", "echo y >> $CAPIO_DIR/uread")
    assert code and "is written on another node" in said


def test_a_file_of_the_same_name_stays(nodes):
    nodes.run(0, "writer", "echo x > $CAPIO_DIR/umine")
    code, _, said = nodes.run(1, "reader", "cat $CAPIO_DIR/umine")
    assert code and "another file of this name" in said and (nodes.dir(1) / "umine").read_text() == "precious"


def test_a_large_file_that_is_refused_leaves_room_for_others(nodes):
    assert nodes.run(0, "writer", "head -c 40000000 /dev/zero > $CAPIO_DIR/ularge; head -c 40000000 /dev/zero | tr '\\0' a > $CAPIO_DIR/uother")[0] == 0
    assert nodes.run(1, "reader", "cat $CAPIO_DIR/ularge")[0] != 0
    assert nodes.run(1, "reader", "cat $CAPIO_DIR/uother | tr -d a | wc -c; wc -c < $CAPIO_DIR/uother")[1].split() == [b"0", b"40000000"]


@pytest.mark.parametrize("asked", [0, 1])
def test_every_node_tells_of_all(nodes, asked):
    name = f"nall{asked}"
    assert nodes.run(1, "writer", f"echo 12 > $CAPIO_DIR/{name}")[0] == 0
    assert nodes.run(0, "reader", f"cat $CAPIO_DIR/{name}")[1] == b"12\n"
    read = nodes.start(1, "reader", "cat $CAPIO_DIR/never")
    nodes.wait_waiting()
    with nodes.client(asked) as client:
        status, report = client.control("status"), client.control("report")
    assert [node["node"] for node in status["nodes"]] == [0, 1] and [node["capio_dir"] for node in status["nodes"]] == [str(nodes.dir(0)), str(nodes.dir(1))]
    assert any("never" in waiting["path"] for waiting in status["waiting"]) and {step["name"] for step in status["steps"]} >= {"writer", "reader"}
    steps = {step["step"]: step for step in report["steps"]}
    assert set(steps) == {"writer", "reader"} and 1 in steps["writer"]["nodes"] and steps["reader"]["nodes"] == [0, 1]
    assert str(nodes.dir(0) / name) in [file["path"] for file in report["committed"]] if asked == 0 else report["committed"]
    assert any(use["node"] == 0 and use["path"].endswith(name) for use in report["reads"])
    killed(read)


def test_the_end_leaves_permanent_files_where_they_were_made(make_nodes):
    nodes = make_nodes()
    nodes.hold(0, "writer")
    nodes.run(0, "writer", "echo k > $CAPIO_DIR/keep; echo u > $CAPIO_DIR/u")
    assert nodes.run(1, "reader", "cat $CAPIO_DIR/keep $CAPIO_DIR/u")[1] == b"k\nu\n"
    waits = nodes.start(1, "reader", "cat $CAPIO_DIR/never")
    nodes.wait_waiting()
    assert nodes.stop() == 0
    assert ended(waits)[0] and (nodes.files(0), nodes.files(1)) == (["keep"], [])
    assert not list(nodes.folder.glob("shm*/*"))


def test_a_killed_producer_is_named_on_another_node(make_nodes):
    nodes = make_nodes()
    wrote = nodes.start(0, "writer", "exec 3> $CAPIO_DIR/n; echo some >&3; echo; exec sleep 60")
    wrote.stdout.readline()
    read = nodes.start(1, "reader", "cat $CAPIO_DIR/n")
    assert read.stdout.readline() == b"some\n"
    os.kill(wrote.pid, signal.SIGKILL)
    code, _, said = ended(read)
    assert code and "SIGKILL" in said and "writer" in said


def test_a_killed_server_ends_all(make_nodes):
    nodes = make_nodes()
    nodes.hold(0, "writer")
    nodes.run(0, "writer", "echo u > $CAPIO_DIR/u")
    assert nodes.run(1, "reader", "cat $CAPIO_DIR/u")[1] == b"u\n"
    waits = [nodes.start(node, "reader", "cat $CAPIO_DIR/never") for node in (0, 1)]
    nodes.wait_waiting(2)
    os.kill(nodes.pid(1), signal.SIGKILL)
    assert all(ended(wait)[0] for wait in waits)
    nodes.job.wait(20)
    assert nodes.files(0) == []
    tidy = "from wrp.capio.server import place; print(place.tidy_all())"
    done = subprocess.run([sys.executable, "-c", tidy], env=dict(os.environ, WRP_SHM_DIR=str(nodes.folder / "shm1")), capture_output=True, text=True)
    assert "data1/u" in done.stdout and nodes.files(1) == []


def test_a_node_that_stands_still_is_silent(make_nodes):
    nodes = make_nodes(CAPIO_SILENT_S="2")
    nodes.start(1, "writer", "exec 3> $CAPIO_DIR/n; echo some >&3; exec sleep 60")
    read = nodes.start(0, "reader", "cat $CAPIO_DIR/n")
    assert read.stdout.readline() == b"some\n"
    begun = time.monotonic()
    os.kill(nodes.pid(1), signal.SIGSTOP)
    code, _, said = ended(read)
    assert code and "node 1" in said and "is silent" in said and time.monotonic() - begun < 10


@pytest.mark.skipif(storage.is_in_memory(tempfile.gettempdir()), reason="the folder of tests is in memory")
def test_copies_lie_in_memory_too_where_their_storage_says_so(tmp_path):
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    for node in range(2):
        (tmp_path / f"disk{node}").mkdir()
        (folder / f"data{node}").symlink_to(tmp_path / f"disk{node}")
    nodes = Several(folder, document("memory", permanent=["m2"], **{"m*": "on_close no_update", "f*": "on_close update"}) | {"storage": {"memory": ["m*"]}})
    try:
        assert nodes.run(0, "writer", "cd $CAPIO_DIR; echo one > m1; echo two > m2; echo f > f1; mv m1 m3")[0] == 0
        assert nodes.run(1, "reader", "cd $CAPIO_DIR; cat m3 m2 f1; ls -F")[1] == b"one\ntwo\nf\nf1\nm2\nm3\n"
        for node in range(2):
            assert [storage.is_in_memory(nodes.dir(node) / name) for name in ("m3", "m2", "f1")] == [True, True, False]
        assert nodes.stop() == 0
        assert nodes.files(1) == [] and nodes.files(0) == ["m2"] and not (nodes.dir(0) / "m2").is_symlink() and (nodes.dir(0) / "m2").read_text() == "two\n"
    finally:
        nodes.end()
        shutil.rmtree(folder)
