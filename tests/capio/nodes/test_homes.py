"""Files whose home is another node than where they are made: they come there by themselves, and what is permanent stays there only."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from capio.nodes.several import Several
from capio.served import LIMIT_S, ended, needs_compiler
from harness.mpirun import needs_mpirun
from wrp.capio import language
from wrp.capio.nodes.homes import Homes
from wrp.capio.server import place

_HOMES = {"hashing": ["h*"], "create": ["c*"], "manual": [{"name": ["m*", "gone"], "app_node": "reader"}, {"name": ["never"], "app_node": "other"}]}


def _flow(name):
    return {"name": name, "permanent": ["h*", "m*", "c*", "never"], "home_node_policies": _HOMES, "IO_Graph": [
        {"name": "writer", "output_stream": ["*"], "streaming": [{"name": ["*"], "committed": "on_close", "mode": "no_update"},
                                                                 {"name": ["mu"], "committed": "on_close", "mode": "update"}]},
        {"name": "reader", "input_stream": ["*"]}, {"name": "other"}]}


@pytest.fixture
def make_nodes(tmp_path):
    made = []

    def make(count, options=""):
        made.append(Several(tmp_path, _flow(f"homes{count}"), count, options))
        made[-1].hold(0, "writer")
        return made[-1]

    yield make
    for several in made:
        several.end()


def _wait_for(nodes, node, name, text):
    deadline = time.monotonic() + LIMIT_S
    while not (nodes.dir(node) / name).exists() or (nodes.dir(node) / name).read_text() != text:
        assert time.monotonic() < deadline, (nodes.files(node), nodes.log())
        time.sleep(0.02)


def _wait_kept(nodes, node, name):
    """Until the node's server has written down that a file that has come to it stays."""
    made, line = nodes.folder / f"shm{node}" / place.folder(nodes.name).name / "made", json.dumps([str(nodes.dir(node) / name)])
    deadline = time.monotonic() + LIMIT_S
    while line not in made.read_text().splitlines():
        assert time.monotonic() < deadline, (made.read_text(), nodes.log())
        time.sleep(0.02)


def test_homes_by_policy():
    homes = Homes(language.parse(_flow("homes"), "/d").look, lambda path: path[3:], 3)
    hashed = [homes.of(f"/d/h{number}") for number in range(60)]
    assert set(hashed) == {0, 1, 2} and hashed == [homes.of(f"/d/h{number}") for number in range(60)]
    assert homes.of("/d/c") is homes.of("/d/x") is homes.of("/d/m1") is homes.of("/d/m2") is None
    assert set(homes.meets("reader", 2)) == {"/d/m1", "/d/m2"} and homes.of("/d/m3") == 2
    assert not homes.meets("reader", 1) and homes.of("/d/m4") == 2 and not homes.meets("writer", 0)


@needs_compiler
@needs_mpirun
@pytest.mark.parametrize("count", [2, 3])
def test_permanent_files_end_up_at_their_home_and_nowhere_else(make_nodes, count):
    nodes = make_nodes(count)
    names = [f"h{number}" for number in range(8)]
    assert nodes.run(0, "writer", f"cd $CAPIO_DIR; for f in {' '.join(names)} c never gone m1; do echo $f > $f; done")[0] == 0
    assert nodes.run(count - 1, "reader", "cat $CAPIO_DIR/c $CAPIO_DIR/h0")[1] == b"c\nh0\n"
    _wait_for(nodes, count - 1, "gone", "gone\n")       # nobody has read it there
    late = "echo m2 > t.mtmp; mv t.mtmp m2; { seq 2000000; echo x; } > m3; seq 9 > mu; echo m4 > m4; rm m4; echo twice > m5; rm m5; echo m5 > m5"
    assert nodes.run(0, "writer", f"cd $CAPIO_DIR; {late}")[0] == 0
    assert nodes.stop(0) == 0
    look = Homes(language.parse(_flow("homes"), "/d").look, lambda path: path[3:], count)
    expected = {node: [] for node in range(count)}
    for name in names:
        expected[look.of(f"/d/{name}")].append(name)
    expected[0] += ["c", "never"]
    expected[count - 1] += ["m1", "m2", "m3", "m5", "mu"]
    assert [(node, name) for node in range(count) for name in nodes.files(node)] == [(node, name) for node in range(count) for name in sorted(expected[node])]
    last = nodes.dir(count - 1)
    assert [(last / name).read_text() for name in ("m1", "m2", "m5", "mu")] == ["m1\n", "m2\n", "m5\n", "".join(f"{n}\n" for n in range(1, 10))]
    assert (last / "m3").read_text() == "".join(f"{n}\n" for n in range(1, 2000001)) + "x\n"


@needs_compiler
@needs_mpirun
def test_what_has_changed_since_it_was_complete_stays_where_it_was_made(make_nodes):
    nodes = make_nodes(2)
    assert nodes.run(1, "reader", "true")[0] == 0
    assert nodes.run(0, "writer", "echo m > $CAPIO_DIR/m")[0] == 0
    _wait_for(nodes, 1, "m", "m\n")
    assert nodes.run(0, "writer", "echo more >> $CAPIO_DIR/m")[0] == 0
    assert nodes.stop(0) == 0
    assert (nodes.dir(0) / "m").read_text() == "m\nmore\n" and (nodes.dir(1) / "m").read_text() == "m\n" and "has changed since it was complete" in nodes.log()


_HEADER = """
import os, sys, time
with open(os.environ["CAPIO_DIR"] + "/m", "wb", buffering=0) as file:
    file.write(b"????" + b"x" * 6_000_000)
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.02)
    file.seek(0)
    file.write(b"head")
"""


@needs_compiler
@needs_mpirun
def test_a_header_that_is_written_at_the_end_comes_to_the_home_too(make_nodes, tmp_path):
    """As of zip and wav files, whose workflow says no_update all the same: nothing may be lost when the file goes where it was made."""
    nodes = make_nodes(2)
    assert nodes.run(1, "reader", "true")[0] == 0
    wrote = nodes.start(0, "writer", [sys.executable, "-c", _HEADER, str(tmp_path / "go")])
    _wait_for(nodes, 1, "m", "????" + "x" * 6_000_000)
    (tmp_path / "go").touch()
    assert ended(wrote)[0] == 0
    assert nodes.stop(0) == 0
    assert nodes.files(0) == [] and nodes.files(1) == ["m"] and (nodes.dir(1) / "m").read_bytes() == b"head" + b"x" * 6_000_000


@needs_compiler
@needs_mpirun
def test_a_killed_server_leaves_what_has_come_to_its_home(make_nodes):
    nodes = make_nodes(2)
    assert nodes.run(1, "reader", "true")[0] == 0
    assert nodes.run(0, "writer", "echo m > $CAPIO_DIR/m; echo gone > $CAPIO_DIR/gone")[0] == 0
    _wait_for(nodes, 1, "m", "m\n")
    _wait_for(nodes, 1, "gone", "gone\n")
    _wait_kept(nodes, 1, "m")
    os.kill(nodes.pid(1), signal.SIGKILL)
    nodes.job.wait(LIMIT_S)
    tidy = "from wrp.capio.server import place; print(place.tidy_all())"
    subprocess.run([sys.executable, "-c", tidy], env=dict(os.environ, WRP_SHM_DIR=str(nodes.folder / "shm1")), check=True)
    assert nodes.files(1) == ["m"]


@needs_compiler
@needs_mpirun
def test_what_is_permanent_is_brought_to_its_real_place_from_every_node(make_nodes, tmp_path):
    """--keep, of files that are at their home where they were made, and of one that has come to it."""
    (tmp_path / "real").mkdir()
    nodes = make_nodes(2, f"--keep {tmp_path}/real")
    assert nodes.run(1, "reader", "true")[0] == 0
    assert nodes.run(0, "writer", "cd $CAPIO_DIR; echo m > m; echo c > c; echo gone > gone")[0] == 0
    _wait_for(nodes, 1, "m", "m\n")
    assert nodes.run(1, "reader", "cat $CAPIO_DIR/c")[1] == b"c\n"
    assert nodes.stop(0) == 0
    assert {path.name: path.read_text() for path in (tmp_path / "real").iterdir()} == {"m": "m\n", "c": "c\n"}
    assert nodes.files(0) == nodes.files(1) == []
