"""Warming up leaves nothing for the first tasks to compile."""

from wrp import warm
from wrp.runtime import tasks, worker


def test_it_runs_and_compiles_what_tasks_need():
    warm.main()
    for kernel in (tasks.task_submit, tasks.task_wait, tasks.task_free, tasks.task_finish, tasks.task_value, worker.worker_loop):
        assert len(kernel.signatures) == 1      # compiled, and for one kind of arguments only
