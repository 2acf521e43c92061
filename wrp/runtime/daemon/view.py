"""View: what can be seen of a daemon from outside, without a slot in it: workers, pools, devices, attached processes."""

import time
from typing import NamedTuple

from wrp.comm.segment import Segment
from wrp.runtime import clients, pools, queues
from wrp.runtime.daemon import place, processes, texts
from wrp.runtime.daemon.about import STATES, About
from wrp.runtime.daemon.stopping import ASKED
from wrp.runtime.layout import Layout
from wrp.runtime.meter.reading import Meter
from wrp.runtime.monitor import looking
from wrp.errors import RuntimeGone, StoreError


_ANSWER_S = 3.0
SILENT = "doesn't answer"


class _Seen(NamedTuple):
    """What a Meter looks at."""

    segment: Segment
    layout: Layout


class View:
    """A look at the daemon `name` of this node; a context manager. Raises StoreError, StoreVersion, RuntimeGone when it is dead."""

    def __init__(self, name=None):
        self.name = name or place.default_name()
        self.segment = place.attach_segment(self.name)
        try:
            self.about = About.find(self.segment)
            if self.about is None:
                raise StoreError(f"the daemon {self.name!r} is just starting: look again in a moment")
            self.about.check(self.name)
            self.check_alive()
        except BaseException:
            self.segment.close()
            raise

    def check_alive(self):
        """RuntimeGone when it has ended."""
        if not self.about.is_alive():
            if self.about.state == clients.STOPPING:
                raise RuntimeGone(f"the daemon {self.name!r} was stopped")
            raise RuntimeGone(f"the daemon {self.name!r} (process {self.about.pid}) has ended without being stopped: "
                              "start it again, or remove what it left with 'wrp-runtime doctor --clean'")

    def status(self):
        """Dictionary for people and JSON: who the daemon is and how it is."""
        about = self.about
        found = {"name": self.name, "state": STATES[about.state] if self.answers() else SILENT, "pid": about.pid, "pids": about.pids, "node": about.node,
                 "nodes": about.nodes, "ranks": about.size, "ranks_on_node": about.local_size, "started": _moment(about.started_ns),
                 "uptime_s": round((time.time_ns() - about.started_ns) / 1e9, 1), "heartbeat": about.heartbeat,
                 "segment_nbytes": self.segment.nbytes, "attached": [], "pools": []}
        if self._has_tables():
            found.update(attached=self.attached(), pools=[pool["name"] for pool in self.pools()])
        return found

    def answers(self):
        """False when it is ready and its heart doesn't beat: it is halted, or does something that takes long."""
        about, until = self.about, time.monotonic() + _ANSWER_S
        seen = about.heartbeat
        about.ring()
        while about.state == clients.READY and about.heartbeat == seen and about.is_alive():
            if time.monotonic() >= until:
                return False
            time.sleep(0.001)
        return True

    def attached(self):
        """Pids of the attached processes."""
        return [processes.pid_of(word) for word in self._clients().owners().values()]

    def workers(self):
        """A dictionary per lane: its worker, tasks waiting, tasks done, times it woke."""
        if not self._has_tables():
            return []
        table = self._clients()
        slots = [slot for slot in table.owners() if table.is_prepared(slot)]
        return looking.workers(self.segment, self.about.layout(), lambda lane: sum(queues.queue_count(table.queue(slot, lane)) for slot in slots))

    def methods(self):
        """A dictionary per method of which tasks have ended: how many, and their nanoseconds from submission to end."""
        if not self._has_tables():
            return []
        return looking.methods(self.meter())

    def meter(self):
        """The Meter of its workers, which also switches their traces."""
        return Meter(_Seen(self.segment, self.about.layout()))

    def pools(self):
        """A dictionary per pool, with its containers over all nodes and the lanes of those on this one; a bdev's with its device."""
        if not self._has_tables():
            return []
        table = pools.PoolTable(self.segment.address + self.about.layout().pools, 1.0)
        names = texts.Names(self.segment, self.about.names)
        found = []
        for number in range(pools.MOST):
            named = names.get(number)
            if named is None:           # a shard of the pool before it, or nothing
                continue
            slot = table.slot(number)
            entry = {"name": named[0], "id": f"{slot.id[0]}.{slot.id[1]}", "module": looking.MODULES.get(slot.kind, "?"), "lane": slot.lane,
                     "containers": slot.containers.size, "first_node": slot.containers.first_node, "nodes": slot.containers.nodes,
                     "lanes": [table.slot(number + shard).lane for shard in range(slot.containers.shards)]}
            found.append({**entry, **(looking.device(self.segment, slot.params) if slot.kind == pools.BDEV_KIND else {})})
        return found

    def stop(self, timeout_s):
        """Ask it to stop and wait until its name is gone: True, or False at the deadline."""
        self.about.stop = ASKED
        self.about.ring()
        until = time.monotonic() + timeout_s
        while self.about.is_alive() or self.segment.is_named(self.name):
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        return True

    def _has_tables(self):
        return self.about.clients != 0 and self.about.names != 0

    def _clients(self):
        return clients.ClientTable(self.segment, self.about.clients, self.about.layout().lane_count)

    def close(self):
        self.segment.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _moment(stamp_ns):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(stamp_ns // 10**9))
