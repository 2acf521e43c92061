"""What attached programs have begun, on the daemon's side."""

import os
import subprocess
import threading

import pytest

from wrp.cte import Store
from wrp.cte.served.serving import Serving
from wrp.cte.served.stashes import Stash, Stashes
from wrp.errors import StoreError, UsageError
from wrp.runtime.daemon import processes


def test_a_commit_is_refused_in_time_while_a_put_of_the_batch_is_still_at_work():
    """The other ranks of the daemon wait in the batch meanwhile, and would give up."""
    serving, owner = Serving("pool"), processes.identity(os.getpid())
    with Store.open(None) as store:
        serving._store, ranks, stashes = store, store.ranks, serving._stashes
        shares = [Stash(owner, None, store.batch("of one")) for _ in range(2)]
        numbers = [stashes.keep(share) for share in shares]
        for number, share in enumerate(shares):
            share.whole.put("t", str(number), b"x")
        begun, answers = threading.Event(), threading.Event()

        def puts():
            with shares[1].used():
                begun.set()
                answers.wait()
        thread, limit_s = threading.Thread(target=puts), ranks.timeout_s
        thread.start()
        assert begun.wait(60)
        ranks.timeout_s = 0.2
        try:
            with pytest.raises(StoreError, match="of one: a put of it is still at work after 0.1 s: nothing of it has happened"):
                serving._commit_batch("of one", [(ranks.rank, number) for number in numbers])
        finally:
            ranks.timeout_s = limit_s
            kept = len(stashes)
            answers.set()
            thread.join()
        assert kept == 1 and not store.exists("t")
        with pytest.raises(StoreError, match="begin again"), stashes.of(numbers[1]).used():
            pass
        stashes.drop(numbers[1])
        assert len(stashes) == 0


def test_a_share_that_cannot_be_given_back_keeps_no_other(monkeypatch):
    serving, owner = Serving("pool"), processes.identity(os.getpid())
    with Store.open(None) as store:
        serving._store, ranks = store, store.ranks
        shares = [Stash(owner, None, store.batch("of one")) for _ in range(2)]
        for share in shares:
            share.whole.put("t", "the same", b"x" * 100_000)

        def refused():
            raise StoreError("its node is silent")
        monkeypatch.setattr(shares[0].whole, "abandon", refused)
        with pytest.raises(UsageError, match="two ranks wrote blob 'the same'"):
            serving._commit_batch("of one", [(ranks.rank, serving._stashes.keep(share)) for share in shares])
        assert shares[1].whole is None and len(serving._stashes) == 0


def test_a_sweep_waits_for_nobody():
    """A put of a dead program may be at work as long as the storage is silent."""
    stashes, given_back = Stashes(), []

    class Whole:
        abandon = staticmethod(lambda: given_back.append(True))
    child = subprocess.Popen(["sleep", "600"])
    stash = Stash(processes.identity(child.pid), None, Whole)
    stashes.keep(stash)
    with stash.used():
        child.kill()
        child.wait()
        thread = threading.Thread(target=stashes.sweep, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive() and len(stashes) == 1 and not given_back
    stashes.sweep()
    assert len(stashes) == 0 and given_back


def test_a_drop_waits_for_nobody_and_a_sweep_comes_again_for_what_was_used():
    """A thread that is stuck in storage would keep the memory of all other programs that have ended, and a daemon that is to end."""
    stashes, gone, freed = Stashes(), processes.identity() + (1 << 22), []

    class Whole:
        def __init__(self, number):
            self.abandon = lambda: freed.append(number)
    numbers = [stashes.keep(Stash(gone, None, Whole(number))) for number in range(2)]
    with stashes.of(numbers[0]).used():
        for sweep in (stashes.sweep, lambda: stashes.drop(numbers[0])):
            sweeping = threading.Thread(target=sweep, daemon=True)
            sweeping.start()
            sweeping.join(20)
            assert not sweeping.is_alive() and freed == [1] and len(stashes) == 1
        for look in (stashes.of, stashes.take):
            with pytest.raises(StoreError, match="begin again"):
                look(numbers[0])
    stashes.sweep()
    assert freed == [1, 0] and len(stashes) == 0
