"""Warming up leaves nothing for the first tasks to compile."""

import subprocess
import sys

# in a process of its own: kernels that call these with constants compile them once more for those
CHECK = """
from wrp import warm
from wrp.comm import ways
from wrp.runtime import batch, pythonworker, requests, tasks, worker
from wrp.runtime.postman import quick, serving
warm.main()
for kernel in (tasks.task_submit, tasks.task_wait, tasks.task_free, pythonworker.python_finish, worker.worker_loop, tasks.task_hand, tasks.task_watch,
               batch.batch_submit, batch.batch_wait, batch.batch_collect, requests.serve, ways.ways_send, ways.ways_come,
               ways.way_look, serving.served_new, quick.post_finish, quick.turns, quick.pause, quick.sent_end):
    assert len(kernel.signatures) == 1, kernel      # compiled, and for one kind of arguments only
"""


def test_it_runs_and_compiles_what_tasks_need():
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
