"""Identities of processes."""

import os

from wrp.runtime.daemon import processes


def test_identity_of_this_process_lives():
    word = processes.identity()
    assert processes.pid_of(word) == os.getpid() and processes.lives(word)


def test_a_pid_that_is_used_again_is_another_process():
    later = processes.identity() + (1 << 22)        # the same pid, begun one tick later
    assert processes.pid_of(later) == os.getpid() and not processes.lives(later)


def test_ended_processes_dont_live():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    word = processes.identity(pid)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)       # a zombie now
    assert processes.identity(pid) == 0
    os.waitpid(pid, 0)
    assert processes.identity(pid) == 0 and not processes.lives(word) and not processes.lives(0)
