"""Reaper: prepares the slots of attached processes and takes back what those that ended or left have had. One per node."""

import logging

from wrp.comm import atomics
from wrp.errors import OutOfSpace
from wrp.runtime import bdev, clients, lanes, queues, tasks
from wrp.runtime.daemon import processes
from wrp.runtime.meeting import point
from wrp.runtime.pool import Pool
from wrp.runtime.routing.address import is_far

_log = logging.getLogger("wrp.runtime")


class Reaper:
    """Works in the first rank of a node, in the thread that holds the daemon."""

    def __init__(self, node, table):
        self._node, self._table = node, table

    def sweep(self):
        """Look at every slot once."""
        for number, word in self._table.owners().items():
            slot = self._table.slot(number)
            if atomics.load(slot + clients.LEFT) or not processes.lives(word):
                self._reclaim(number, word)
            elif atomics.load(slot + clients.PREPARED) == clients.NOT_PREPARED:
                self._prepare(number, slot)

    def _prepare(self, number, slot):
        try:
            self._table.prepare(number)
        except OutOfSpace as error:
            _log.warning("an attached process finds no room: %s", error)
            atomics.store(slot + clients.PREPARED, clients.NO_MEMORY)

    def _reclaim(self, number, word):
        """Give the slot out again once no worker has a task of it and what it held is free; else the next sweep tries again."""
        slot = self._table.slot(number)
        if not point.forget(self._node, processes.pid_of(word)):
            return
        if self._table.is_prepared(number):
            self._wake_workers(number)
            if clients.client_busy(slot, self._table.lane_count):
                self._cancel_tasks(number)
                return
            if not self._free_held(number):
                return
        if not atomics.load(slot + clients.LEFT):
            _log.info("process %d ended without leaving: what it held is free again", processes.pid_of(word))
        self._table.free(number)

    def _wake_workers(self, number):
        """It may have died between queueing a task and ringing the bell."""
        for lane in range(self._table.lane_count):
            if queues.queue_count(self._table.queue(number, lane)):
                address = self._node.address + self._node.layout.lane(lane)
                queues.queues_ring(self._table.queues(lane))
                atomics.exchange(address + lanes.ASLEEP, 0)
                atomics.futex_wake(address + lanes.ASLEEP, 1)

    def _cancel_tasks(self, number):
        """Those that wait inside a worker might wait for ever."""
        base = self._node.address
        for record in range(clients.RECORDS):
            offset = self._table.record(number, record)
            task = base + offset
            if not atomics.load(task + tasks.TAKEN) or atomics.load(task + tasks.STATE) == tasks.DONE or atomics.load(task + tasks.CANCEL):
                continue
            atomics.store(task + tasks.CANCEL, 1)
            word, layout = atomics.load(task + tasks.POOL), self._node.layout
            lane = layout.joining if is_far(word) else self._node.table.slot(word).lane
            if not lanes.lane_push(base + layout.lane(lane), offset + 1):
                atomics.store(task + tasks.CANCEL, 0)       # the next sweep tries again

    def _free_held(self, number):
        """True when everything that the slot's process had leased is free."""
        slot = self._table.slot(number)
        for pool, offset, nbytes in self._table.held(number):
            # by a task: only the pool's worker changes its free space
            code = Pool(self._node, self._node.table.slot(pool), f"number {pool}").call(bdev.FREE_BLOCKS, offset, nbytes).code
            if code == bdev.TABLE_FULL:
                return False
            if code:
                _log.error("bytes %d to %d of pool %d of an ended process can't be freed: code %d", offset, offset + nbytes, pool, code)
            clients.client_release(slot, pool, offset, nbytes)
        return True
