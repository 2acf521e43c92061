"""MonitorPoint: the module `monitor`, whose container on each node says how the node is. An answer is fetched word by word."""

import zlib
from collections import OrderedDict

import msgpack

from wrp.comm import atomics
from wrp.runtime import lanes, pools
from wrp.runtime.daemon import texts
from wrp.runtime.daemon.about import About
from wrp.runtime.meter.reading import Meter
from wrp.runtime.monitor import looking
from wrp.runtime.monitor import query as queries
from wrp.runtime.monitor.machine import Machine

ASK, PART, SAMPLE = 10, 11, 12
PART_NBYTES = 32                # four words
NOBODY = -1                     # instead of an answer's number: the node has no such pool
_PERIOD_S = 1.0
_MOST_KEPT = 256                # answers that wait to be fetched: those of processes that died go some time


class MonitorPoint:
    """Answers of one node. They are compressed: the way to other nodes is narrow."""

    methods = {ASK: "ask", PART: "part", SAMPLE: "sample"}

    def __init__(self, pool_name):
        self._kept, self._count = OrderedDict(), 0

    def started(self, pool):
        """Begin to sample the machine."""
        self._node, self._machine = pool._node, Machine(pool._node.number)
        self._meter = Meter(pool._node)
        self.sample()
        self._beat = pool.submit(SAMPLE, period_s=_PERIOD_S)

    def sample(self):
        self._machine.sample()

    def ask(self, kind, number, major, minor, shard):
        """(the answer's number, its compressed bytes), or (NOBODY,)."""
        slot = None
        if kind in (queries.POOL_METHODS, queries.POOL_STATS):
            slot = self._node.table.find_id((major, minor))
            if slot is None:
                return NOBODY
        found = zlib.compress(msgpack.packb(self._answer(kind, number, slot, shard)), 1)
        self._count += 1
        self._kept[self._count] = found + bytes(-len(found) % PART_NBYTES)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return self._count, len(found)

    def part(self, number, place):
        """Four words of an answer; with the last ones it is forgotten."""
        found = self._kept[number]
        if place + PART_NBYTES >= len(found):
            del self._kept[number]
        return tuple(int.from_bytes(found[at:at + 8], "little", signed=True) for at in range(place, place + PART_NBYTES, 8))

    def _answer(self, kind, number, slot, shard):
        if kind == queries.WORKERS:
            return [self._worker(counts) for counts in self._meter.workers()]
        if kind == queries.SYSTEM:
            return self._machine.since(number)
        if kind == queries.HOST:
            return {"hostname": self._machine.host, "ip_address": self._machine.ip, "node_id": self._node.number}
        if kind == queries.DEVICES:
            return {f"{each.id[0]}.{each.id[1]}": self._of_pool(each, 0) for each in self._pools() if each.kind == pools.BDEV_KIND}
        if kind == queries.POOL_STATS:
            return self._of_pool(slot, shard)
        names = {"%d.%d" % slot.id} if slot else None
        return [each for each in looking.methods(self._meter) if names is None or each["pool"] in names]

    def _worker(self, counts):
        lane = self._node.address + self._node.layout.lane(counts.number)
        return {"worker_id": counts.number, "kind": self._node.layout.kind(counts.number), "rank": counts.rank, "pid": counts.pid,
                "is_running": atomics.load(lane + lanes.ENDED) == 0, "is_active": atomics.load(lane + lanes.ASLEEP) == 0,
                "num_queued_tasks": counts.queued, "num_blocked_tasks": max(0, counts.unfinished - counts.queued),
                "num_tasks_processed": atomics.load(lane + lanes.DONE), "num_cancelled_tasks": counts.cancelled,
                "num_late_tasks": counts.over_deadline, "num_wakeups": counts.wakeups}

    def _pools(self):
        """The pools of this node, without their further shards."""
        table = self._node.table
        return [slot for slot in map(table.slot, range(table.count)) if table.key(slot.number) != (0, 0)]

    def _of_pool(self, slot, shard):
        table, about = self._node.table, About.find(self._node.segment)
        named = texts.Names(self._node.segment, about.names).get(slot.number) if about is not None and about.names else None
        found = {"pool_id": f"{slot.id[0]}.{slot.id[1]}", "module": looking.MODULES[slot.kind], "lane": table.slot(slot.number + shard).lane,
                 "containers": slot.containers.size}
        if named:                       # only a daemon keeps names
            found["pool_name"] = named[0]
        return {**found, **(looking.device(self._node.segment, slot.params) if slot.kind == pools.BDEV_KIND else {})}
