"""Tasks of attached processes that wait inside a module of a user: deadlines, cancelling, and the death of who submitted them."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.packages import make_package
from wrp.errors import ConfigError, UsageError, WaitTimeout
from wrp.runtime import tasks
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View
from wrp.runtime.meeting import Meeting

_MODULE = '''
from wrp.runtime.waiting.coroutines import sleep

class Waiter:
    methods = {10: "twice", 11: "forever", 12: "count"}

    def __init__(self, pool_name, start=0):
        self.waiting = start

    def twice(self, number):
        return 2 * number

    async def forever(self):
        self.waiting += 1
        try:
            while True:
                await sleep(3600)
        finally:
            self.waiting -= 1

    def count(self):
        return self.waiting
'''


@pytest.fixture(scope="module")
def running(start_daemon, tmp_path_factory):
    """A daemon that finds a package with a module; this process doesn't."""
    folder = tmp_path_factory.mktemp("package")
    make_package(folder, "waiter", "Waiter", _MODULE)
    return start_daemon("waiting", env={"PYTHONPATH": str(folder)})


@pytest.fixture
def pool(running):
    with attach(running.name, 10) as attached:
        yield attached.pool("mine") if attached.has_pool("mine") else attached.pool("mine", "waiter", start=0)


def test_module_that_only_the_daemon_has(pool):
    assert pool.call(10, 21).values[0] == 42
    with pytest.raises(ConfigError, match="no module 'waiter'"):
        pool._node.pool("mine", "waiter")


def test_deadline_of_a_task(pool):
    assert pool.submit(11, deadline_s=0.1).wait(10).code == tasks.DEADLINE
    assert pool.call(12).values[0] == 0
    with pytest.raises(UsageError, match="periodic"):
        pool.submit(12, period_s=1)


def test_cancelled_task_ends_and_others_go_on(pool):
    futures = [pool.submit(11) for _ in range(20)]
    assert pool.call(12).values[0] == 20
    for future in futures:
        future.cancel()
    assert [future.wait(10).code for future in futures] == [tasks.CANCELLED] * 20
    assert pool.call(12).values[0] == 0


def test_many_at_once(pool):
    assert [future.wait(10).values[0] for future in pool.submit_many(10, [(number,) for number in range(200)])] == list(range(0, 400, 2))


def test_tasks_of_a_killed_process_are_cancelled(pool, running):
    pid = os.fork()
    if pid == 0:
        try:
            own = attach(running.name, 10).pool("mine")
            kept = [own.submit(11) for _ in range(50)]
            own.call(12)
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(len(kept))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    until = time.monotonic() + 10
    with View(running.name) as view:
        while view.attached() != [os.getpid()]:
            assert time.monotonic() < until, view.attached()
            time.sleep(0.02)
    assert pool.call(12).values[0] == 0


def test_a_process_killed_in_a_meeting_has_not_come(running):
    with attach(running.name, 10) as attached, View(running.name) as view:
        pool = attached.pool("meetings", "meeting")
        others = set(view.attached())
        pid = os.fork()
        if pid == 0:
            try:
                Meeting(attach(running.name, 10).pool("meetings"), 0, 2, 5).reduce(1000)
            finally:
                os._exit(1)
        until = time.monotonic() + 10
        while set(view.attached()) == others:
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        while set(view.attached()) != others:
            assert time.monotonic() < until, view.attached()
            time.sleep(0.02)
        with pytest.raises(WaitTimeout, match="participant 1 of 2"):
            Meeting(pool, 1, 2, 5).barrier(timeout_s=0.2)
        with ThreadPoolExecutor(1) as threads:
            again = threads.submit(Meeting(pool, 0, 2, 5).reduce, 1)
            assert Meeting(pool, 1, 2, 5).reduce(2) == again.result() == 3
