"""Processes that attach to a daemon, use it and leave."""

import gc
import os
import subprocess
import sys
import threading
import time

import pytest

from harness.mpirun import job_environment
from wrp.comm import atomics
from wrp.comm.shape import shape
from wrp.errors import ConfigError, OutOfSpace, StoreError, StoreVersion, UsageError
from wrp.runtime import bdev
from wrp.runtime.daemon import attach
from wrp.runtime.daemon import about as abouts
from wrp.runtime.daemon.view import View
from wrp.runtime.routing import PoolQuery

MIB = 1 << 20


@pytest.fixture
def attached(daemon):
    with attach(daemon.name, 10) as attached:
        yield attached


def test_pools_of_the_daemon_answer(attached):
    reply = attached.pool("ram::composed").call(bdev.GET_STATS)
    assert reply.code == 0 and reply.values[0] == 32 * MIB
    assert attached.pool("admin", "admin").call(99).code == -1


def test_pool_is_made_by_the_daemon_and_found_by_the_next_process(attached, daemon):
    pool = attached.pool("ram::asked", "bdev", capacity=4 * MIB)
    with attach(daemon.name, 10) as other:
        assert other.pool("ram::asked").id == pool.id
        assert other.pool("ram::asked", "bdev").call(bdev.GET_STATS).values[0] == 4 * MIB


def test_tasks_of_two_processes_become_one(attached, daemon):
    query = PoolQuery.many_to_one(0, key=1, window_ns=10**9)
    with attach(daemon.name, 10) as other:
        pools = attached.pool("ram::joined", "bdev", capacity=MIB), other.pool("ram::joined")
        replies = [future.wait() for future in [pool.submit(bdev.ALLOCATE_BLOCKS, 4096, query=query) for pool in pools]]
    assert replies[0] == replies[1] and replies[0].values[:2] == (0, 8192)        # one run of the sum


def test_refusals_of_the_daemon_come_as_errors(attached):
    with pytest.raises(ConfigError, match="no module 'bdv'; did you mean 'bdev'"):
        attached.pool("x", "bdv")
    with pytest.raises(UsageError, match="has no pool 'nothing'"):
        attached.pool("nothing")
    with pytest.raises(UsageError, match="isn't of module admin"):
        attached.pool("ram::composed", "admin")
    with pytest.raises(OutOfSpace, match="segment"):
        attached.pool("ram::huge", "bdev", capacity=1 << 50)
    with pytest.raises(UsageError, match="has no pool 'ram::huge'"):        # it is in the table, without a device
        attached.pool("ram::huge")
    with pytest.raises(UsageError, match="too many"):
        attached.pool("x" * 5000, "bdev")
    assert attached.pool("ram::composed").call(bdev.GET_STATS).code == 0


@pytest.mark.parametrize("kind", ["ram", "file"])
def test_device_keeps_bytes_and_gets_its_space_back(attached, daemon, tmp_path, kind):
    name = "ram::bytes" if kind == "ram" else str(tmp_path / "data")
    pool = attached.pool(name, "bdev", capacity=16 * MIB)
    device = attached.device(name)
    offset = device.lease(100_000)
    device.write(offset, b"\7" * 100_000)
    found = bytearray(100_000)
    with attach(daemon.name, 10) as other:
        other.device(name).read(offset, found)
    assert found == b"\7" * 100_000
    assert pool.call(bdev.GET_STATS).values[1] < 16 * MIB
    device.give_back(offset, 100_000)
    device.close()
    assert pool.call(bdev.GET_STATS).values[1] == 16 * MIB


def test_what_another_process_leased_cant_be_freed(attached, daemon):
    pool = attached.pool("ram::composed")
    offset = pool.call(bdev.ALLOCATE_BLOCKS, MIB).values[0]
    with attach(daemon.name, 10) as other:
        assert other.pool("ram::composed").call(bdev.FREE_BLOCKS, offset, MIB).code == bdev.NOT_TAKEN
    # in two parts, each once
    assert pool.call(bdev.FREE_BLOCKS, offset, MIB // 2).code == 0
    assert pool.call(bdev.FREE_BLOCKS, offset, MIB // 2).code == bdev.NOT_TAKEN
    assert pool.call(bdev.FREE_BLOCKS, offset + MIB // 2, MIB // 2).code == 0
    assert pool.call(bdev.FREE_BLOCKS, -4096, 4096).code == bdev.NOT_TAKEN
    assert pool.call(bdev.GET_STATS).values[1] == 32 * MIB


def test_more_leases_than_the_table_holds_are_refused_and_nothing_is_lost(attached):
    pool = attached.pool("ram::many", "bdev", capacity=MIB)
    taken = [pool.call(bdev.ALLOCATE_BLOCKS, 64).values[0] for _ in range(4096)]
    codes = [pool.call(bdev.FREE_BLOCKS, offset, 64).code for offset in taken[::2]]
    refused = codes.count(bdev.TABLE_FULL)
    assert refused and set(codes) == {0, bdev.TABLE_FULL}
    freed = [offset for offset, code in zip(taken[::2], codes) if code == 0]
    assert pool.call(bdev.GET_STATS).values[1] == MIB - 64 * (len(taken) - len(freed))
    for offset in sorted(set(taken) - set(freed)):
        assert pool.call(bdev.FREE_BLOCKS, offset, 64).code == 0
    assert pool.call(bdev.GET_STATS).values[1] == MIB


def test_space_of_a_process_that_leaves_is_free_again(daemon):
    with attach(daemon.name, 10) as first:
        assert first.pool("ram::composed").call(bdev.ALLOCATE_BLOCKS, 3 * MIB).code == 0
    with attach(daemon.name, 10) as second:
        until = time.monotonic() + 10
        while second.pool("ram::composed").call(bdev.GET_STATS).values[1] != 32 * MIB:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_more_tasks_than_records_wait_for_room(attached):
    pool = attached.pool("ram::composed")
    futures = [pool.submit(bdev.GET_STATS) for _ in range(256)]
    with pytest.raises(Exception, match="found no room"):
        pool.submit(bdev.GET_STATS, timeout_s=0.1)
    assert all(future.wait().code == 0 for future in futures)
    del futures
    for _ in range(600):
        pool.submit(bdev.GET_STATS)         # nobody waits: the records come back
    assert pool.call(bdev.GET_STATS).code == 0


def test_threads_of_a_process_share_it(attached):
    pool, codes = attached.pool("ram::composed"), []

    def work():
        codes.extend(pool.call(bdev.GET_STATS).code for _ in range(300))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 1200


def test_forked_child_has_to_attach_by_itself(attached, daemon):
    pool = attached.pool("ram::composed")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with pytest.raises(UsageError, match="forked"):
                pool.call(bdev.GET_STATS)
            with attach(daemon.name, 10) as own:
                code = own.pool("ram::composed").call(bdev.GET_STATS).code
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pool.call(bdev.GET_STATS).code == 0


_SCRIPT = """
import sys
sys.modules["mpi4py"] = None            # isn't there: a script or notebook of a machine without MPI
from wrp.runtime import bdev
from wrp.runtime.daemon import attach
with attach(sys.argv[1], 10) as attached:
    device = attached.device("ram::composed")
    offset = device.lease(5)
    device.write(offset, b"plain")
    out = bytearray(5)
    device.read(offset, out)
    device.give_back(offset, 5)
    print(bytes(out), attached.pool("ram::composed").call(bdev.GET_STATS).code)
"""


def test_a_plain_script_attaches_without_mpi(daemon):
    done = subprocess.run([sys.executable, "-c", _SCRIPT, daemon.name], env=job_environment(), capture_output=True, text=True, timeout=40)
    assert (done.returncode, done.stdout) == (0, "b'plain' 0\n"), done.stderr


_LEAVING = """
import atexit, sys, threading
atexit.register(lambda: print(attached.segment.buffer is not None, flush=True))       # registered first, called last
from wrp.runtime import bdev
from wrp.runtime.daemon import attach
attached, calling = attach(sys.argv[1], 10), threading.Barrier(3)
pool = attached.pool("ram::composed")
def call():
    pool.call(bdev.GET_STATS)
    calling.wait()
    while True:
        pool.call(bdev.GET_STATS)
for _ in range(2):
    threading.Thread(target=call, daemon=True).start()
calling.wait()
"""


def test_the_memory_stays_under_threads_that_call_when_the_interpreter_ends(daemon):
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", _LEAVING, daemon.name], env=job_environment(), capture_output=True, text=True, timeout=40)
        assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_collected_ones_leave_and_let_go_of_the_memory(daemon):
    attached = attach(daemon.name, 10)
    segment, ending = attached.segment, attached._ending
    del attached
    gc.collect()
    assert segment.buffer is None and not ending.alive


def test_closed_one_refuses(daemon):
    attached = attach(daemon.name, 10)
    pool = attached.pool("ram::composed")
    attached.close()
    attached.close()
    with pytest.raises(UsageError, match="isn't attached"):
        pool.call(bdev.GET_STATS)


def test_no_daemon_is_said_at_once_or_after_the_wait(monkeypatch):
    with pytest.raises(StoreError, match="no daemon 'nobody' runs on this node"):
        attach("nobody", 0)
    monkeypatch.setenv("CHI_WAIT_SERVER", "0.1")
    with pytest.raises(StoreError, match="wrp-runtime start --name nobody"):
        attach("nobody")
    monkeypatch.setenv("CHI_WAIT_SERVER", "soon")
    with pytest.raises(UsageError, match="CHI_WAIT_SERVER is 'soon'"):
        attach("nobody")


def test_daemon_of_another_version_is_refused(daemon):
    with View(daemon.name) as view:
        word = view.about.address + abouts.VERSION_AT
        atomics.store(word, 99)
        try:
            with pytest.raises(StoreVersion, match=rf"process {daemon.pid}\) is of another version of wrp \(records 99, here"):
                attach(daemon.name, 0)
        finally:
            atomics.store(word, abouts.VERSION)
    attach(daemon.name, 10).close()


def test_daemon_whose_records_are_laid_out_differently_is_refused(daemon, monkeypatch):
    with View(daemon.name) as view:
        word = view.about.address + abouts.SHAPE_AT
        atomics.store(word, abouts.SHAPE + 1)
        try:
            with pytest.raises(StoreVersion, match="laid out differently"):
                attach(daemon.name, 0)
        finally:
            atomics.store(word, abouts.SHAPE)
    attach(daemon.name, 10).close()
    before = shape(*abouts._SHARED)
    for module in abouts._SHARED:
        name, number = next((name, value) for name, value in vars(module).items() if name.isupper() and isinstance(value, int) and name != "SHAPE")
        with monkeypatch.context() as patch:
            patch.setattr(module, name, number + 8)
            assert shape(*abouts._SHARED) != before, module.__name__


def test_name_comes_from_the_environment(daemon, monkeypatch):
    monkeypatch.setenv("WRP_RUNTIME_NAME", daemon.name)
    with attach(timeout_s=10) as attached:
        assert attached.name == daemon.name
