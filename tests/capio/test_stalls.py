"""Steps whose shells wait for programs that wait for each other: the circle is found from outside, and only there where there is one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capio.served import LIMIT_S, killed, needs_compiler
from wrp.capio.server import stalls
from wrp.capio.server.place import running

pytestmark = [needs_compiler, pytest.mark.skipif(not os.path.exists("/proc/self/wchan"), reason="this kernel doesn't say where a process sleeps")]

_CIRCLE = {"name": "circle", "IO_Graph": [
    {"name": step, "input_stream": [reads], "output_stream": [writes], "streaming": [{"name": [writes], "committed": "on_close", "mode": "no_update"}]}
    for step, reads, writes in (("one", "b", "a"), ("two", "a", "b"))]}


def run_all(folder, **steps):
    (folder / "data").mkdir()
    (folder / "circle.json").write_text(json.dumps(_CIRCLE))
    (folder / "steps.yaml").write_text(json.dumps(steps))
    done = subprocess.run([sys.executable, "-m", "wrp.capio.commands.cli", "run", "-c", "circle.json", "--dir", "data", "--all", "steps.yaml"], cwd=folder,
                          capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    assert not running()
    return done


@pytest.mark.parametrize("one", ["cat $CAPIO_DIR/b > $CAPIO_DIR/a; exit $?", "set -o pipefail; cat $CAPIO_DIR/b | sort > $CAPIO_DIR/a; exit $?"])
def test_shells_that_wait_for_each_other(tmp_path, one):
    done = run_all(tmp_path, one=["bash", "-c", one], two="sh -c 'cat $CAPIO_DIR/a; exit $?' > $CAPIO_DIR/b; exit $?")
    assert done.returncode == 1 and "Resource deadlock avoided" in done.stderr
    assert "the steps 'one', 'two' wait for each other and none of them can go on" in done.stderr


def test_a_step_that_only_sleeps_is_no_circle(tmp_path):
    done = run_all(tmp_path, one="cat $CAPIO_DIR/b > $CAPIO_DIR/a; exit $?", two="(sleep 3.5; echo 1 > $CAPIO_DIR/b) & cat $CAPIO_DIR/a; wait")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def _name(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""                       # it has ended


def _programs(family):
    """How many of the processes are the cats and sleepers that stay: not the shell, nor what it runs before them."""
    return sum(_name(pid) in ("cat", "sleep") for pid in family)


@pytest.mark.parametrize("command, processes", [("cat; exit 0", 2), ("cat | cat; exit 0", 3), ("sleep 60 | cat; exit 0", 3), ("mkfifo f; exec 3<>f; cat f; exit 0", 2)])
def test_what_isnt_only_the_steps_own_is_no_stall(tmp_path, command, processes):
    """Sleepers that others can wake: through a pipe that we hold, a timer, a named pipe."""
    child = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, cwd=tmp_path, start_new_session=True)
    try:
        deadline, family = time.monotonic() + LIMIT_S, ()
        while _programs(family) != processes - 1 or not all(where for pid in family for _, where, _ in stalls._threads(pid)):
            assert time.monotonic() < deadline
            family = stalls._family([child.pid], stalls._children())
        assert stalls._sleep(family, []) is None
    finally:
        killed(child)
