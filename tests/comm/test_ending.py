"""How jobs end: common errors, errors of one rank, dead ranks, absent ranks."""

import signal
import subprocess
import sys

import pytest
from harness.mpirun import job_environment, needs_mpirun, run_python

from wrp.comm.ranks import run

pytestmark = needs_mpirun
_MAIN = """
import os, sys, time
from wrp.comm.ranks import run
from wrp.errors import OutOfSpace
def main(ranks):
    {0}
    ranks.barrier("meeting")
sys.exit(run(main))
"""


def _job(body, **env):
    return run_python(_MAIN.format(body), 2, timeout_s=30, env=env)


def test_good_end():
    done = _job("print('rank', ranks.rank)")
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["rank 0", "rank 1"] and done.stderr == ""


def test_common_error_is_said_once_and_ends_without_abort():
    done = _job("""
    with ranks.agreed("step"):
        if ranks.rank:
            raise OutOfSpace("no room")""")
    assert done.returncode == 8
    assert done.stderr.count("wrp: no room (rank 1 on ") == 1 and "MPI_ABORT" not in done.stderr.upper()


@pytest.mark.parametrize("body, code, sentence", [
    ("if ranks.rank: raise OutOfSpace('no room')", 8, "wrp: no room"),
    ("ranks.rank and 1 / 0", 1, "ZeroDivisionError"),
    ("ranks.rank and sys.exit(3)", 3, ""),
])
def test_error_of_one_rank_ends_all(body, code, sentence):
    done = _job(body)
    assert done.returncode == code and sentence in done.stderr


def test_absent_rank_is_named():
    done = _job("ranks.rank and time.sleep(20)", WRP_TIMEOUT_S="1")
    assert done.returncode == 9
    assert "rank 0 on " in done.stderr and "in 'meeting'; not there: rank 1 (pid " in done.stderr


_SCRIPT = """
from mpi4py import MPI
import sys, time
import wrp_cee
from wrp.comm.ranks import speaks, world
rank = MPI.COMM_WORLD.rank
context = wrp_cee.ContextInterface("nowhere")
{0}
"""


def test_an_error_before_the_first_call_ends_all():
    done = run_python(_SCRIPT.format("if rank: raise ValueError('mine')\nworld()"), 2, timeout_s=30, env={"WRP_TIMEOUT_S": "25"})
    assert done.returncode == 1 and "ValueError: mine" in done.stderr and "waited" not in done.stderr


def test_ranks_that_did_not_meet_are_waited_for_once(tmp_path):
    body = f"""
import os
over, late = {str(tmp_path / "over")!r}, time.monotonic() + 20
if rank:
    while not os.path.exists(over) and time.monotonic() < late:
        time.sleep(0.02)
    sys.exit()
for _ in range(2):
    begun = time.monotonic()
    try:
        world()
    except Exception as error:
        print(speaks(), error)
print(time.monotonic() - begun < 2, flush=True)       # another wait would last as long as its deadline
open(over, "w").close()
"""
    done = run_python(_SCRIPT.format(body), 2, timeout_s=30, env={"WRP_TIMEOUT_S": "2"})
    lines = done.stdout.splitlines()
    assert lines[0] == lines[1] and lines[0].startswith("True rank 0 on ") and "first call" in lines[0] and lines[2:] == ["True"]


def test_different_steps_are_told_apart():
    done = _job("""
    if ranks.rank:
        ranks.share(None, "one step")
    else:
        ranks.gather(b"x" * 100_000, "another step")""", WRP_TIMEOUT_S="3")
    assert done.returncode in (9, 1) and "every rank must take the same steps" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("ranks_per_node", ["2", "1"])
def test_ticks_hold_the_deadline_off(ranks_per_node):
    done = _job("[(time.sleep(0.1), ranks.tick()) for _ in range(20 * ranks.rank)]",
                WRP_TIMEOUT_S="1.5", WRP_RANKS_PER_NODE=ranks_per_node)
    assert done.returncode == 0, done.stderr


def test_absent_rank_of_another_node_is_named():
    done = _job("ranks.rank and time.sleep(20)", WRP_TIMEOUT_S="1", WRP_RANKS_PER_NODE="1")
    assert done.returncode == 9
    assert "missing is one of the ranks 1 on other nodes" in done.stderr


@pytest.mark.parametrize("step", ["ranks.barrier('it')", "ranks.gather(0, 'it')", "ranks.share(0, 'it', 1)"])
def test_a_rank_that_an_error_of_a_handler_took_out_of_a_step_begins_no_other(step, tmp_path):
    """It would meet what the others are still in, and take what they say there for its own."""
    done = _job(f"""
    import signal
    def ring(*_):
        raise ValueError("ring")
    rung = {str(tmp_path / "rung")!r}
    if ranks.rank:
        while not os.path.exists(rung):
            time.sleep(0.01)
        {step}
    else:
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            {step}
        except ValueError:
            open(rung, "w").close()
    ranks.gather("other", "the next step")""", WRP_TIMEOUT_S="20")
    assert done.returncode == 9
    assert "'the next step' can't begin on rank 0" in done.stderr and "left 'it' in the middle, because of ValueError: ring" in done.stderr


def test_killed_rank_ends_all():
    done = _job("ranks.rank and os.kill(os.getpid(), 9)")
    assert done.returncode != 0


def test_a_rank_that_leaves_early_is_named():
    done = run_python("from wrp.comm.ranks import world\nranks = world()\nif ranks.rank == 0: ranks.barrier('meeting')", 2, 30)
    assert done.returncode == 9
    assert "in 'meeting'; the process of rank 1 " in done.stderr and "has ended" in done.stderr


def test_a_caught_time_out_still_ends_the_job():
    done = _job("""
    if ranks.rank: time.sleep(20)
    try:
        ranks.barrier("lonely")
    except TimeoutError:
        os.environ["seen"] = "yes"
        sys.exit(0)""", WRP_TIMEOUT_S="1")
    assert done.returncode == 9


_SIGTERM = "os.kill(os.getpid(), signal.SIGTERM); time.sleep(20)"


def test_sigterm_is_an_interruption_of_all_ranks():
    done = _job(f"""
    import signal
    try:
        {_SIGTERM}
    finally:
        print("let go")""")
    assert done.returncode == 143
    assert done.stderr.count("wrp: interrupted") == 1 and done.stdout.count("let go") == 2 and "Traceback" not in done.stderr


def test_sigterm_of_one_rank_ends_all():
    done = _job(f"import signal\n    if ranks.rank: {_SIGTERM}")
    assert done.returncode == 143
    assert done.stderr.count("wrp: interrupted") <= 1 and "Traceback" not in done.stderr


def test_the_end_after_an_error_of_one_rank_is_not_called_an_interruption():
    done = _job("if ranks.rank: raise OutOfSpace('no room')\n    time.sleep(20)")
    assert done.returncode == 8
    assert "wrp: no room" in done.stderr and "interrupted" not in done.stderr


def _alone(code):
    return subprocess.run([sys.executable, "-c", "import os, signal, sys, time\nfrom wrp.comm.ranks import run\n" + code],
                          capture_output=True, text=True, timeout=30, env=job_environment())


def test_sigterm_of_a_single_process():
    done = _alone(f"def main(ranks):\n    {_SIGTERM}\nsys.exit(run(main))")
    assert (done.returncode, done.stderr) == (143, "wrp: interrupted\n")


def test_the_exit_code_holds_where_nobody_reads_the_sentence():
    code = "import sys\nfrom wrp.comm.ranks import run\nfrom wrp.errors import OutOfSpace\ndef main(ranks):\n    raise OutOfSpace('x')\nsys.exit(run(main))"
    with open("/dev/full", "w") as full:
        assert subprocess.run([sys.executable, "-c", code], stderr=full, timeout=30, env=job_environment()).returncode == 8


def test_a_second_sigterm_ends_at_once():
    done = _alone(f"def main(ranks):\n    try:\n        {_SIGTERM}\n    finally:\n        {_SIGTERM}\nsys.exit(run(main))")
    assert done.returncode == -signal.SIGTERM


def test_sigterm_is_what_it_was_afterwards_and_others_keep_theirs():
    seen = []
    assert run(lambda ranks: seen.append(signal.getsignal(signal.SIGTERM))) == 0
    assert callable(seen[0]) and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert run(lambda ranks: seen.append(signal.getsignal(signal.SIGTERM))) == 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert seen[1] is signal.SIG_IGN
