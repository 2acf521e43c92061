"""Jobs that are stopped in the middle: by the signal before the time limit, and by scancel."""

import os

import pytest

A, B = os.urandom((2 << 20) + 5), os.urandom(1000)
TWO_RANKS = ("--ntasks-per-node=4", "--ntasks-per-node=2")
pytestmark = pytest.mark.slurm


@pytest.fixture
def held(job):
    """A job file whose second transfer waits for a file; the waiting shows in b.bin.waiting."""
    return job.jobs(a=("file", A), b=("held", B))


def in_second_transfer(job):
    waiting = job.folder / "b.bin.waiting"
    job.cluster.until(waiting.exists, bool, "the second transfer to begin", 60)


def let_go(job):
    (job.folder / "b.bin.go").touch()


# first: on a loaded machine the requeued job may have waited long enough, and run again, before the other tests are over
def test_time_limit_requeues_and_goes_on(limited):
    job, number = limited
    job.cluster.until(lambda: job.log(number), lambda log: "others come after a requeue" in log, "the signal", 80)
    # pending: no process of the first run is left
    job.cluster.until(lambda: job.cluster.job(number)["JobState"], lambda state: state == "PENDING", "the requeue")
    first = bytes(range(256)) * 5000
    assert (job.folder / f"wrp-requeue-{number}.done").read_text().count("\n") == 1
    assert job.content("store") == {"a": first}
    (job.folder / "a.bin").write_bytes(b"other")        # would show if it were taken in again
    let_go(job)
    # Slurm lets a requeued job wait for two minutes; a node would refuse it in the second in which it gave it up. With the limit of
    # the first run the signal would be due at once, and come whenever Slurm looks next, as it does twice a minute.
    assert job.run("scontrol", "update", f"JobId={number}", "TimeLimit=10", "StartTime=now+2").returncode == 0
    assert job.cluster.wait(number) == ("COMPLETED", 0), job.log(number)
    log = job.log(number)
    assert "run 1 of job" in log and "run 2 of job" in log and "1 of 2 transfer(s) are in the store already" in log
    assert job.content("store") == {"a": first, "b": b"second"}
    assert not (job.folder / f"wrp-requeue-{number}.done").exists()


def test_a_transfer_that_never_fits_is_not_requeued_for_ever(job):
    number = job.submit("requeue.sbatch", job.jobs(b=("held", B)), "store", edits=[TWO_RANKS, ("launch=auto", "launch=mpirun")])
    in_second_transfer(job)
    assert job.run("scancel", "--batch", "--signal=USR1", number).returncode == 0
    assert job.cluster.wait(number) == ("FAILED", 2)
    assert "no transfer was finished within the time limit" in job.log(number)
    assert job.content("store") == {}                   # mpirun ended after its ranks


def test_scancel_leaves_the_store_whole(job, held):
    number = job.submit("ingest.sbatch", held, "store", edits=[TWO_RANKS, job.known])
    in_second_transfer(job)
    assert job.run("scancel", number).returncode == 0
    assert job.cluster.wait(number)[0] == "CANCELLED"
    assert job.content("store") == {"a": A}
    let_go(job)
    state, code, log = job.finish("ingest.sbatch", held, "store", edits=[TWO_RANKS, job.known])
    assert (state, code) == ("COMPLETED", 0), log
    assert job.content("store") == {"a": A, "b": B}


def test_scancel_leaves_nothing_on_the_nodes_disk(job, held):
    local = job.folder / "disk"
    number = job.submit("node_local.sbatch", held, "store", edits=[("${SLURM_TMPDIR:-/tmp/$SLURM_JOB_ID}", str(local)), TWO_RANKS, job.known])
    in_second_transfer(job)
    assert local.exists()
    assert job.run("scancel", number).returncode == 0
    assert job.cluster.wait(number)[0] == "CANCELLED"
    job.cluster.until(local.exists, lambda there: not there, "the node's disk to be clean", 10)
    assert not list(job.folder.glob("store*"))
