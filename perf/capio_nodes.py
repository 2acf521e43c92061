"""A file that is read on another node while it is written, against what the same MPI moves: two isolated nodes (namespaces) joined by TCP.

    python perf/capio_nodes.py [--nbytes 1g] [--rounds 5] [--out FILE]

Contenders take turns. MPI sends the bytes in pieces of 4 MiB from one array into another; the file also is written, comes to a file on the other node and
is read there, both into memory that was in use just before. MPI's time has no starts of processes in it, so what writer and reader of a file of one piece take
is taken off ours ("start", the median of three). Needs mpirun and the permission to make namespaces; without, the result says what is missing.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from capio.nodes.several import make_folders  # noqa: E402
from capio_flow import end_at_sigterm, finish, used_memory  # noqa: E402
from harness.isolated import Nodes  # noqa: E402
from harness.machines import NoNamespaces  # noqa: E402
from timing import setting, write  # noqa: E402
from wrp.capio import shim  # noqa: E402
from wrp.comm.sizes import parse_size  # noqa: E402

PROGRAM = [sys.executable, "-I", str(Path(__file__).with_name("capio_program.py"))]
FLOW = {"name": "perf-apart", "IO_Graph": [
    {"name": "writer", "output_stream": ["f-*"], "streaming": [{"name": ["f-*"], "committed": "on_close", "mode": "no_update"}]},
    {"name": "reader", "input_stream": ["f-*"]}]}
SENDING = """import time
import numpy as np
from mpi4py import MPI
comm, piece = MPI.COMM_WORLD, np.ones(4 << 20, np.uint8)
for _ in range({rounds}):
    comm.Barrier()
    begun = time.perf_counter()
    for _ in range({nbytes} // piece.nbytes):
        comm.Send(piece, 1) if comm.rank == 0 else comm.Recv(piece, 0)
    comm.Barrier()
    if comm.rank == 0:
        print(time.perf_counter() - begun, flush=True)
"""
LIMIT_S = 300


class Servers:
    """One on each node."""

    def __init__(self, nodes, folder):
        self._nodes, self._folder = nodes, folder
        self._job = nodes.start(1, make_folders(folder, 2, FLOW))
        self._run(1, [sys.executable, "-c", "from wrp.capio.client import Client; Client('perf-apart', wait_s=60).close()"])
        self._held = [self._begin(node, None, [sys.executable, "-c", "import sys\nfrom wrp.capio.client import Client\n"
                      f"with Client('perf-apart') as client:\n    client.control('start', step='{step}')\n    sys.stdin.read()"], stdin=subprocess.PIPE)
                      for node, step in enumerate(("writer", "reader"))]

    def _begin(self, node, step, words, **more):
        env = dict(os.environ, CAPIO_DIR=str(self._folder / f"data{node}"), WRP_SHM_DIR=str(self._folder / f"shm{node}"), CAPIO_WORKFLOW_NAME="perf-apart",
                   CAPIO_SERVER_WAIT_S="30")
        if step is not None:            # the library by env: the way into the node isn't a program of the step
            words = ["env", f"LD_PRELOAD={shim.path()}", f"CAPIO_APP_NAME={step}", *words]
        return subprocess.Popen(self._nodes.machines[node].command(*map(str, words)), env=env, **({"stdin": subprocess.DEVNULL} | more))

    def _run(self, node, words):
        process = self._begin(node, None, words)
        finish(process)
        if process.returncode:
            raise SystemExit(f"{words} ended with {process.returncode}")

    def seconds(self, name, nbytes):
        """From the start of writer and reader to the end of both."""
        begun = time.perf_counter()
        both = [self._begin(node, step, [*PROGRAM, what, self._folder / f"data{node}" / name, nbytes, 0.0])
                for node, step, what in ((0, "writer", "write"), (1, "reader", "read"))]
        for process in both:
            finish(process)
        taken = time.perf_counter() - begun
        if any(process.returncode for process in both):
            raise SystemExit(f"the programs ended with {[process.returncode for process in both]}")
        (self._folder / "data0" / name).unlink()
        return taken

    def close(self):
        for process in self._held:
            process.communicate(b"", timeout=30)
        self._run(1, [sys.executable, "-c", "from wrp.capio.client import Client; Client('perf-apart').control('end')"])
        self._job.communicate(timeout=60)


def sent(nodes, nbytes, rounds):
    """Seconds that MPI takes for so many bytes, of each round but the first."""
    done = nodes.run(1, SENDING.format(nbytes=nbytes, rounds=rounds + 1), LIMIT_S)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return [float(line) for line in done.stdout.split()][1:]


def measured(folder, nbytes, rounds):
    """{contender: [seconds]}."""
    nodes, found = Nodes(2, folder), {"mpi": [], "start": [], "capio": []}
    try:
        for turn in range(rounds):
            found["mpi"] += sent(nodes, nbytes, 1)
            servers = Servers(nodes, Path(tempfile.mkdtemp(dir=folder)))
            try:
                found["start"].append(statistics.median(servers.seconds(f"f-start-{turn}-{once}", 4 << 20) for once in range(3)))
                used_memory(folder, 2 * nbytes)         # written here and there
                found["capio"].append(servers.seconds(f"f-{turn}", nbytes))
            finally:
                servers.close()
    finally:
        nodes.close()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nbytes", default="1g", help="size of the file, whole pieces of 4 MiB (default 1g)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of both contenders, of which the fastest counts (default 5)")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    before, nbytes = setting(), parse_size(arguments.nbytes)
    end_at_sigterm()
    with tempfile.TemporaryDirectory(prefix="wrp-perf-") as folder:      # /dev/shm is another in every node
        try:
            found = measured(Path(folder), nbytes, arguments.rounds)
        except NoNamespaces as why:
            return write(arguments.out, {"setting": before, "skipped": str(why)})
    best = {name: min(values) for name, values in found.items()}        # memory that was in use isn't always what one gets, and that only adds
    value = best["mpi"] / (best["capio"] - best["start"])
    write(arguments.out, {"setting": before, "nbytes": nbytes, "seconds": best, "rounds": found,
                          "compared": {"file between nodes, mpi's time / ours": {"value": round(value, 3), "bar": ">= 0.7", "met": value >= 0.7}}})


if __name__ == "__main__":
    main()
