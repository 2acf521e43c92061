"""Batch: tasks handed over with one wake and waited for in one go. For a single task see `future`."""

from collections.abc import Sequence

import numpy as np

from wrp.comm.jit import kernel
from wrp.errors import UsageError, WaitTimeout
from wrp.runtime import lanes, tasks
from wrp.runtime.asking import SPIN_LEAST_NS, await_task
from wrp.runtime.future import Future, Reply, Watch

_RESULT = 1 + tasks.RESULTS     # words of one task's answer: its code and its results


@kernel
def batch_submit(base, free, lane, pool, method, rows, offsets):
    """Submit a task for each row of `rows` (n, k) with one wake; `offsets` (n) gets theirs. How many found room."""
    done = 0
    while done < len(rows):
        offset = tasks.record_take(base, free)
        if offset < 0:
            break
        tasks.row_prepare(base + offset, pool, method, rows, done)
        if not lanes.lane_push_quiet(lane, offset):
            tasks.task_free(base, free, offset)
            break
        offsets[done] = offset
        done += 1
    if done:
        lanes.lane_wake(lane)
    return done


@kernel
def batch_wait(base, offsets, driver, spin_ns, slice_us):
    """True when all tasks are done, after at most one sleep. The last one first: a worker takes them in their order. `driver`: see `asking`."""
    for number in range(len(offsets) - 1, -1, -1):
        if not await_task(base + offsets[number], driver, spin_ns, slice_us):
            return False
    return True


@kernel
def batch_collect(base, free, offsets, out):
    """Copy code and results of tasks that are done to `out` (n, 5), and free their records; `free` 0: they are the caller's."""
    for number in range(len(offsets)):
        row = tasks.task_result(base + offsets[number])
        for word in range(_RESULT):
            out[number, word] = row[word]
        if free != 0:
            tasks.task_free(base, free, offsets[number])


class Batch(Sequence):
    """The Futures of a batch, in the order of its rows. One thread waits, for single ones or by `wait` for all."""

    def __init__(self, pool, method, offsets, futures=None):
        self._pool, self._method, self._offsets = pool, method, offsets
        # made when somebody asks for one of them, where they aren't there: they are what a batch is to save
        self._futures, self._replies = futures, None
        self._count = len(offsets) if futures is None else len(futures)

    def wait(self, timeout_s=None):
        """The list of all Replies. Raises WaitTimeout as `Future.wait` does; what isn't done then is forgotten."""
        if self._futures is not None:
            return [future.wait(timeout_s) for future in self._futures]
        if self._replies is None:
            answers = self._answers(timeout_s)
            self._replies = list(map(Reply, answers[:, 0].tolist(), map(tuple, answers[:, 1:].tolist())))
        return self._replies

    def cancel(self):
        """Cancel all tasks that aren't done."""
        for future in self:
            if future.reply is None and future.offset is not None:
                future.cancel()

    def __len__(self):
        return self._count

    def __getitem__(self, number):
        if self._futures is None:
            offsets, self._offsets = self._offsets, ()
            self._futures = [Future(self._pool, offset, self._method) for offset in np.asarray(offsets).tolist() or [None] * self._count]
            for future, reply in zip(self._futures, self._replies or ()):
                future.reply = reply
        return self._futures[number]

    def _answers(self, timeout_s):
        """Codes and results, int64 array (n, 5); the records are free then."""
        if not len(self._offsets) and self._count:
            raise UsageError(f"the wait for a batch of method {self._method} of pool {self._pool.name!r} was given up already")
        self._pool._node.check_open()
        self._sleep(self._pool._node.timeout_s if timeout_s is None else timeout_s)
        offsets, self._offsets = self._offsets, ()
        answers = np.empty((self._count, _RESULT), np.int64)
        self._pool._collect_many(offsets, answers)
        return answers

    def _sleep(self, timeout_s):
        node, watch = self._pool._node, None
        while not batch_wait(node.address, self._offsets, self._pool._driver, max(node.spin_ns, SPIN_LEAST_NS), lanes.SLICE_US):
            node.check_open()
            watch = watch or Watch(timeout_s)
            if watch.is_over():
                self._give_up()
                raise WaitTimeout(f"waited {timeout_s:g} s for {self._count} tasks, method {self._method} of pool {self._pool.name!r}, "
                                  f"which {self._pool._worker()} runs or will run: look at what it does, or raise runtime.timeout_s")
            if watch.is_due():
                self._pool._check_worker(self._method)

    def _give_up(self):
        offsets, self._offsets = self._offsets, ()
        if self._pool._node.is_open:
            for offset in offsets:
                self._pool._abandon_record(int(offset))

    def __del__(self):
        if len(getattr(self, "_offsets", ())):
            self._give_up()


def words_of(pool, rows):
    """The rows of a batch as an int64 array (n, k), C-contiguous. Raises UsageError for what isn't k integers each, k at most 6."""
    rows = rows if isinstance(rows, np.ndarray) else list(rows)
    words = _quick(rows)
    if words is None or words.shape[1] > tasks.ARGUMENTS:
        rows = [tuple(row) for row in rows]
        if len({len(row) for row in rows}) > 1:
            raise UsageError(f"the rows of a batch for pool {pool.name!r} have different lengths: give each the same arguments")
        count = len(rows[0]) if rows else 0
        words = np.array([pool._padded(row) for row in rows], np.int64).reshape(len(rows), tasks.ARGUMENTS)[:, :count]
    pool._node.check_open()
    return np.require(words, np.int64, ["C", "W"])      # kernels are compiled for this kind of array only


def _quick(rows):
    """The array where NumPy takes the rows for integers that fit, None where each has to be looked at."""
    try:
        words = np.array(rows)
    except ValueError:                  # rows of different lengths
        return None
    is_fitting = words.ndim == 2 and (words.dtype.kind == "i" or words.dtype.kind == "u" and words.itemsize < 8)
    return words.astype(np.int64, copy=False) if is_fitting else None
