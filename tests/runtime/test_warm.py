"""Warming up leaves nothing for the first tasks to compile, and removes what one that was killed in its work has left."""

import signal
import subprocess
import sys
from pathlib import Path

from harness.mpirun import job_environment
from wrp.comm import names
from wrp.runtime.daemon import leftovers

LAST_PID = 4_194_304         # no process has it: they end below

# while its daemon is there; what comes next in its work isn't reached
KILLED = """
import os, signal
from wrp import warm
warm.attach = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
warm.main()
"""

TOLD = """
import sys, numba
from wrp import warm
with warm._telling(0.01):
    numba.njit(lambda number: number + 1)(1)
    sys.stdin.read()
"""

# in a process of its own: kernels that call these with constants compile them once more for those
CHECK = """
from wrp import warm
from wrp.cae.hdf5 import filters
from wrp.comm import cached, notes, ways
from wrp.runtime import asking, batch, inline, pythonworker, requests, tasks, worker
from wrp.runtime.bench import loops, plain
from wrp.runtime.meeting import rooms
from wrp.runtime.postman import desk, news, quick, serving
warm.main()
for kernel in (tasks.task_submit, tasks.task_wait, asking.ask, asking.await_task, tasks.task_free, pythonworker.python_finish, worker.worker_loop, tasks.task_hand, tasks.task_watch,
               batch.batch_submit, batch.batch_wait, batch.batch_collect, requests.serve, ways.ways_send, ways.ways_come,
               ways.way_look, rooms.meet, rooms.come, rooms.wait, rooms.give_up, rooms.forget, rooms.arrive, serving.served_new, desk.post_finish, quick.turns, quick.pause, desk.sent_end,
               filters._join8, filters._join4, filters._join2,
               quick.turn_of_other, news.tell_of_other, notes.note_look, notes.note_drop, notes._begin, notes._end, inline.run_inline, inline.do_here, cached._take, cached._clear,
               loops.loop, plain.ping, plain.pong, plain.moves):
    assert len(kernel.signatures) == 1, kernel      # compiled, and for one kind of arguments only
"""


def test_it_runs_and_compiles_what_tasks_need_and_removes_what_a_killed_one_has_left(tmp_path):
    # what it keeps on the disk goes with the test's folder
    env = job_environment({"TMPDIR": str(tmp_path)})
    killed = subprocess.run([sys.executable, "-c", KILLED], env=env, timeout=50)
    assert killed.returncode == -signal.SIGKILL
    unfinished = Path(names.folder(), f"warming-{LAST_PID}.{LAST_PID}.new")
    unfinished.write_bytes(b"")
    assert [left.pid for left in leftovers.find() if left.name.startswith("warming-")] == [0, 0]
    (folder,) = tmp_path.iterdir()
    assert ".warming-" in folder.name and any(folder.iterdir())
    done = subprocess.run([sys.executable, "-c", CHECK], env=env, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert not [left for left in leftovers.find() if left.name.startswith("warming-")] and list(tmp_path.iterdir()) == []


def test_who_waits_for_the_compiler_hears_how_far_it_is():
    with subprocess.Popen([sys.executable, "-c", TOLD], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line == "setup: 1 functions compiled so far\n":
                break
            assert line == "setup: 0 functions compiled so far\n"
        process.stdin.close()
        assert process.wait(60) == 0
