"""Reads and writes of files as tasks: many under way at once, past the page cache or not, and never in the way of other tasks."""

import ctypes
import os
import time

import numpy as np
import pytest

from wrp.comm import atomics
from wrp.comm.ring import ring_format, ring_pop
from wrp.runtime import admin, bdev, requests, tasks
from wrp.runtime.meter.reading import Meter
from wrp.runtime.waiting import context as own

MIB = 1 << 20
BLOCK = 64 << 10
COUNT = 60


@pytest.fixture(params=[False, True], ids=["buffered", "direct"])
def target(request, runtime, tmp_path):
    return runtime.device("target", "file", 16 * MIB, tmp_path / "t.bin", depth=6, direct=request.param)


@pytest.fixture
def held(runtime):
    """Holds back what the I/O threads take: (hold, let go)."""
    io, queue = runtime._io, []

    def hold():
        io._context[own.REQUESTS] = _stand_in(queue)

    def go(is_over):
        io._context[own.REQUESTS] = io._queue
        until = time.monotonic() + 20
        while not is_over() and time.monotonic() < until:       # the worker may still push to the other queue
            # the worker pushes to this one too by now, and a full one takes nothing
            while requests.has_room(io._queue) and (offset := ring_pop(queue[0][1] + requests.RING)) >= 0:
                requests.push(io._queue, offset)
            time.sleep(0.001)

    return hold, go


def _stand_in(kept):
    """Address of a queue that nobody serves."""
    words = np.zeros(requests.NBYTES // 8 + 8, np.int64)
    address = -(-words.ctypes.data // 64) * 64
    ring_format(address + requests.RING, requests.CAPACITY)
    kept.append((words, address))
    return address


def is_done(runtime, future):
    return tasks.task_wait(runtime.node.address + future.offset, 0, 0)


def rows(runtime, target, first=0):
    """(device offsets, buffers) of COUNT blocks, and the staging device."""
    staging = runtime.device("staging", "ram", 2 * COUNT * BLOCK)
    assert staging._base % 4096 == 0
    place = target.lease(COUNT * BLOCK)
    return staging, [(place + number * BLOCK, staging._base + number * BLOCK, BLOCK) for number in range(COUNT)]


def test_many_at_once_come_back(runtime, target):
    staging, writes = rows(runtime, target)
    pool, data = runtime.pool("target", "bdev"), np.random.default_rng(3).bytes(COUNT * BLOCK)
    staging.write(0, data)
    assert {reply for reply in pool.submit_many(bdev.WRITE, writes).wait()} == {(0, (BLOCK, 0, 0, 0))}
    assert pool.call(bdev.SYNC).code == 0
    reads = [(place, buffer + COUNT * BLOCK, nbytes) for place, buffer, nbytes in writes]
    assert {reply.code for reply in pool.submit_many(bdev.READ, reads).wait()} == {0}
    assert staging.view(COUNT * BLOCK, COUNT * BLOCK) == data
    back = bytearray(COUNT * BLOCK)
    target.read(writes[0][0], back)
    assert back == data
    assert pool.call(bdev.GET_STATS).values[2:] == (COUNT * BLOCK, COUNT * BLOCK)
    assert 1 <= len(runtime._io._threads) <= 6
    if target.direct >= 0:                                          # each write and read was a thread's, and the sync
        assert Meter(runtime.node).workers()[0].waits == 2 * COUNT + 1


def test_the_worker_runs_other_tasks_meanwhile_and_nothing_calls_a_write_off(runtime, target, held):
    _, writes = rows(runtime, target)
    pool, (hold, go) = runtime.pool("target", "bdev"), held
    hold()
    futures = [pool.submit(bdev.SYNC, deadline_s=60) for _ in range(COUNT)]
    assert runtime.pool("admin", "admin").call(admin.MONITOR, 0).code == 0
    assert not any(is_done(runtime, future) for future in futures)
    for future in futures:
        future.cancel()
    late = pool.submit(bdev.SYNC, deadline_s=0.01)
    runtime.pool("admin", "admin").call(admin.MONITOR, 0)
    time.sleep(0.05)
    go(lambda: all(is_done(runtime, future) for future in [*futures, late]))
    assert {future.wait(10).code for future in [*futures, late]} == {0}


def test_requests_that_are_under_way_are_finished_when_the_runtime_ends(configured, tmp_path):
    from wrp.comm.ranks.solo import Solo
    from wrp.runtime.runtime import Runtime
    with Runtime(Solo(), configured("runtime: {segment_capacity: 64m}")) as runtime:
        target = runtime.device("target", "file", 16 * MIB, tmp_path / "t.bin", direct=True)
        staging, writes = rows(runtime, target)
        staging.write(0, b"\7" * (COUNT * BLOCK))
        runtime.pool("target", "bdev").submit_many(bdev.WRITE, writes)         # nobody waits
    data = (tmp_path / "t.bin").read_bytes()
    assert data[writes[0][0]:writes[0][0] + COUNT * BLOCK] == b"\7" * (COUNT * BLOCK)


def test_more_requests_than_the_queue_holds(runtime, target, held):
    target.lease(BLOCK)
    hold, go = held
    hold()
    pool = runtime.pool("target", "bdev")
    batch = pool.submit_many(bdev.SYNC, [()] * (requests.CAPACITY + 300))
    runtime.pool("admin", "admin").call(admin.MONITOR, 0)
    go(lambda: all(is_done(runtime, future) for future in batch))
    assert {reply.code for reply in batch.wait(10)} == {0}


def test_unaligned_bytes_go_through_the_page_cache(runtime, tmp_path):
    target = runtime.device("target", "file", 16 * MIB, tmp_path / "t.bin", direct=True)
    staging, pool = runtime.device("staging", "ram", MIB), runtime.pool("target", "bdev")
    staging.write(0, bytes(range(256)) * 64)
    target.lease(MIB)
    for place, nbytes in ((0, 4096), (4096, 1000), (5096, 3096), (8192, 8192)):
        assert pool.call(bdev.WRITE, place, staging._base + place % 256, nbytes).code == 0
        assert pool.call(bdev.READ, place, staging._base + 100_000, nbytes).code == 0
        assert staging.view(100_000, nbytes) == staging.view(place % 256, nbytes)


def test_errors_of_storage_are_the_task_s(runtime, tmp_path):
    target = runtime.device("target", "file", 16 * MIB, tmp_path / "t.bin")
    staging, pool = runtime.device("staging", "ram", MIB), runtime.pool("target", "bdev")
    assert pool.call(bdev.READ, 0, staging._base, 100) == (bdev.IO_FAILED, (0, 0, 0, 0))        # the file is empty
    reader = os.open(target.path, os.O_RDONLY)
    worker = int(runtime._fds[target._pool.number])
    os.dup2(reader, worker)
    os.close(reader)
    assert pool.call(bdev.WRITE, 0, staging._base, 100) == (bdev.IO_FAILED, (9, 0, 0, 0))


def test_pread_now_gives_what_the_page_cache_has(tmp_path):
    (tmp_path / "f").write_bytes(b"abcdef")
    fd, out = os.open(tmp_path / "f", os.O_RDONLY), ctypes.create_string_buffer(10)
    try:
        moved = atomics.pread_now(fd, ctypes.addressof(out), 4, 1)
        assert (moved, out.raw[:4]) == (4, b"bcde") or moved in (-11, -95)
        assert atomics.fdatasync(fd) == 0
    finally:
        os.close(fd)
    assert atomics.pread_now(fd, ctypes.addressof(out), 4, 1) == -9 == atomics.fdatasync(fd)
