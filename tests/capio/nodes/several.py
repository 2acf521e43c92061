"""Servers of several nodes on this machine, each with a CAPIO_DIR and a folder of shared memory of its own, and programs of steps on them."""

import json
import os
import signal
import subprocess
import sys
import time

from capio.served import LIMIT_S, ended, killed
from harness.bound import bound
from harness.mpirun import find_mpirun, job_environment
from wrp.capio.client import Client
from wrp.capio.commands import ways
from wrp.capio.server import place
from wrp.errors import RuntimeGone

_SERVER = """cd {here} && export CAPIO_DIR={folder}/data$OMPI_COMM_WORLD_RANK WRP_SHM_DIR={folder}/shm$OMPI_COMM_WORLD_RANK
echo $$ > {folder}/pid$OMPI_COMM_WORLD_RANK
exec {python} -m wrp.capio.commands.serve -c {folder}/workflow.json {options}
"""


def make_folders(folder, count, workflow, options=""):
    """CAPIO_DIRs data0, data1, ... and folders of shared memory; the script that a rank starts as its server, with these options."""
    for node in range(count):
        (folder / f"data{node}").mkdir(exist_ok=True)
        (folder / f"shm{node}").mkdir(mode=0o700)
    (folder / "workflow.json").write_text(json.dumps(workflow))
    (folder / "server.sh").write_text(_SERVER.format(here=os.getcwd(), folder=folder, python=sys.executable, options=options))
    return ["sh", str(folder / "server.sh")]


class Several:
    """Running servers of `count` nodes; `start` and `run` begin programs on them. Ended by `end`."""

    def __init__(self, folder, workflow, count=2, options="", **env):
        self.folder, self.name, self.count, self.started, self._held = folder, workflow["name"], count, [], []
        self._log = open(folder / "log", "w+")
        argv = [find_mpirun(), "-n", str(count), "--oversubscribe", "--bind-to", "none", *make_folders(folder, count, workflow, options)]
        self.job = subprocess.Popen(bound(argv), env=job_environment({"WRP_RANKS_PER_NODE": "1", **env}), stdin=subprocess.DEVNULL, stdout=self._log,
                                    stderr=self._log, start_new_session=True)
        try:
            for node in range(count):
                self.client(node).close()
        except RuntimeGone:
            self.job.kill()
            raise AssertionError(self.log()) from None

    def dir(self, node):
        return self.folder / f"data{node}"

    def log(self):
        return (self.folder / "log").read_text()

    def pid(self, node):
        """Of a node's server."""
        return int((self.folder / f"pid{node}").read_text())

    def client(self, node, wait_s=2 * LIMIT_S):
        socket = self.folder / f"shm{node}" / place.folder(self.name).name / "socket"
        return Client(self.name, wait_s=wait_s, socket_path=socket)

    def hold(self, node, step):
        """The step lasts to the end of the servers."""
        self._held.append(self.client(node))
        self._held[-1].control("start", step=step)

    def start(self, node, step, command):
        words = ["bash", "-c", command] if isinstance(command, str) else command
        env = dict(os.environ, CAPIO_DIR=str(self.dir(node)), WRP_SHM_DIR=str(self.folder / f"shm{node}"), CAPIO_WORKFLOW_NAME=self.name, CAPIO_APP_NAME=step)
        self.started.append(subprocess.Popen(words, env=ways.environment(env, "shim"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                             stderr=subprocess.PIPE, start_new_session=True))
        return self.started[-1]

    def run(self, node, step, command):
        return ended(self.start(node, step, command))

    def wait_waiting(self, count=1):
        deadline = time.monotonic() + LIMIT_S
        with self.client(0) as client:
            while len(client.control("status")["waiting"]) < count:
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.02)

    def files(self, node):
        return sorted(str(path.relative_to(self.dir(node))) for path in self.dir(node).rglob("*"))

    def stop(self, node=-1):
        """As `capio stop` on a node, by default the last one, does; the job's exit code."""
        with self.client(node % self.count) as client:
            client.control("end")
        return self.job.wait(LIMIT_S)

    def end(self):
        """End whatever still runs."""
        for client in self._held:
            client.close()
        for process in self.started:
            killed(process)
        if self.job.poll() is None:
            for node in range(self.count):
                os.kill(self.pid(node), signal.SIGCONT)
            try:
                self.stop(0)
            except (subprocess.TimeoutExpired, RuntimeGone):
                os.killpg(self.job.pid, signal.SIGKILL)
                self.job.wait()
        self._log.close()
