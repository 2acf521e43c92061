"""Meter: what the workers of a node have counted and timed, for any process that maps the segment. Switches their traces."""

import json
from typing import NamedTuple

from wrp.comm import atomics
from wrp.runtime import lanes, pools
from wrp.runtime.meter import block, histogram

_MICRO = 1000.0             # ns


class WorkerCounts(NamedTuple):
    """Of one worker: `queued` tasks lie in its lane, `unfinished` ones are queued, run or wait."""

    number: int
    rank: int
    pid: int
    tasks: int
    waits: int
    cancelled: int
    over_deadline: int
    wakeups: int
    queued: int
    unfinished: int


_KINDS = {"jitted": "worker", "python": "Python worker", "postman": "postman"}


class Meter:
    """The meters of a node. `node`: a Node, or anything with its `segment` and `layout`."""

    def __init__(self, node):
        self._segment, self._layout = node.segment, node.layout
        self._base = node.segment.address

    def workers(self):
        """List of WorkerCounts, by lane: even numbers are jitted workers, odd ones Python workers."""
        return [self._counts(number) for number in range(self._layout.lane_count)]

    def latencies(self, lane=None):
        """{(pool, method): Histogram} of one worker, or of all; from submission to the end of each task. The pool is named
        by its id, "301.0"."""
        found = {}
        for number in range(self._layout.lane_count) if lane is None else [lane]:
            for (slot, method), each in histogram.read(self._at(number) + block.HISTOGRAMS).items():
                name = self._id(slot), method
                found[name] = found[name] + each if name in found else each
        return found

    def start_trace(self):
        """Have all workers note each step they run, the newest CAPACITY of each. Raises OutOfSpace."""
        for number in range(self._layout.lane_count):
            self._segment.reserve(self._layout.meter(number) + block.RING, block.CAPACITY * block.SLICE)
            atomics.store(self._at(number) + block.TRACE, block.RING)

    def stop_trace(self):
        """No more notes; what was noted stays to be read."""
        for number in range(self._layout.lane_count):
            atomics.store(self._at(number) + block.TRACE, 0)

    def trace(self):
        """The steps noted, as the dict of a Chrome trace: `json.dump` it and open the file in Perfetto.

        Process: the rank, thread: the lane; ts and dur in microseconds of the monotonic clock.
        """
        events = []
        for number in range(self._layout.lane_count):
            rank = atomics.load(self._lane(number) + lanes.RANK)
            kind = _KINDS[self._layout.kind(number)]
            events.append({"ph": "M", "name": "thread_name", "pid": rank, "tid": number, "args": {"name": f"{kind} {number}"}})
            events += [self._event(rank, number, words) for words in self._slices(number)]
        return {"traceEvents": events, "displayTimeUnit": "ns"}

    def write_trace(self, path):
        """The same into a file."""
        with open(path, "w", encoding="utf-8") as out:
            json.dump(self.trace(), out)

    def _counts(self, number):
        meter, lane = self._at(number), self._lane(number)
        return WorkerCounts(number, atomics.load(lane + lanes.RANK), atomics.load(lane + lanes.PID),
                            *(atomics.load(meter + word) for word in (block.TASKS, block.WAITS, block.CANCELLED, block.OVER_DUE)),
                            atomics.load(lane + lanes.WAKEUPS), lanes.lane_waiting(lane), max(0, lanes.lane_unfinished(lane)))

    def _slices(self, number):
        """(begin, end, what, task) of the slices in the ring that aren't being written, the oldest first."""
        meter = self._at(number)
        count = atomics.load(meter + block.SLICES)
        for place in range(max(0, count - block.CAPACITY), count):
            slot = meter + block.RING + place % block.CAPACITY * block.SLICE
            words = tuple(atomics.load(slot + offset) for offset in (block.BEGIN, block.END, block.WHAT, block.TASK))
            if words[0] and atomics.load(slot + block.BEGIN) == words[0]:
                yield words

    def _event(self, rank, lane, words):
        begin, end, what, task = words
        pool, method = what >> 32, what & 0xFFFFFFFF
        return {"ph": "X", "name": f"{self._id(pool)} method {method}", "cat": "task", "pid": rank, "tid": lane, "ts": begin / _MICRO,
                "dur": (end - begin) / _MICRO, "args": {"task": task >> 1, "done": bool(task & 1)}}

    def _id(self, slot):
        if slot < 0:
            return "others"
        major, minor = pools.PoolTable(self._base + self._layout.pools, 1.0).slot(slot).id
        return f"{major}.{minor}"

    def _at(self, number):
        return self._base + self._layout.meter(number)

    def _lane(self, number):
        return self._base + self._layout.lane(number)
