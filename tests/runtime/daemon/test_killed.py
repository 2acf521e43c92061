"""kill -9 of attached processes and of the daemon: nobody is blocked, nothing is lost, everybody is told."""

import contextlib
import os
import random
import signal
import sys
import threading
import time
import traceback

import pytest

from harness.mpirun import mpirun, needs_mpirun
from harness.standing import stop
from wrp.comm import atomics, names
from wrp.errors import RuntimeGone
from wrp.runtime import bdev, clients
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View

MIB = 1 << 20
CLIENTS = 20


def work(name, ready):
    """A client that calls, submits and leases until it is killed. Never returns."""
    try:
        with attach(name, 30) as attached:
            pool, leases = attached.pool("ram::composed"), []
            os.write(ready, b"r")
            while True:
                futures = [pool.submit(bdev.GET_STATS) for _ in range(random.randrange(1, 40))]
                reply = pool.call(bdev.ALLOCATE_BLOCKS, random.randrange(64, 20_000))
                if reply.code == 0:
                    leases.append(reply.values)
                if len(leases) > 30 or leases and reply.code:
                    assert pool.call(bdev.FREE_BLOCKS, *leases.pop(random.randrange(len(leases)))[:2]).code == 0
                for future in futures:
                    future.wait()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def start_client(name, seed):
    """(pid, descriptor that says when it works)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        random.seed(seed)
        work(name, writing)
    os.close(writing)
    return pid, reading


def wait_for(test, what, limit_s=15):
    until = time.monotonic() + limit_s
    while not test():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def test_killed_clients_leave_nothing(daemon):
    rng = random.Random(7)
    with attach(daemon.name, 10) as watching, View(daemon.name) as view:
        pool = watching.pool("ram::composed")
        wait_for(lambda: view.attached() == [os.getpid()] and pool.call(bdev.GET_STATS).values[1] == 32 * MIB, "the tests before have left something")
        started = [start_client(daemon.name, seed) for seed in range(CLIENTS)]
        for pid, ready in started:
            assert os.read(ready, 1) == b"r"
            os.close(ready)
        assert len(view.attached()) == CLIENTS + 1
        for pid, _ in started:
            time.sleep(rng.random() * 0.03)
            os.kill(pid, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
            assert pool.call(bdev.GET_STATS, timeout_s=5).code == 0         # the others are served on
        wait_for(lambda: view.attached() == [os.getpid()], f"slots aren't given back: {view.attached()}")
        assert pool.call(bdev.GET_STATS).values[1] == 32 * MIB
        table = watching._clients
        assert all(not table.held(number) for number in range(CLIENTS + 2) if number != watching._slot)
        # every slot has all its records and its queue works
        others = [attach(daemon.name, 10) for _ in range(CLIENTS)]
        for other in others:
            futures = [other.pool("ram::composed").submit(bdev.GET_STATS) for _ in range(clients.RECORDS)]
            assert all(future.wait(10).code == 0 for future in futures)
            other.close()


def test_client_that_dies_with_the_bell_unrung_is_reclaimed(daemon):
    """The last instructions before its death: a task queued, nobody told."""
    with attach(daemon.name, 10) as watching, View(daemon.name) as view:
        pool = watching.pool("ram::composed")
        pid = os.fork()
        if pid == 0:
            try:
                attached = attach(daemon.name, 10)
                mine = attached.pool("ram::composed")
                for number in range(3):
                    offset = attached._records.popleft()
                    task = attached.address + offset
                    atomics.store(task + clients.tasks.TAKEN, 0)
                    clients.tasks.task_prepare(task, mine._slot.number, bdev.ALLOCATE_BLOCKS, 1, MIB, 0, 0, 0, 0, 0)
                    if number:                                  # the first one isn't even in the queue
                        clients.queues.queue_push(mine._places[-1], offset)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        wait_for(lambda: view.attached() == [os.getpid()], "the slot isn't given back")
        assert pool.call(bdev.GET_STATS).values[1] == 32 * MIB


@pytest.mark.parametrize("ranks", [0, 2])
def test_client_of_a_killed_daemon_is_told_and_the_next_daemon_starts(start_daemon, ranks):
    running = start_daemon(f"dying{ranks}", ranks)
    attached = attach(running.name, 10)
    pool = attached.pool("ram::composed")
    with View(running.name) as view:
        pids = view.about.pids
    stop(*pids)
    told = []

    def call():
        with pytest.raises(RuntimeGone) as caught:
            pool.call(bdev.GET_STATS)
        told.append(str(caught.value))

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.3)
    assert not told
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):   # mpirun has seen the first one's end, and ended the others
            os.kill(pid, signal.SIGKILL)
    assert running.wait() != 0
    thread.join(10)                                     # 2 s are promised where the machine has time for us
    assert told
    assert f"the daemon 'dying{ranks}' (process {pids[0]}) has ended without being stopped" in told[0]
    with pytest.raises(RuntimeGone):
        pool.call(bdev.GET_STATS)
    attached.close()
    with pytest.raises(RuntimeGone, match="start it again"):
        attach(running.name, 0)
    # what is left of the old one is replaced
    again = start_daemon(running.name, 0)
    with attach(again.name, 10) as attached:
        assert attached.pool("ram::composed").call(bdev.GET_STATS).code == 0
    assert again.end() == 0


@needs_mpirun
def test_the_next_daemon_of_any_name_frees_what_a_killed_one_had(start_daemon, daemon):
    running, halted = start_daemon("forced"), start_daemon("halted")
    running.kill()
    assert running.name in os.listdir(names.folder())
    stop(halted.pid)
    try:
        another = start_daemon("another")
        assert {running.name, another.name, halted.name, daemon.name} & set(os.listdir(names.folder())) == {another.name, halted.name, daemon.name}
    finally:
        os.kill(halted.pid, signal.SIGCONT)
    # a job of several ranks, which needs shared memory too
    another.kill()
    code = "from wrp.comm.ranks import world; from wrp.runtime.config import load; from wrp.runtime.runtime import Runtime\nwith Runtime(world(), load()): pass"
    assert mpirun(2, [sys.executable, "-c", code]).returncode == 0
    assert {another.name, halted.name} & set(os.listdir(names.folder())) == {halted.name}
    assert halted.end() == 0
