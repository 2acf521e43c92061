"""Tasks that those who would wait for them do themselves: short ones of this process's worker, and the bytes of devices."""

import subprocess
import threading
import time

import numpy as np
import pytest

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.errors import WaitTimeout
from wrp.runtime import admin, bdev, lanes, modules
from wrp.runtime.meter.reading import Meter
from wrp.runtime.waiting import context as own

MIB = 1 << 20
ROUNDS = 50


@kernel
def _stay(context, task, state, step):
    """Keep the worker until word 1 of the state is set; word 0: it has come to this task."""
    atomics.store(state, 1)
    while atomics.load(state + 8) == 0:
        atomics.nap(100)
    return 0


class Stays:
    kernels = {0: _stay}

    def __init__(self, pool_name):
        pass


modules.register("keeps_its_worker", Stays)


@pytest.fixture(params=["ram", "file"])
def target(request, runtime, tmp_path):
    return runtime.device("target", request.param, 16 * MIB, tmp_path / "t.bin" if request.param == "file" else None)


@pytest.fixture
def staging(runtime):
    """(offset in the segment, array) of 4 MiB."""
    device = runtime.device("staging", "ram", 4 * MIB)
    view = device.view(device.lease(4 * MIB), 4 * MIB)
    array = np.frombuffer(view, np.uint8)
    return array.ctypes.data - runtime.node.address, array


def wakeups(runtime):
    return atomics.load(runtime.node.own_lane + lanes.WAKEUPS)


def test_a_short_task_wakes_no_worker_and_counts(runtime):
    pool, meter = runtime.pool("admin", "admin"), Meter(runtime.node)
    before, tasks, asleep = wakeups(runtime), meter.workers()[0].tasks, 0
    for _ in range(ROUNDS):
        asleep += atomics.load(runtime.node.own_lane + lanes.ASLEEP)
        assert pool.call(admin.MONITOR, 0).code == 0
        time.sleep(0.001)
    assert asleep > ROUNDS / 2 and wakeups(runtime) - before < ROUNDS / 4
    assert meter.workers()[0].tasks - tasks == ROUNDS and meter.workers()[0].unfinished == 0
    assert meter.latencies()["1.0", admin.MONITOR].count >= ROUNDS


def test_a_worker_at_work_gets_the_task_into_its_lane(runtime):
    pool, lane = runtime.pool("admin", "admin"), runtime.node.own_lane
    while not lanes.lane_try(lane, atomics.load(lane + lanes.PID)):
        pass
    replies = []
    caller = threading.Thread(target=lambda: replies.append(pool.call(admin.MONITOR, 0)))
    caller.start()
    until = time.monotonic() + 20
    while lanes.lane_waiting(lane) == 0 and time.monotonic() < until:
        time.sleep(0.001)
    assert lanes.lane_waiting(lane) == 1 and not replies
    lanes.lane_give(lane)
    caller.join(20)
    assert replies[0].code == 0


def test_who_waits_moves_the_bytes(runtime, target, staging):
    pool, (buffer, array), meter = target._pool, staging, Meter(runtime.node)
    place, tasks = target.lease(4 * MIB), meter.workers()[0].tasks
    array[:] = np.arange(4 * MIB) % 251
    before = wakeups(runtime)
    for nbytes in (1, 4096, MIB, 4 * MIB):
        time.sleep(0.001)               # the worker sleeps again
        assert pool.call(bdev.WRITE, place, buffer, nbytes) == (0, (nbytes, 0, 0, 0))
    assert wakeups(runtime) - before < 3
    wanted, array[:] = array.copy(), 0
    assert pool.call(bdev.READ, place, buffer, 4 * MIB).values[0] == 4 * MIB
    assert (array == wanted).all()
    written, read = pool.call(bdev.GET_STATS).values[2:]
    assert (written, read) == (5 * MIB + 4097, 4 * MIB)
    assert meter.workers()[0].tasks - tasks == 6 and meter.workers()[0].unfinished == 0
    name = ".".join(map(str, pool.id))
    assert meter.latencies()[name, bdev.WRITE].count == 4 and meter.latencies()[name, bdev.READ].count == 1


@pytest.mark.parametrize("place, buffer, nbytes", [(-1, 0, 8), (0, -1, 8), (0, 0, -8), (16 * MIB - 4, 0, 8), (0, 1 << 60, 8)])
def test_what_is_wrong_is_refused_as_ever(target, place, buffer, nbytes):
    for method in (bdev.WRITE, bdev.READ):
        assert target._pool.call(method, place, buffer, nbytes).code == bdev.OUT_OF_BOUNDS == target._pool.submit(method, place, buffer, nbytes).wait().code


def test_a_read_that_has_to_wait_is_the_worker_s(runtime, staging, tmp_path):
    target = runtime.device("t", "file", 16 * MIB, tmp_path / "t.bin")
    reply = target._pool.call(bdev.READ, 8 * MIB, staging[0], 8)        # the file ends before
    assert (reply.code, reply.values[0]) == (bdev.IO_FAILED, 0)
    assert Meter(runtime.node).workers()[0].unfinished == 0


def test_a_traced_one_is_in_the_trace(runtime, target, staging):
    meter = Meter(runtime.node)
    meter.start_trace()
    target._pool.call(bdev.WRITE, target.lease(MIB), staging[0], MIB)
    meter.stop_trace()
    name = ".".join(map(str, target._pool.id))
    assert [event["args"]["done"] for event in meter.trace()["traceEvents"] if event["name"] == f"{name} method {bdev.WRITE}"] == [True]


def test_flush_and_the_end_wait_for_those_who_move_bytes(runtime):
    context, pool = runtime._io._context, runtime.pool("admin", "admin")
    context[own.LENT] = 1
    flush = pool.submit(admin.FLUSH)
    with pytest.raises(WaitTimeout):
        flush.wait(0.1)
    worker = runtime._workers[0]
    assert not worker.stop(0.1)
    context[own.LENT] = 0
    assert worker.stop(20)


def test_who_moves_bytes_waits_for_no_worker_that_is_busy(runtime):
    context, meter, stays = runtime._io._context, Meter(runtime.node), runtime.pool("stays", "keeps_its_worker")
    target, staging, state = runtime.device("target", "ram", 64 * MIB), runtime.device("staging", "ram", 64 * MIB), atomics.load(stays._slot.params)
    place, buffer = target.lease(64 * MIB), np.frombuffer(staging.view(staging.lease(64 * MIB), 64 * MIB), np.uint8).ctypes.data - runtime.node.address
    state, before, until, replies, came = runtime.node.address + state, meter.workers()[0].tasks, time.monotonic() + 25, [], False
    while not came and time.monotonic() < until:            # until the worker got its work while the bytes were moved
        atomics.store(state, 0)
        atomics.store(state + 8, 0)
        mover = threading.Thread(target=lambda: replies.append(target._pool.call(bdev.WRITE, place, buffer, 64 * MIB)))
        mover.start()
        while context[own.LENT] == 0 and mover.is_alive():
            pass
        busy = stays.submit(0)
        while atomics.load(state) == 0 and time.monotonic() < until:
            time.sleep(0.0001)
        came = mover.is_alive() and context[own.LENT] == 1
        mover.join(20)
        alive, noted = mover.is_alive(), context[own.LENT]
        atomics.store(state + 8, 1)
        assert not alive and busy.wait(20).code == 0
    assert came and noted == 1
    assert runtime.pool("admin", "admin").submit(admin.FLUSH).wait(20).code == 0
    assert context[own.LENT] == 0 and meter.workers()[0].unfinished == 0
    assert replies == [(0, (64 * MIB, 0, 0, 0))] * len(replies)
    name = ".".join(map(str, target._pool.id))
    assert meter.latencies()[name, bdev.WRITE].count == len(replies)
    assert meter.workers()[0].tasks - before == 2 * len(replies) + 1


def test_one_that_died_inside_ends_the_worker(runtime, caplog):
    gone, lane = subprocess.Popen(["true"]), runtime.node.own_lane
    gone.wait()
    while not lanes.lane_try(lane, gone.pid):
        pass
    with pytest.raises(WaitTimeout, match="the worker of rank 0 .* has ended by an error"):
        runtime.pool("admin", "admin").call(admin.MONITOR, 0)
    assert f"process {gone.pid} died while it ran a task of this worker" in caplog.text
