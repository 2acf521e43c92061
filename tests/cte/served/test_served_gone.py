"""A daemon that goes under a job of several ranks: every rank is told the same, none waits for another, and what isn't known is said not to be."""

import os
import signal
import sys
import threading

import pytest
from cte.served.test_served_killed import wait_for
from harness.mpirun import mpirun, needs_mpirun
from wrp.cte import Store

pytestmark = [needs_mpirun, pytest.mark.timeout(120)]

_COMMIT = """
import os, signal, sys, time
from wrp.comm import atomics
from wrp.cte import Store
from wrp.cte.served.serving import ASK_ALL
from wrp.errors import StoreError, Uncertain
from wrp.runtime import tasks
from wrp.runtime.daemon.view import View
with Store.open(f"runtime:{sys.argv[1]}") as store:
    batch = store.batch("of all ranks")
    batch.put("t", str(store.ranks.rank), b"x")
    store.ranks.barrier("all have put")
    if store.ranks.rank == 0:
        link, submit = batch._link, batch._link._submit
        with View(sys.argv[1]) as view:
            pids = view.about.pids
        os.kill(pids[1 - batch._share[0]], signal.SIGSTOP)      # so the commit that the other one has taken doesn't end
        def submitted(method, *args):
            future = submit(method, *args)
            while method == ASK_ALL and not atomics.load(link.attached.address + future.offset + tasks.TAKEN):
                time.sleep(0.001)
            for pid in pids if method == ASK_ALL else ():
                os.kill(pid, signal.SIGKILL)
            return future
        link._submit = submitted
    for kind in (Uncertain, StoreError):
        try:
            batch.commit()
        except kind as error:
            print(f"{kind.__name__}: {error}", flush=True)
"""


def test_a_commit_under_way_when_the_daemon_dies_is_uncertain_on_every_rank(started, tmp_path):
    folder, name = tmp_path / "store", f"commits{os.getpid()}"
    running = started(name, 2, folder=folder, env={"WRP_RANKS_PER_NODE": "2"})
    job = mpirun(2, [sys.executable, "-c", _COMMIT, name])
    running.wait()
    assert job.returncode == 0, job.stderr
    told = sorted(job.stdout.splitlines())
    assert len(told) == 4 and told[0] == told[1] and told[2] == told[3], job
    assert told[0].startswith("StoreError: of all ranks: what was put went with the commit that failed: put it again")
    assert told[2].startswith(f"Uncertain: the daemon '{name}' ") and "Whether of all ranks has been committed, as a whole, isn't known" in told[2]
    running = started(name, folder=folder)
    with Store.attach(name, 20) as store:
        assert not store.exists("t")
    assert running.end() == 0


_FLUSH = """
import os, sys, time
from wrp.cte import Store
from wrp.errors import WrpError
with Store.open(f"runtime:{sys.argv[1]}") as store:
    ranks, folder = store.ranks, sys.argv[2]
    def restarted(number):
        ranks.barrier("all are here")
        if ranks.rank == 0:
            open(f"{folder}/kill {number}", "w").close()
            while not os.path.exists(f"{folder}/runs {number}"):
                time.sleep(0.01)
        ranks.barrier("another daemon runs")
    if ranks.rank == 1:
        store.put("t", "lost", b"x")
    restarted(0)
    for _ in range(2):                  # told once, then there is nothing to flush
        try:
            store.flush_all()
            print("flushed", flush=True)
        except WrpError as error:
            print(f"{type(error).__name__}: {error}", flush=True)
    restarted(1)                        # nobody has put since: all go on with the next one
    store.flush_all()
    store.put("t", str(ranks.rank), b"x")
    ranks.barrier("all have put")
    store.flush_all()
    print("well", flush=True)
"""


def test_a_flush_over_the_ends_of_daemons_keeps_the_ranks_of_a_job_in_step(started, tmp_path):
    folder, name, done = tmp_path / "store", f"flushes{os.getpid()}", []
    running = started(name, folder=folder)
    job = threading.Thread(target=lambda: done.append(mpirun(2, [sys.executable, "-c", _FLUSH, name, str(tmp_path)], env={"CHI_CLIENT_RETRY_TIMEOUT": "30"})))
    job.start()
    for number in range(2):
        wait_for(lambda: (tmp_path / f"kill {number}").exists() or done, "the job doesn't come to the restart", 40)
        assert not done, done
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        running = started(name, folder=folder)
        (tmp_path / f"runs {number}").touch()
    job.join(60)
    assert done and done[0].returncode == 0, done
    told = sorted(done[0].stdout.splitlines())
    assert told[2:] == ["flushed", "flushed", "well", "well"] and told[0] == told[1], told
    assert told[0].startswith(f"StoreError: the daemon '{name}' that had what this program has put since its last flush has gone") and "(rank 1 on " in told[0]
    assert running.end() == 0
    with Store.open(folder, write=False) as store:
        assert store.list("t") == ["0", "1"]
