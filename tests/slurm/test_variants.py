"""array.sbatch and node_local.sbatch as a user submits them."""

import os

import pytest

A, B = os.urandom((3 << 20) + 5), os.urandom(1000)
TWO_RANKS = ("--ntasks-per-node=4", "--ntasks-per-node=2")
TWO_NODES = ("--nodes=1", "--nodes=2"), ("--ntasks-per-node=4", "--ntasks-per-node=1")
pytestmark = pytest.mark.slurm


def test_array(job):
    first, second = job.jobs("one.yaml", a=("file", A)), job.jobs("two.yaml", b=("file", B))
    number = job.submit("array.sbatch", "stores", first, second, options=["--array=1-2"], edits=[job.known])
    for task in (f"{number}_1", f"{number}_2"):
        assert job.cluster.wait(task) == ("COMPLETED", 0), job.log(task)
    assert job.content("stores/one") == {"a": A}
    assert job.content("stores/two") == {"b": B}


@pytest.mark.parametrize("array, files, sentence", [
    ("--array=1", ["one.yaml", "two.yaml"], "2 job file(s), but the array runs from 1 to 1: use --array=1-2"),
    ("--array=1-2", ["one.yaml", "x/one.yml"], "two job files are called one"),
])
def test_array_that_does_not_fit_its_files(job, array, files, sentence):
    number = job.submit("array.sbatch", "stores", *files, options=[array])
    assert job.cluster.wait(f"{number}_1") == ("FAILED", 2)
    assert sentence in job.log(f"{number}_1")


def test_node_local(job):
    local = job.folder / "disk"
    edits = [("${SLURM_TMPDIR:-/tmp/$SLURM_JOB_ID}", str(local)), job.known, TWO_RANKS]
    state, code, log = job.finish("node_local.sbatch", job.jobs(a=("file", A)), "out/store", edits=edits)
    assert (state, code) == ("COMPLETED", 0), log
    assert job.content("out/store") == {"a": A}
    assert [path.name for path in (job.folder / "out").iterdir()] == ["store"] and not local.exists()
    state, code, log = job.finish("node_local.sbatch", job.folder / "jobs.yaml", "out/store", edits=edits)
    assert (state, code) == ("FAILED", 2) and "out/store exists already" in log


def test_node_local_refuses_several_nodes(two_nodes, job):
    state, code, log = job.finish("node_local.sbatch", job.jobs(a=("file", A)), "store", edits=TWO_NODES)
    assert (state, code) == ("FAILED", 2) and "works for one node, not for 2" in log
