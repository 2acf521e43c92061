"""Warming up leaves nothing for the first tasks to compile."""

from wrp import warm
from wrp.runtime import pythonworker, tasks, worker


def test_it_runs_and_compiles_what_tasks_need():
    warm.main()
    for kernel in (tasks.task_submit, tasks.task_wait, tasks.task_free, pythonworker.python_finish, worker.worker_loop, tasks.task_hand, tasks.task_watch,
                   tasks.task_submit_many):
        assert len(kernel.signatures) == 1      # compiled, and for one kind of arguments only
