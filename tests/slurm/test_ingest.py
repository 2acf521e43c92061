"""ingest.sbatch as a user submits it: on one node and on two, with wrong inputs, and ranks that don't find each other."""

import os

import pytest

A, B = os.urandom((3 << 20) + 5), os.urandom(1000)
TWO_NODES = ("--nodes=1", "--nodes=2"), ("--ntasks-per-node=4", "--ntasks-per-node=1")
STARTED = {"pmix": "srun --mpi=pmix", "pmi2": "srun --mpi=pmi2", "mpirun": "mpirun"}
pytestmark = pytest.mark.slurm


def test_ingest(job, launch):
    state, code, log = job.finish("ingest.sbatch", job.jobs(a=("file", A), b=("file", B)), "store")
    assert (state, code) == ("COMPLETED", 0), log
    assert "transfer 1: file::" in log and f"4 rank(s) on 1 node(s), started with: {STARTED[launch]}" in log
    assert job.content("store") == {"a": A, "b": B}


@pytest.mark.parametrize("chosen", ["auto", "mpirun"])
def test_ingest_on_two_nodes_that_then_see_the_same_store(two_nodes, job, launch, chosen):
    jobs = job.jobs(a=("file", A), b=("file", B))
    state, code, log = job.finish("ingest.sbatch", jobs, "store", edits=[*TWO_NODES, ("launch=auto", f"launch={chosen}")])
    assert (state, code) == ("COMPLETED", 0), log
    assert f"2 rank(s) on 2 node(s), started with: {STARTED[launch if chosen == 'auto' else chosen]}" in log
    assert job.content("store") == {"a": A, "b": B}
    seen = [job.run(f"{job.env['WRP_HOME']}/bin/wrp_cee", "query", "--store", "store", ".*", ".*", node=node) for node in ("n1", "n2")]
    assert seen[0].returncode == 0 and "chunk_3" in seen[0].stdout and seen[0].stdout == seen[1].stdout


def test_wrong_input_ends_the_job_before_a_rank_starts(job):
    jobs = job.jobs(a=("file", A), b=("file", B))
    (job.folder / "b.bin").unlink()
    state, code, log = job.finish("ingest.sbatch", jobs, "store")
    assert (state, code) == ("FAILED", 5)
    assert "b.bin" in log and "does not exist" in log and "started with" not in log and not (job.folder / "store").exists()


def test_a_folder_without_wrp_is_named(job):
    job.env.pop("WRP_HOME")
    state, code, log = job.finish("ingest.sbatch", job.jobs(a=("file", A)), "store")
    assert (state, code) == ("FAILED", 2) and f"no clone of wrp in {job.folder}" in log


def test_ranks_that_do_not_know_each_other_are_refused(job):
    jobs = job.jobs(a=("file", A))
    done = job.run("srun", "-n", "2", "--mpi=none", f"{job.env['WRP_HOME']}/bin/wrp_cae_omni", jobs, "--store", "store")
    assert done.returncode == 2
    assert "Slurm started 2 processes, but MPI sees 1" in done.stderr and "srun --mpi=pmix" in done.stderr
    assert not (job.folder / "store").exists()
