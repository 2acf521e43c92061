"""The harness itself: failing ranks don't hang a job, leaks are found."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from harness import leaks
from harness.mpirun import mpirun, needs_mpirun

_SAMPLE = Path(__file__).with_name("sample_failures.py")
_PYTEST = [sys.executable, "-m", "pytest", "-m", "mpi", "-p", "no:cacheprovider", str(_SAMPLE)]


def _pytest_job(name, n=2):
    return mpirun(n, [*_PYTEST, "--with-mpi", "-k", name], timeout_s=50)


@needs_mpirun
def test_failures_are_shown_and_the_closing_line_is_whole():
    done = _pytest_job("fails_alone or all_ranks_fail or test_passes", n=3)
    assert done.returncode == 1
    assert "--- rank 1 of 3" in done.stderr and "rank 1 fails on purpose" in done.stderr
    assert "all fail on purpose" in done.stdout         # rank 0 goes on after the failure of rank 1
    assert [line for line in done.stdout.splitlines() if line.startswith("=") and " 1 failed, 2 passed" in line]


@needs_mpirun
def test_failure_of_one_rank_while_the_others_wait_ends_the_job():
    done = _pytest_job("while_the_others_wait")
    assert done.returncode != 0
    assert "rank 1 of 2 ends the job" in done.stderr and "rank 1 fails on purpose" in done.stderr


def test_leaks_are_found():
    before = leaks.snapshot()
    assert leaks.leaks(before, grace_s=0) == []
    hold, name = threading.Event(), Path(os.environ["WRP_SHM_DIR"], "left-name")
    thread = threading.Thread(target=hold.wait, args=(30,), name="left-thread")
    thread.start()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name.parent.mkdir(mode=0o700, exist_ok=True)
    name.touch()
    try:
        found = "\n".join(leaks.leaks(before, grace_s=0))
    finally:
        hold.set()
        thread.join()
        child.communicate()
        name.unlink()
    assert "left-thread" in found and f"child processes left behind: {child.pid}" in found
    assert str(name) in found and "file descriptors left behind" in found
    assert leaks.leaks(before) == []
