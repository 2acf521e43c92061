"""The harness itself: failing ranks don't hang a job, leaks are found, what tests start ends with a run that is killed."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import leaks
from harness.bound import bound, bound_from_afar
from harness.mpirun import job_environment, mpirun, needs_mpirun
from wrp.runtime.daemon import processes

_SAMPLE = Path(__file__).with_name("sample_failures.py")
_PYTEST = [sys.executable, "-m", "pytest", "-m", "mpi", "-p", "no:cacheprovider", str(_SAMPLE)]

# starts a daemon, one of two ranks, and a server of a workflow, as tests do; says their processes and waits
_RUN = """
import sys
from pathlib import Path
from capio.served import Flow, document
from harness.daemons import Running
from wrp.runtime.daemon import processes
folder = Path(sys.argv[1])
(folder / "conf.yaml").write_text("runtime: {timeout_s: 20, segment_capacity: 64m}")
alone, job = (Running(f"bound-{ranks}", folder / "conf.yaml", ranks) for ranks in (0, 2))
flow = Flow(folder, document())
print(*map(processes.identity, (alone.pid, job.process.pid, job.pid, flow.server.pid)), flush=True)
input()
"""


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


@needs_mpirun
def test_daemons_end_with_a_run_that_is_killed(tmp_path):
    env = job_environment({"PYTHONPATH": str(Path(__file__).parent.parent)})
    with subprocess.Popen([sys.executable, "-c", _RUN, str(tmp_path)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        started = [int(word) for word in run.stdout.readline().split()]
        assert len(started) == 4 and all(map(processes.lives, started))
        run.kill()
    until = time.monotonic() + 20
    while any(map(processes.lives, started)):
        assert time.monotonic() < until, [processes.pid_of(word) for word in started if processes.lives(word)]
        time.sleep(0.05)


def test_a_command_bound_from_afar_ends_with_the_process_though_its_parent_is_gone():
    code = "import sys; from harness.bound import bound_from_afar as far; import subprocess\n" \
           "words = far([sys.executable, '-c', 'import os, time; from wrp.runtime.daemon import processes; print(processes.identity(os.getpid()), flush=True); time.sleep(100)'])\n" \
           "subprocess.run(['sh', '-c', '\"$@\" & exit 0', 'sh', *words]); input()"
    env = job_environment({"PYTHONPATH": str(Path(__file__).parent.parent)})
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        started = int(run.stdout.readline())
        assert processes.lives(started)
        run.kill()
    until = time.monotonic() + 20
    while processes.lives(started):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_command_bound_from_afar_gets_signals_and_gives_its_code():
    sleeping = subprocess.Popen(bound_from_afar(["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"]), stdout=subprocess.PIPE, text=True)
    assert sleeping.stdout.readline() == "ready\n"
    sleeping.terminate()
    sleeping.communicate()
    assert sleeping.returncode == 7
    assert subprocess.run(bound_from_afar(["sh", "-c", "kill -9 $$"])).returncode == 128 + 9


def test_a_bound_command_is_what_it_would_be_alone(tmp_path):
    assert subprocess.run(bound(["sh", "-c", "echo $PPID $1; exit 5", "sh", "a b"]), capture_output=True, text=True).stdout == f"{os.getpid()} a b\n"
    assert subprocess.run(bound(["sh", "-c", "exit 5"])).returncode == 5
    missing = subprocess.run(bound([tmp_path / "none"]), capture_output=True, text=True)
    assert missing.returncode == 1 and missing.stderr == f"{tmp_path}/none: No such file or directory\n"
