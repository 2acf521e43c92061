"""Isolated nodes: namespaces with host names, networks and shared memory of their own, and jobs of MPI over them by TCP."""

import os
import shlex
import subprocess
import sys
import time

from harness.bound import bound
from harness.machines import Isolated
from harness.mpirun import find_mpirun, job_environment

# what the launcher calls instead of ssh: AGENT HOST COMMAND...
_AGENT = """#!/bin/sh
host=$1
shift
case $host in
{cases}
*) echo "no node $host" >&2; exit 1;;
esac
# a folder of its own for what MPI keeps by the numbers of processes, which are the same on every node
export TMPDIR={folder}/tmp-$host
mkdir -p "$TMPDIR"
exec nsenter -t $pid --net --uts --mount --ipc --pid -- sh -c "cd {here} && $*"
"""


class Nodes:
    """`count` isolated nodes n1, n2, ... and the machine `login` that holds their network. Raises NoNamespaces where there can't be any."""

    def __init__(self, count, folder):
        self._folder, self._login = folder, Isolated("login", "10.77.0.254", folder)
        self.machines = [self._login.neighbour(f"n{number}", f"10.77.0.{number}") for number in range(1, count + 1)]
        self._agent = folder / "agent"
        cases = "\n".join(f"{machine.name}) pid={machine._first};;" for machine in self.machines)
        self._agent.write_text(_AGENT.format(cases=cases, folder=shlex.quote(str(folder)), here=shlex.quote(os.getcwd())))
        self._agent.chmod(0o755)

    def start(self, ranks_per_node, argv, env=None):
        """A Popen of `argv` on that many ranks of each node, with text pipes."""
        hosts = ",".join(f"{machine.name}:{ranks_per_node}" for machine in self.machines)
        launch = [find_mpirun(), "--prtemca", "plm_ssh_agent", str(self._agent), "--host", hosts, "--map-by", f"ppr:{ranks_per_node}:node:oversubscribe",
                  "-x", "PYTHONPATH", *[word for name in (env or {}) for word in ("-x", name)]]
        settings = job_environment({"OMPI_MCA_btl_tcp_if_include": "10.77.0.0/24", **(env or {})})
        # the launcher sees processes as they are here, so that its agent can enter the nodes
        enter = ["nsenter", "-t", str(self._login._first), "--net", "--uts"]
        return subprocess.Popen(bound([*enter, *launch, *argv]), env=settings, text=True, errors="replace", start_new_session=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, ranks_per_node, code, timeout_s, env=None):
        """Run a text of Python: CompletedProcess."""
        process = self.start(ranks_per_node, self.python(code), env)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"the job isn't over after {timeout_s} s:\n{out}\n{err}") from None
        return subprocess.CompletedProcess(code, process.returncode, out, err)

    def python(self, code):
        """The command of a text of Python; it lies in a file, which no shell on the way reads."""
        (self._folder / "job.py").write_text(code)
        return [sys.executable, str(self._folder / "job.py")]

    def cut(self, number):
        """Take node n`number` off the network."""
        self.machines[number - 1]._run("ip", "link", "set", "eth0", "down")

    def left(self):
        """What jobs have left in the nodes' shared memory: {node: names}."""
        until, found = time.monotonic() + 5, {}
        while time.monotonic() < until:
            found = {machine.name: subprocess.run(machine.command("ls", "/dev/shm"), capture_output=True, text=True).stdout.split()
                     for machine in self.machines}
            if not any(found.values()):
                break
            time.sleep(0.1)
        return found

    def close(self):
        """End what still runs in them; idempotent."""
        self._login.close()
