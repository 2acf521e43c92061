"""A client goes on when its daemon was killed or stopped and another one of the name came: real daemons, real signals."""

import threading
import time

import pytest

from harness.packages import make_package
from harness.standing import stop
from wrp.errors import RuntimeGone, UsageError
from wrp.runtime import bdev
from wrp.runtime.daemon import Attached, attach

_MODULE = '''
import os
from wrp.runtime.waiting.coroutines import sleep

class Noting:
    methods = {10: "note", 11: "linger"}

    def __init__(self, pool_name, path=""):
        self.path = path

    def note(self, number):
        with open(%r, "a") as file:
            file.write(f"{number}\\n")
        return number

    async def linger(self, number):
        self.note(number)
        await sleep(3600)
'''


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """(folder of the package, file with the numbers of what has run)."""
    folder = tmp_path_factory.mktemp("noting")
    make_package(folder, "noting", "Noting", _MODULE % str(folder / "noted"))
    return folder, folder / "noted"


@pytest.fixture
def start(start_daemon, noted, monkeypatch):
    monkeypatch.syspath_prepend(str(noted[0]))
    noted[1].write_text("")
    return lambda name: start_daemon(name, 0, {"PYTHONPATH": str(noted[0])})


def test_calls_go_on_over_kills_and_restarts(start):
    """Threads call all the time; the daemon is killed, stopped, and killed again."""
    running, over, answers, gone, wrong = start("steady"), threading.Event(), [0, 0], [0, 0], []
    with attach("steady", 10, reconnect_s=30) as attached:
        pool = attached.pool("ram::composed")

        def call(number):
            try:
                while not over.is_set():
                    try:
                        assert pool.call(bdev.GET_STATS, resend=number == 0).values[0] == 32 << 20
                        answers[number] += 1
                    except RuntimeGone as error:
                        assert "only with resend=True" in str(error)
                        gone[number] += 1
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for how in ("kill", "end", "kill"):
            before = list(answers)
            until = time.monotonic() + 20
            while not wrong and any(now < then + 100 for now, then in zip(answers, before)):
                assert time.monotonic() < until, "nobody is served"
                time.sleep(0.01)
            getattr(running, how)()
            time.sleep(0.2)
            running = start("steady")
        before = list(answers)
        while not wrong and any(now < then + 100 for now, then in zip(answers, before)):
            time.sleep(0.01)
        over.set()
        for thread in threads:
            thread.join(30)
        assert not wrong and gone[0] == 0 and gone[1] <= 3          # what was under way when the daemon died, and nothing else
    assert running.end() == 0


def test_what_no_worker_had_is_run_once_by_the_next_daemon(start, noted):
    running = start("halted")
    with attach("halted", 10, reconnect_s=30) as attached:
        pool = attached.pool("noting", "noting")
        assert pool.call(10, 1).values[0] == 1
        lingering = [pool.submit(11, 2), pool.submit(11, 3, resend=True)]
        while noted[1].read_text() != "1\n2\n3\n":
            time.sleep(0.01)
        stop(running.pid)
        futures = [pool.submit(10, number) for number in range(4, 8)]
        running.kill()
        running = start("halted")
        assert [future.wait(20).values[0] for future in futures] == [4, 5, 6, 7]
        with pytest.raises(RuntimeGone, match="Whether the task has run isn't known"):
            lingering[0].wait(20)                   # it had begun
        thread = threading.Thread(target=lambda: lingering[1].wait(20))
        thread.start()
        until = time.monotonic() + 20
        while noted[1].read_text() != "1\n2\n3\n4\n5\n6\n7\n3\n":
            assert time.monotonic() < until, noted[1].read_text()
            time.sleep(0.01)
        lingering[1].cancel()
        thread.join(20)
        assert lingering[1].reply.code == 97
    assert running.end() == 0


def test_nobody_comes(start):
    running = start("alone")
    with attach("alone", 10, reconnect_s=0.5) as attached:
        pool = attached.pool("ram::composed")
        assert pool.call(bdev.GET_STATS).code == 0
        running.kill()
        begun = time.monotonic()
        with pytest.raises(RuntimeGone):
            pool.call(bdev.GET_STATS)
        with pytest.raises(RuntimeGone, match="waited 0.5 s for another daemon of this name"):
            pool.call(bdev.GET_STATS)
        with pytest.raises(RuntimeGone, match="waited 0.5 s for another daemon of this name"):
            attached.has_pool("admin")
        assert time.monotonic() - begun < 20
        running = start("alone")                    # later than its patience: the next call finds it
        assert pool.call(bdev.GET_STATS).code == 0
        with pytest.raises(UsageError, match="has no pool 'nowhere'"):
            attached.pool("nowhere")
    assert running.end() == 0
    with pytest.raises(UsageError, match="attach again"):
        pool.call(bdev.GET_STATS)


def test_leases_go_with_their_daemon(start):
    running = start("leasing")
    with attach("leasing", 10, reconnect_s=30) as attached:
        device = attached.device("ram::composed")
        device.lease(1 << 20)
        running.kill()
        running = start("leasing")
        pool = attached.pool("ram::composed")
        with pool.group() as group:
            group.submit_many(bdev.GET_STATS, [()] * 3)
        assert [reply.values[:2] for reply in group.replies] == [(32 << 20, 32 << 20)] * 3
        with pytest.raises(RuntimeGone):
            device.lease(31 << 20)
        again = attached.device("ram::composed")
        again.write(again.lease(64), b"x" * 64)
        assert attached.monitor("get_host_info") and [reply.code for reply in pool.call_each(bdev.GET_STATS)] == [0]
        pool.post(bdev.GET_STATS)
    assert running.end() == 0


def test_who_attaches_again(start, monkeypatch):
    running = start("asked")
    with attach("asked", 10) as attached:
        assert type(attached) is Attached
    monkeypatch.setenv("CHI_CLIENT_RETRY_TIMEOUT", "7")
    with attach("asked", 10) as attached:
        assert attached._limit_s == 7
    with attach("asked", 10, reconnect_s=0) as attached:
        assert type(attached) is Attached
    monkeypatch.setenv("CHI_CLIENT_RETRY_TIMEOUT", "soon")
    with pytest.raises(UsageError, match="CHI_CLIENT_RETRY_TIMEOUT is 'soon'"):
        attach("asked", 10)
    assert running.end() == 0
