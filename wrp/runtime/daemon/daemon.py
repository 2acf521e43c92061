"""Daemon: a runtime that is held until it is asked to stop, for the processes that attach to it. One object per rank."""

import logging
import time

from wrp import errors
from wrp.comm import atomics
from wrp.errors import RankFailed, WrpError
from wrp.runtime import clients, lanes, modules
from wrp.runtime.composing import composed, restarted, served
from wrp.runtime.daemon import about as abouts
from wrp.runtime.daemon import place, processes, stopping, texts
from wrp.runtime.daemon.about import About
from wrp.runtime.daemon.kept import Kept
from wrp.runtime.daemon.nodes import Nodes
from wrp.runtime.daemon.reaping import Reaper
from wrp.runtime.runtime import Runtime

_TICK_US, _LONG_TICK_US = 500_000, 2_000_000    # of the first rank and of the others, which the bell wakes
_SWEEP_S = 1.0
_LEAVE = {"do": "leave"}
_log = logging.getLogger("wrp.runtime")


class Daemon:
    """Making, holding and closing it is collective over `ranks`; a context manager.

    again : make the pools too that were kept for a restart
    Attributes: runtime, name (of this rank's node), about. Raises StoreBusy, naming the process, when the name is in use.
    """

    def __init__(self, ranks, config, name=None, again=False):
        self.ranks = ranks
        self.name = place.name_on_node(ranks, name or place.default_name())
        self._made = self.runtime = None
        self._kept = Kept(config, name or place.default_name())
        try:
            self.runtime = Runtime(ranks, config, self._make_segment)
            for name, module, params in served(config):
                self.runtime.pool(name, module, **params)
            if again:
                self._remake()
            self._keep([entry for entry in (*composed(config), *served(config)) if entry[0] in restarted(config)])
            self._open()
        except BaseException:
            self.abandon()
            raise

    def _make_segment(self, ranks, nbytes):
        self._made = place.maker(self.ranks, self.name)(ranks, nbytes)
        return self._made

    def _remake(self):
        """Make the pools that were kept; one that can't be made is told, and stays kept."""
        for name, module, params in self.ranks.share_of(self._kept.entries, "pools to make again"):
            try:
                self.runtime.pool(name, module, **params)
            except WrpError as error:
                if self.ranks.on_node.broken:
                    raise
                if self.ranks.on_node.rank == 0:
                    _log.warning("pool %r isn't made again: %s", name, error)

    def _keep(self, entries):
        """Have a restarted daemon make these pools. Collective."""
        if entries:
            with self.ranks.agreed("keeping pools for a restart"):
                for entry in entries if self.ranks.rank == 0 else ():
                    self._kept.add(*entry)

    def _open(self):
        """Make what attached processes need, then say that it is ready."""
        node, segment = self.runtime.node, self.runtime.segment
        self.about, self._node_ranks = About.find(segment), node.ranks
        self.is_first = node.ranks.rank == 0
        self._done, self._swept_at, self._orphan = 0, 0.0, stopping.Orphan()
        self._nodes, self._asked = Nodes(self.ranks.leaders, self.runtime.ring), {}
        self.runtime.on_ring(self.about.ring)
        with self.ranks.agreed("opening the daemon for attached processes"):
            if self.is_first:
                self._table = clients.ClientTable.create(segment, node.layout)
                names_offset, self._names = texts.Names.create(segment)
                self._publish_names()
                self._reaper = Reaper(node, self._table)
                self._table.prepare(0)
                self._table.claim(processes.identity())
                self._table.leave(0)
                self._reaper.sweep()            # nothing to do yet: whatever has to be compiled is, before anybody waits for it
                self.about.set_layout(node.layout)      # before what says that there are tables: somebody may be looking
                self.about.clients, self.about.names = self._table.offset, names_offset
                for number in range(node.layout.lane_count):
                    lane = node.address + node.layout.lane(number)
                    atomics.store(lane + lanes.QUEUES, self._table.queues(number) - lane)
        self.ranks.barrier("the daemon is open on all nodes")
        if self.is_first:
            self.about.state = clients.READY

    # holding

    def hold(self, signals):
        """Serve until something asks it to stop: the reason as text. Collective. `signals`: a `stopping.Signals` that was entered."""
        signals.tell(self.about, self._made.hide)
        while True:
            heard = self.about.bell
            if self.is_first:
                self._lead()
            elif not processes.lives(self.about.leader):
                raise RankFailed(f"the first rank of the daemon {self.name!r} (process {self.about.pid}) has ended: see its own message, start it again")
            if self._follow():
                return stopping.describe(self.about.stop)
            if self._orphan and not self.about.stop:
                self.about.stop = stopping.PARENT_GONE
            self.about.listen(heard, _TICK_US if self.is_first else _LONG_TICK_US)

    def _lead(self):
        """The first rank of the node: everything that one rank does for it."""
        self.about.heartbeat += 1
        self._look()
        if self.about.stop:
            self.about.state = clients.STOPPING
            if stopping.is_hasty(self.about.stop):
                self._made.hide()           # killed at its end, it leaves nothing either
            self._nodes.tell_stop()
            self._give_order(_LEAVE)
            return
        now = time.monotonic()
        if now >= self._swept_at + _SWEEP_S or self._is_wanted():
            self._swept_at = now
            self._reaper.sweep()
        self._answer_requests()

    def _look(self):
        """Notice what asks this node to stop, what other nodes want, and ranks that ended by themselves."""
        for node, message in self._nodes.take():
            self._hear(node, message)
        if self._nodes.any_stops and not self.about.stop:
            self.about.stop = stopping.OTHER_NODE
        first = self.runtime.node.address + self.runtime.node.layout.lane(0)
        if atomics.load(first + lanes.STOP) and not self.about.stop:
            self.about.stop = stopping.STOP_TASK
        if not self.about.is_alive():
            ended = ", ".join(f"{rank} (process {processes.pid_of(word)})" for rank, word in enumerate(self.about.identities) if word and not processes.lives(word))
            raise RankFailed(f"rank {ended} of this node's part of the daemon {self.name!r} has ended: see its own message, start the daemon again")
        self._look_at_workers()

    def _look_at_workers(self):
        """RankFailed when a worker of the node has ended that nobody has stopped."""
        layout = self.runtime.node.layout
        for number in range(layout.lane_count):
            lane = self.runtime.node.address + layout.lane(number)
            if atomics.load(lane + lanes.ENDED) and not atomics.load(lane + lanes.STOP):
                raise RankFailed(f"the {layout.kind(number)} worker of rank {atomics.load(lane + lanes.RANK)} (process {atomics.load(lane + lanes.PID)}) of "
                                 f"the daemon {self.name!r} has ended by an error: see its message, start the daemon again")

    def _hear(self, node, message):
        """Do what a process asks for which is attached to another node, or note that the other one has."""
        if message["do"] == "pool" and not self.about.stop:
            self._nodes.send(node, {"do": "answer", "number": message["number"], "answer": self._carry_out(message["order"])})
        elif message["do"] == "answer":
            asked = self._asked.get(message["number"])
            if asked is not None:
                asked.take(node, message["answer"])

    def _is_wanted(self):
        """True when an attached process waits for its slot, or has left."""
        return any(atomics.load(self._table.slot(number) + clients.LEFT) or
                   atomics.load(self._table.slot(number) + clients.PREPARED) == clients.NOT_PREPARED for number in self._table.owners())

    # orders: what all ranks of the node do together, in the order the first one says

    def _give_order(self, order):
        texts.write(self.runtime.segment, self.about.address + abouts.TEXT, abouts.TEXT_NBYTES, order)
        self.about.order += 1
        self.about.ring()

    def _follow(self):
        """Do the next order, if there is one: True when it is to leave."""
        if self.about.order == self._done:
            return False
        order = texts.read(self.runtime.segment, self.about.address + abouts.TEXT, abouts.TEXT_NBYTES)
        self._done += 1
        if order == _LEAVE:
            return True
        self._answer = self._obey(order)
        return False

    def _obey(self, order):
        """Do what an order says of a pool. Collective over the node; an error is the answer, unless the ranks can't go on together."""
        try:
            with self._node_ranks.agreed(f"what an attached process wants of pool {order['name']!r} ({order['do']})"):
                self._carry(order["do"], order["name"], order.get("module"), order.get("params"))
        except Exception as error:
            if self._node_ranks.broken:
                raise
            kind = type(error).__name__
            known = kind if hasattr(errors, kind) else WrpError.__name__
            return {"error": known, "message": str(error) if isinstance(error, WrpError) else f"{kind}: {error}"}
        return {}

    def _carry(self, do, name, module, params):
        if do == "pool":
            self.runtime.pool(name, module, **params)
        elif do == "check":
            self.runtime.check_unused(name)
        elif do == "remove":
            self.runtime.remove(name)
            if self.ranks.rank == 0:
                self._kept.drop(name)
        elif self.ranks.rank == 0:
            self._kept.add(name, module, params)

    def _answer_requests(self):
        segment = self.runtime.segment
        for number in self._table.owners():
            slot = self._table.slot(number)
            wanted = atomics.load(slot + clients.REQUEST)
            if not self._table.is_prepared(number) or wanted == atomics.load(slot + clients.ANSWER):
                continue
            asked = self._asked.get(number)
            if asked is None or asked.wanted != wanted:
                order = texts.read(segment, slot + clients.TEXT_COUNT, clients.TEXT_NBYTES)
                asked = self._asked[number] = self._ask_all(number, wanted, order)
            if asked.others:
                continue                    # the answers of other nodes are on their way
            del self._asked[number]
            answer = {**asked.answer, "message": asked.answer.get("message", "")[:clients.TEXT_NBYTES // 8]}
            texts.write(segment, slot + clients.TEXT_COUNT, clients.TEXT_NBYTES, answer)
            atomics.store(slot + clients.ANSWER, wanted)
            atomics.futex_wake(slot + clients.ANSWER, 1)

    def _ask_all(self, number, wanted, order):
        """What is to be done for the process in a slot, begun on all nodes: a pool that all ranks make together at once, else where it could be done here."""
        others, together = self._nodes.others, modules.is_joint(modules.known(order.get("module")))
        if together:
            self._tell(others, number, order)
        asked = _Asked(wanted, self._carry_out(order), others, together)
        if not together:
            self._tell(asked.others, number, order)
        return asked

    def _tell(self, nodes, number, order):
        for node in nodes:
            self._nodes.send(node, {"do": "pool", "number": number, "order": order})

    def _carry_out(self, order):
        """Have all ranks of this node do what an order says: the answer."""
        with self.runtime.making:
            self._give_order(order)
            self._follow()
            self._publish_names()
        return self._answer

    def _publish_names(self):
        devices, table = self.runtime.devices, self.runtime.node.table
        for number in range(table.count):
            if table.key(number) == (0, 0):     # a further shard, or one that was removed
                self._names.clear(number)
        for name, pool in self.runtime.pools.items():
            self._names.set(table.find(name).number, name, getattr(devices.get(name), "path", None))

    # ending

    def close(self):
        """End the runtime and remove the name. Collective; idempotent."""
        if self._made is None:
            return
        if self.is_first:
            self.about.state = clients.STOPPING
            self._nodes.close()
        try:
            self.runtime.close()
        except BaseException:
            self._made.hide()           # the process may have a thread that doesn't end: nobody attaches to it any more
            raise
        self._made = None

    def abandon(self):
        """After an error: remove the name, so that nothing is left in shared memory. Local."""
        made, self._made = self._made, None
        if made is None:
            return
        if self.runtime is not None:
            self.runtime.abandon()          # its threads look at the memory
        made.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None or getattr(error, "common", False):
            self.close()
        else:
            self.abandon()


class _Asked:
    """A pool that an attached process wants. `others`: nodes that haven't answered, none when it can't be made here, unless all have been asked at once."""

    def __init__(self, wanted, answer, others, together):
        self.wanted, self.answer = wanted, answer
        self.others = [] if answer and not together else list(others)

    def take(self, node, answer):
        """The first error of any node is the answer."""
        if node in self.others:
            self.others.remove(node)
        self.answer = self.answer or answer
