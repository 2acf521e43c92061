"""One private Slurm for all tests of this folder, and a home of wrp as `bin/setup` makes it."""

import os
import stat
import sys
from pathlib import Path

import pytest
from harness.mpirun import find_mpirun
from slurm import cluster as clusters
from wrp.comm.ranks import world
from wrp.cte import Store

ROOT = Path(__file__).resolve().parents[2]
_COMMANDS = {"wrp_cae_omni": "wrp.cae.cli", "wrp_cee": "wrp.cee.cli", "wrp-runtime": "wrp.runtime.commands.cli"}


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    reason = clusters.missing()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(120))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Two isolated nodes n1 and n2 with 4 processors each; one node where namespaces can't be made."""
    found = clusters.Cluster(tmp_path_factory.mktemp("slurm"))
    yield found
    found.close()


@pytest.fixture
def two_nodes(cluster):
    """The cluster, where its nodes are isolated."""
    if cluster.one_node:
        pytest.skip(cluster.one_node)
    return cluster


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder as WRP_HOME: this tree's bin/ and slurm/ over the Python that runs the tests."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("bin", "slurm"):
        (folder / name).symlink_to(ROOT / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, module in _COMMANDS.items():
        _script(programs / name, f'exec "{sys.executable}" -m {module} "$@"')
    if find_mpirun():
        _script(programs / "mpirun", f'exec "{find_mpirun()}" "$@"')
    return folder


@pytest.fixture(scope="session")
def launch(cluster):
    """How ranks find each other with the MPI of this Python; ("launch=auto", this) spares a job the search."""
    if not find_mpirun():
        pytest.skip("no MPI beside this Python or on PATH")
    pytest.importorskip("mpi4py")
    meet = "from mpi4py import MPI; raise SystemExit(MPI.COMM_WORLD.Get_size() != 2)"
    for kind in ("pmix", "pmi2"):
        done = cluster.run(["srun", "-n", "2", f"--mpi={kind}", sys.executable, "-c", meet], timeout_s=60)
        if done.returncode == 0:
            return kind
    return "mpirun"


@pytest.fixture(scope="session")
def limited(cluster, home, launch, tmp_path_factory):
    """(job, number) of a job that runs into its time limit. Slurm takes half a minute to notice, so it runs beside the tests."""
    job = Job(cluster, home, tmp_path_factory.mktemp("limited"), launch)
    jobs = job.jobs(a=("file", bytes(range(256)) * 5000), b=("held", b"second"))
    edits = [("--time=00:30:00", "--time=1"), ("--ntasks-per-node=4", "--ntasks-per-node=2"), job.known]
    return job, job.submit("requeue.sbatch", jobs, "store", edits=edits)


@pytest.fixture
def job(cluster, home, tmp_path, launch, limited):
    """The folder a test submits from."""
    return Job(cluster, home, tmp_path, launch)


class Job:
    """Submits the templates from one folder, with nothing but their top lines edited."""

    def __init__(self, cluster, home, folder, launch):
        self.cluster, self.folder = cluster, folder
        self.known = ("launch=auto", f"launch={launch}")
        plugins = Path(__file__).parent / "plugins"
        self.env = {"WRP_HOME": str(home), "WRP_TIMEOUT_S": "60", "PYTHONPATH": os.pathsep.join(map(str, (ROOT, plugins)))}

    def jobs(self, name="jobs.yaml", **sources):
        """Write a job file with one transfer for each `tag=(protocol, bytes)`; its path."""
        lines = ["transfers:"]
        for tag, (protocol, data) in sources.items():
            (self.folder / f"{tag}.bin").write_bytes(data)
            lines.append(f"  - {{src: '{protocol}::{self.folder}/{tag}.bin', dst: 'iowarp::{tag}', format: binary}}")
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n")
        return path

    def submit(self, template, *arguments, options=(), edits=()):
        """The job's number. `edits`: (old, new) in the lines above `set -eu`."""
        script = ROOT / "slurm" / template
        top, mark, rest = script.read_text().partition("set -eu\n")
        for old, new in edits:
            assert old in top, f"{template} has no {old!r} in its top lines"
            top = top.replace(old, new)
        if edits:
            script = self.folder / template
            script.write_text(top + mark + rest)
        return self.cluster.sbatch(*options, script, *arguments, env=self.env, cwd=self.folder)

    def finish(self, template, *arguments, options=(), edits=(), timeout_s=60):
        """Submit and wait: (state, exit code, what it printed)."""
        number = self.submit(template, *arguments, options=options, edits=edits)
        state, code = self.cluster.wait(number, timeout_s)
        return state, code, self.log(number)

    def log(self, number):
        """What a job has printed so far."""
        path = Path(self.cluster.job(number)["StdOut"])
        return path.read_text(errors="replace") if path.exists() else ""

    def content(self, name):
        """{tag: bytes} of a store in this folder."""
        with Store.open(self.folder / name, world()) as store:
            return {tag: b"".join(bytes(store.get(tag, blob)) for _, blob in store.blobs(tag, "chunk_.*")) for tag in store.tags()}

    def run(self, *argv, node=None, timeout_s=60):
        """A command of a user in this folder, on the login node or on a compute node."""
        return self.cluster.run(argv, node=node, env=self.env, cwd=self.folder, timeout_s=timeout_s)


def _script(path, line):
    path.write_text(f"#!/bin/bash\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
