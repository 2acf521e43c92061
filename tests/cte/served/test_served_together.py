"""Calls of all ranks together at a daemon's store: of one program at a daemon of several ranks and nodes, and of the ranks of a job."""

import os
import signal
import sys
import threading
import time

import pytest

from cte.served.test_served_killed import wait_for
from harness.mpirun import mpirun, needs_mpirun
from wrp.cte import Store
from wrp.errors import StoreError, UsageError
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View

MIB = 1 << 20
pytestmark = needs_mpirun


def stopped(running):
    with View(running.name) as view:
        assert view.stop(20)
    assert running.wait() == 0, running.lines


@pytest.fixture(scope="module", params=[(2, "2"), (3, "2")], ids=["one node", "nodes of two and one"])
def spread(request, started, tmp_path_factory):
    """(Running, [name on each node], folder) of a daemon of several ranks."""
    ranks, per_node = request.param
    folder, name = tmp_path_factory.mktemp("spread") / "store", f"spread{ranks}{per_node}{os.getpid()}"
    running = started(name, ranks, folder=folder, ram="32m", env={"WRP_RANKS_PER_NODE": per_node})
    with Store.attach(name, 20) as store, store.batch("first of all") as batch:
        batch.put("kept", "to the end", b"committed")
    yield running, [name, f"{name}.1"][:-(-ranks // int(per_node))], folder
    stopped(running)
    with Store.open(folder, write=False) as store:
        assert store.get("kept", "to the end") == b"committed"


def test_every_call_is_that_of_all_ranks(spread):
    running, names, folder = spread
    stores = [Store.attach(name, 20) for name in names]
    for number, store in enumerate(stores):
        with store.batch(f"of node {number}") as batch:
            batch.replace("t")
            batch.put("t", f"long {number}", bytes([number]) * 5 * MIB)
            batch.put("t", "short", b"%d" % number, 0.25)
        assert [(entry.blob, entry.size) for entry in batch.entries] == [(f"long {number}", 5 * MIB), ("short", 1)]
        for other in stores:
            assert other.list("t") == [f"long {number}", "short"] and other.get("t", "short") == b"%d" % number
            assert other.get("t", f"long {number}") == bytes([number]) * 5 * MIB
        store.set_compression(f"z{number}", "zlib")
        assert all(other.compression(f"z{number}").codec == "zlib" for other in stores)
        assert store.add_target(f"more {number}", "ram", MIB).capacity == MIB
        with pytest.raises(UsageError, match=f"there is a target 'more {number}' in the store"):
            stores[0].add_target(f"more {number}", "ram", MIB)
        with pytest.raises(TypeError, match="missing 2 required positional arguments"):
            store.add_target("only a name")
        assert all(f"more {number}" in [target.name for target in other.targets()] for other in stores)
        store.remove_target(f"more {number}")
        assert not any(f"more {number}" in [target.name for target in other.targets()] for other in stores)
        store.put("t", "of nobody's batch", b"x")
        store.flush_all()
    for store in stores:
        store.close()


def test_a_batch_that_fails_never_was(spread):
    running, names, folder = spread
    with Store.attach(names[-1], 20) as store:
        store.put("f", "a", b"as it was")
        free = [target.remaining for target in store.targets()]
        with pytest.raises(KeyError, match="of the program"):
            with store.batch("that fails") as batch:
                batch.put("f", "a", bytes(3 * MIB))
                batch.remove("kept")
                raise KeyError("of the program")
        with pytest.raises(UsageError, match="is also named 'f too'"):
            store.alias("f", "f too")
            with store.batch("that is refused") as batch:
                batch.put("f", "b", bytes(3 * MIB))
                batch.remove("f")
        assert store.list("f") == ["a"] and store.get("f", "a") == b"as it was"
        wait_for(lambda: [target.remaining for target in store.targets()] == free, "what was dropped is given back a little later")


def killed_at_its_commit(name, number, delay_s):
    """A child that is killed about when it commits a batch."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with Store.attach(name, 20) as store, store.batch("of a killed one") as batch:
                batch.put(f"killed {number}", "long", bytes(3 * MIB))
                batch.put(f"killed {number}", "short", b"x")
                os.write(writing, b"r")
            time.sleep(20)
        finally:
            os._exit(1)
    os.close(writing)
    assert os.read(reading, 1) == b"r"
    os.close(reading)
    time.sleep(delay_s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_program_killed_at_its_commit_leaves_all_of_the_batch_or_nothing(spread):
    running, names, folder = spread
    for number in range(6):
        killed_at_its_commit(names[number % len(names)], number, 0.001 * number ** 2)
    with Store.attach(names[-1], 20) as store:
        with store.batch("goes on") as batch:
            batch.put("kept", "after the killed ones", b"x")
        for number in range(6):
            assert not store.exists(f"killed {number}") or store.list(f"killed {number}") == ["long", "short"]


def test_a_commit_is_refused_when_one_that_had_a_share_has_ended(spread):
    running, names, folder = spread
    with Store.attach(names[0], 20) as store, store.batch("of two") as batch:
        batch.put("of two", "a", b"x")
        rank, number = batch._share
        with pytest.raises(StoreError, match="of two: a program that had a share in it has ended: nothing of it has happened"):
            batch._link.ask("commit_batch", ["of two", [(rank, number), (rank, number + 10_000)]])
        assert not store.exists("of two")
        batch.abandon()


def test_a_batch_whose_commit_has_failed_is_put_again_or_refused(spread):
    running, names, folder = spread
    with Store.attach(names[-1], 20) as store:
        batch = store.batch("again")
        batch.put("again", "a", b"x")
        batch._link.forsake(batch._share[1])
        for why in ("nothing of it has happened", "put it again"):
            with pytest.raises(StoreError, match=why):
                batch.commit()
        batch.put("again", "a", b"y")
        assert [(each.tag, each.blob) for each in batch.commit()] == [("again", "a")] and store.get("again", "a") == b"y"
        assert batch.commit() == []
        store.destroy("again")


def test_programs_of_all_nodes_at_once(spread):
    """Batches, targets, flushes and pools, each program on its node: nobody waits for ever, each batch is whole."""
    running, names, folder = spread
    failed = []

    def work(number, name):
        try:
            with attach(name, 20) as runtime, Store.attach(runtime) as store:
                for step in range(4):
                    with store.batch(f"{number} {step}") as batch:
                        for blob in range(5):
                            batch.put("many", f"{number}.{blob}", b"%d" % step)
                    store.add_target(f"{number}.{step}", "ram", MIB)
                    runtime.pool(f"ram::{name}.{number}.{step}", "bdev", capacity=1 << 16)
                    store.remove_target(f"{number}.{step}")
                    store.flush_all()
        except Exception as error:
            failed.append(error)
    threads = [threading.Thread(target=work, args=(number, name)) for number, name in enumerate([*names, names[0]])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert failed == [] and not any(thread.is_alive() for thread in threads)
    with Store.attach(names[0], 20) as store:
        assert store.get_many("many", store.list("many")) == [b"3"] * 5 * len(threads)


_JOB = """
import os, sys
import numpy as np
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.arrays import get_array, put_array
from wrp.errors import UsageError, WrpError
with Store.open(f"runtime:{sys.argv[1]}") as store:
    ranks, tag = store.ranks, f"job of {world().size}"
    assert ranks is world() and ranks.size > 1
    with store.batch("all of them") as batch:
        batch.put(tag, str(ranks.rank), bytes([ranks.rank]) * 3_000_000)
    assert [entry.blob for entry in batch.entries] == list(map(str, range(ranks.size))), batch.entries
    assert all(store.get(tag, str(rank)) == bytes([rank]) * 3_000_000 for rank in range(ranks.size))
    whole = np.arange(ranks.size * 1000).reshape(ranks.size, 1000)
    put_array(store, f"{tag} array", whole[ranks.rank:ranks.rank + 1], (ranks.rank, 0))
    assert np.array_equal(get_array(store, f"{tag} array"), whole)
    assert np.array_equal(get_array(store, f"{tag} array", (1, 10), (1, 5)), whole[1:2, 10:15])
    for wrong, sentence in ((lambda batch: batch.put(tag, "same", b""), "two ranks wrote blob 'same'"), (lambda batch: 1 // (ranks.rank - 1), "ZeroDivisionError")):
        try:
            with store.batch("that fails") as batch:
                batch.put(tag, f"never {ranks.rank}", bytes(100_000))
                wrong(batch)
        except WrpError as error:
            assert sentence in str(error), error
        else:
            raise AssertionError(sentence)
    assert len(store.list(tag)) == ranks.size
    store.set_compression(f"{tag} z", "zlib")
    assert store.add_target(f"{tag} ram", "ram", 1 << 20).capacity == 1 << 20
    ranks.barrier("all have it")
    store.remove_target(f"{tag} ram")
    store.put(f"{tag} z", str(ranks.rank), bytes(10_000))
    store.flush_all()
    ranks.barrier("all have put")
    assert {store.info(f"{tag} z", str(rank)).codec for rank in range(ranks.size)} == {"zlib"}
    if ranks.rank == 0:
        print("well", flush=True)
"""


# by the nodes of the daemon, so that each is run once
_COMMANDS = {1: ["wrp.cae.cli {jobs}"], 2: ["wrp.cee.cli destroy there", "wrp.cte.bench.cli PutGet 2 4 4k 16 --verify"]}


def test_commands_on_several_ranks(spread, tmp_path):
    running, names, folder = spread
    source, jobs = tmp_path / "source", tmp_path / "jobs.yaml"
    source.write_bytes(bytes(range(256)) * 12_000)
    jobs.write_text(f"name: taken in\ntransfers:\n  - src: file::{source}\n    dst: iowarp::taken\n    format: binary\n")
    with Store.attach(names[0], 20) as store:
        store.put("there", "a", b"x")
        for command in _COMMANDS[len(names)]:
            done = mpirun(2, [sys.executable, "-m", *command.format(jobs=jobs).split(), "--store", f"runtime:{names[-1]}"])
            assert done.returncode == 0, done.stderr
        taken = [store.get("taken", blob) for blob in store.list("taken") if blob.startswith("chunk")] if store.exists("taken") else []
        assert b"".join(taken) == (source.read_bytes() if len(names) == 1 else b"")
        assert store.exists("there") == (len(names) != 2) and not store.tags("rank.*")


def test_ranks_of_a_job_do_together_what_they_do_with_a_store_of_their_own(spread):
    running, names, folder = spread
    ranks, per_node = (3, "1") if len(names) == 2 else (2, "")
    job = mpirun(ranks, [sys.executable, "-c", _JOB, names[0]], env={"WRP_RANKS_PER_NODE": per_node})
    assert (job.returncode, job.stdout.split()) == (0, ["well"]), job.stderr
