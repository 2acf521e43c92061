"""Servers of two nodes with host names, networks and shared memory of their own, joined by TCP; skipped where namespaces aren't permitted."""

import os
import subprocess
import sys

import pytest

from capio.nodes.several import make_folders
from capio.served import needs_compiler
from harness.isolated import Nodes
from harness.machines import NoNamespaces
from harness.mpirun import needs_mpirun
from wrp.capio import shim

pytestmark = [needs_compiler, needs_mpirun]
_FLOW = {"name": "apart", "IO_Graph": [
    {"name": "writer", "output_stream": ["*"], "streaming": [{"name": ["*"], "committed": "on_close", "mode": "no_update"}]},
    {"name": "reader", "input_stream": ["*"]}]}


@pytest.mark.parametrize("transport", ["tcp", "mpi"])
def test_bytes_between_isolated_nodes(tmp_path, transport):
    try:
        nodes = Nodes(2, tmp_path)
    except NoNamespaces as why:
        pytest.skip(str(why))
    try:
        servers = nodes.start(1, make_folders(tmp_path, 2, _FLOW), {"CAPIO_TRANSPORT": transport})

        def program(node, step, command):
            env = dict(os.environ, CAPIO_DIR=str(tmp_path / f"data{node}"), WRP_SHM_DIR=str(tmp_path / f"shm{node}"), CAPIO_WORKFLOW_NAME="apart",
                       CAPIO_APP_NAME=step, CAPIO_SERVER_WAIT_S="20")
            # the library by env: the way into the node isn't a program of the step
            words = nodes.machines[node].command("env", f"LD_PRELOAD={shim.path()}", "bash", "-c", command)
            return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        read = program(1, "reader", "md5sum < $CAPIO_DIR/a")
        wrote = program(0, "writer", "seq 1 3000000 | tee $CAPIO_DIR/a | md5sum")
        outs = [process.communicate(timeout=50) for process in (wrote, read)]
        assert outs[0][0] and outs[0][0] == outs[1][0], (outs[1][1].decode()[-300:], servers.poll())
        stop = "from wrp.capio.client import Client; Client('apart').control('end')"
        subprocess.run(nodes.machines[1].command(sys.executable, "-c", stop), env=dict(os.environ, WRP_SHM_DIR=str(tmp_path / "shm1")), check=True)
        assert servers.wait(30) == 0, servers.stderr.read()
        assert not list(tmp_path.glob("data*/*"))
        servers.communicate()
    finally:
        nodes.close()
