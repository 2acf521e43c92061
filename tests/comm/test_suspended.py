"""A job that is suspended for longer than its deadline, as `scontrol suspend` does: it goes on."""

from harness.mpirun import needs_mpirun, run_python

pytestmark = needs_mpirun
_SCRIPT = """
import os, subprocess, sys, tempfile, time
from wrp.comm.ranks import run

def main(ranks):
    folder = ranks.share_of(tempfile.mkdtemp, "a folder")
    pids, go_on = ranks.gather(os.getpid(), "pids"), os.path.join(folder, "go_on")
    if ranks.rank == 0:
        # both stop, and rank 0, which has waited for rank 1 when it does, is awake before that
        subprocess.Popen(["sh", "-c", "sleep 0.5; kill -STOP $1 $2; sleep 4; : >$3; kill -CONT $1; sleep 0.5; kill -CONT $2", "sh", *map(str, pids), go_on])
    else:
        stop = time.monotonic() + 30
        while not os.path.exists(go_on) and time.monotonic() < stop:
            time.sleep(0.01)
    ranks.barrier("going on")
    if ranks.rank == 0:
        os.unlink(go_on)
        os.rmdir(folder)
        print("went on")

sys.exit(run(main))
"""


def test_a_suspended_job_goes_on():
    done = run_python(_SCRIPT, 2, env={"WRP_TIMEOUT_S": "2"})
    assert done.returncode == 0 and "went on" in done.stdout, done.stderr
