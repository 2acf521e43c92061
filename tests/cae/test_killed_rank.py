"""kill -9 of one rank in the middle of an ingest: the others end, and the store holds the finished transfer and nothing of the other."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness.mpirun import find_mpirun, job_environment, needs_mpirun

from wrp.cte import Store

HUGE = 1 << 30


def pid_of_rank(rank, mark):
    """Process of one rank of the job whose environment carries `mark`."""
    ours = f"WRP_TEST_JOB={mark}".encode()
    ranks = {f"PMIX_RANK={rank}".encode(), f"PMI_RANK={rank}".encode()}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = set((entry / "environ").read_bytes().split(b"\0"))
                if ours in environment and ranks & environment:
                    return int(entry.name)
            except OSError:
                continue        # ended in between
    raise LookupError(f"no rank {rank} of job {mark}")


@needs_mpirun
@pytest.mark.timeout(120)
def test_killed_rank_ends_the_job_and_leaves_the_store_whole(tmp_path):
    small, huge = os.urandom(3 << 20), tmp_path / "huge.bin"
    (tmp_path / "small.bin").write_bytes(small)
    huge.touch()
    os.truncate(huge, HUGE)
    (tmp_path / "jobs.yaml").write_text(
        f"transfers:\n- {{src: 'file::{tmp_path}/small.bin', dst: 'iowarp::small', format: binary}}\n"
        f"- {{src: 'file::{huge}', dst: 'iowarp::huge', format: binary}}\n")
    mark = str(tmp_path)
    environment = job_environment({"WRP_TEST_JOB": mark})
    command = [find_mpirun(), "-n", "3", sys.executable, "-m", "wrp.cae.cli", "--store", str(tmp_path / "store"), str(tmp_path / "jobs.yaml")]
    with subprocess.Popen(command, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True) as job:
        seen = []
        while not any("transfer 1" in line and "done" in line for line in seen):
            seen.append(job.stdout.readline())
            assert seen[-1], "".join(seen)
        time.sleep(0.1)
        killed = pid_of_rank(1, mark)
        os.kill(killed, signal.SIGKILL)
        rest, _ = job.communicate(timeout=60)
    assert job.returncode != 0
    assert "rank 1" in rest or f"PID {killed}" in rest, rest       # Open MPI names the rank, MPICH its process
    with Store.open(tmp_path / "store") as store:
        assert store.tags() == ["small"]
        assert b"".join(store.get("small", blob) for blob in store.infos("small") if blob.startswith("chunk_")) == small
