"""The token: exclusion between processes and threads, deadlines, dead holders."""
import os
import signal
import threading
import time

import pytest
from harness.interrupting import interrupted_at

from wrp.comm import atomics
from wrp.comm.heir import inherited
from wrp.comm.lock import NBYTES, DeadHolder, Token, is_alive, this_thread
from wrp.errors import UsageError, WaitTimeout


@pytest.fixture
def token(segment):
    return Token(segment.address + segment.place("token", NBYTES)[0])


@pytest.fixture
def counter(segment):
    return segment.address + segment.place("counter", 64)[0]


def _count(token, counter, times):
    for _ in range(times):
        with token.held("the counter", 20):
            seen = atomics.load(counter)
            if seen % 100 == 0:
                time.sleep(0)                   # gives others a chance to break in
            atomics.store(counter, seen + 1)


def test_processes_exclude_each_other(token, counter, fork):
    _count(token, counter, 1)
    children = [fork(lambda: _count(token, counter, 3000)) for _ in range(3)]
    assert [child.join() for child in children] == [0, 0, 0]
    assert atomics.load(counter) == 9001 and token.holder == 0


def test_threads_exclude_each_other(token, counter):
    threads = [threading.Thread(target=_count, args=(token, counter, 2000)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert atomics.load(counter) == 6000


def test_each_thread_of_each_process_has_a_word_of_its_own(fork):
    mine, others = this_thread(), []
    assert mine == os.getpid() << 32 | threading.get_native_id() == this_thread()
    thread = threading.Thread(target=lambda: others.append((this_thread(), threading.get_native_id())))
    thread.start()
    thread.join()
    assert others == [(os.getpid() << 32 | others[0][1], others[0][1])] and others[0][0] != mine

    def child():
        assert this_thread() == os.getpid() << 32 | threading.get_native_id() != mine
    assert fork(child).join() == 0 and this_thread() == mine


def test_a_block_that_raises_gives_the_token_back(token):
    with pytest.raises(ZeroDivisionError):
        with token.held("x", 1):
            assert token.holder == os.getpid()
            1 / 0
    assert token.holder == 0


def test_a_second_time_in_one_thread_is_refused(token):
    with token.held("the catalog", 1), pytest.raises(UsageError, match="middle of a call that has the token already"):
        token.acquire("the catalog", 1)


@pytest.mark.parametrize("hold", [lambda token: token.held("x", 1), inherited])
def test_an_error_of_a_signal_handler_leaves_the_token_free_at_whatever_step(token, hold):
    def work():
        with hold(token):
            assert atomics.load(token.address)
    steps = 1
    while interrupted_at(steps, work):
        assert token.holder == 0
        steps += 1
    assert steps > 5 and token.holder == 0


def _when_held(token):
    deadline = time.monotonic() + 20
    while token.holder == 0:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_deadline_names_the_holder(token, fork):
    def hold():
        token.acquire("x", 1)
        time.sleep(20)

    child = fork(hold)
    _when_held(token)
    with pytest.raises(WaitTimeout, match=f"for the catalog, which process {child.pid} of this node holds"):
        token.acquire("the catalog", 0.12)
    child.kill()


@pytest.mark.parametrize("reaped", [True, False])
def test_dead_holder_is_named_at_once(token, fork, reaped):
    child = fork(lambda: (token.acquire("x", 1), os.kill(os.getpid(), signal.SIGKILL)))
    _when_held(token)
    if reaped:
        assert child.join() == -signal.SIGKILL
    with pytest.raises(DeadHolder, match=f"Process {child.pid} died while it held the catalog"):
        token.acquire("the catalog", 20)
    with pytest.raises(DeadHolder):
        token.acquire("the catalog", 20)        # and it stays so


def test_is_alive():
    assert is_alive(os.getpid()) and is_alive(1) and not is_alive(2**22 + 1)
