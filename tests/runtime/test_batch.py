"""Batches: submitted with one wake, waited for in one go."""

import gc

import numpy as np
import pytest

from wrp.errors import UsageError, WaitTimeout
from wrp.runtime import admin, bdev, modules, records, tasks


class Echo:
    methods = {10: "echo"}

    def __init__(self, pool_name):
        pass

    def echo(self, *numbers):
        return numbers[:4] if numbers else -1


@pytest.fixture
def pool(runtime):
    modules.register("echo", Echo)
    return runtime.pool("echo", "echo")


def free_records(node):
    """Records on the free list, counted by taking all of them."""
    base, free, taken = node.address, node.address + node.layout.free, []
    while (offset := tasks.record_take(base, free)) >= 0:
        taken.append(offset)
    for offset in taken:
        tasks.task_free(base, free, offset)
    return len(taken)


@pytest.mark.parametrize("rows", [[(1, -2), (3, 4)], np.array([[1, -2], [3, 4]]), np.array([[1, -2], [3, 4]], np.int8), [[1, -2], [True + 2, 4]],
                                  iter([(1, -2), (3, 4)]), np.array([[1, 9, -2], [3, 9, 4]])[:, ::2]])
def test_rows_of_every_form_arrive(pool, rows):
    batch = pool.submit_many(10, rows)
    assert len(batch) == 2
    assert [(reply.code, reply.values) for reply in batch.wait()] == [(0, (1, -2, 0, 0)), (0, (3, 4, 0, 0))]
    assert batch.wait() is batch.wait() and batch[1].wait().values[1] == 4


@pytest.mark.parametrize("rows, sentence", [([(1,), (2, 3)], "different lengths"), ([(1.5,)], "no integer"), ([("a",)], "no integer"),
                                            ([(1 << 63,)], "64 bits"), ([(1,) * 7], "7 arguments"), (np.ones((2, 7), int), "7 arguments"),
                                            (np.array([[0.5]]), "no integer")])
def test_other_rows_are_refused_and_nothing_was_submitted(pool, rows, sentence):
    with pytest.raises(UsageError, match=sentence):
        pool.submit_many(10, rows)


def test_six_arguments_none_and_no_rows(pool):
    assert pool.submit_many(10, [range(6)]).wait()[0].values == (0, 1, 2, 3)
    assert [reply.values[0] for reply in pool.submit_many(10, [()] * 3).wait()] == [-1] * 3
    assert pool.submit_many(10, []).wait() == [] == list(pool.submit_many(10, []))


def test_records_are_free_again_however_a_batch_ends(pool, runtime):
    node = runtime.node
    pool.submit_many(10, [(1,)] * 100).wait()
    used = records.count(node.address, node.layout) - free_records(node)
    pool.submit_many(10, [(number,) for number in range(3000)]).wait()          # more than the lane holds
    batch = pool.submit_many(10, [(1,)] * 50)
    assert [future.wait().values[0] for future in batch] == [1] * 50 == [reply.values[0] for reply in batch.wait()]
    dropped, half = pool.submit_many(10, [(1,)] * 50), pool.submit_many(10, [(1,)] * 50)
    half[7].wait()
    del dropped, half
    gc.collect()
    pool.call(10, 1)
    runtime.pool("admin", "admin").call(admin.FLUSH)
    assert records.count(node.address, node.layout) - free_records(node) == used


def test_a_batch_that_is_too_late(runtime):
    modules.register("sleepers", Sleepers)
    pool = runtime.pool("sleepers", "sleepers")
    batch = pool.submit_many(10, [()] * 3)
    with pytest.raises(WaitTimeout, match="waited 0.05 s for 3 tasks, method 10 of pool 'sleepers'"):
        batch.wait(0.05)
    with pytest.raises(UsageError, match="given up already"):
        batch.wait()
    late = pool.submit_many(10, [()] * 3)
    late.cancel()
    assert {reply.code for reply in late.wait()} == {tasks.CANCELLED}


class Sleepers:
    methods = {10: "rest"}

    def __init__(self, pool_name):
        pass

    async def rest(self):
        from wrp.runtime.waiting import sleep
        await sleep(0.5)


def test_a_batch_of_bytes(runtime):
    pool = runtime.pool("ram::b", "bdev", capacity=1 << 20)
    blocks = [reply.values[0] for reply in pool.submit_many(bdev.ALLOCATE_BLOCKS, [(64,)] * 10).wait()]
    assert blocks == list(range(0, 640, 64))
    assert {reply.code for reply in pool.submit_many(bdev.FREE_BLOCKS, [(block, 64) for block in blocks]).wait()} == {0}
