"""Attached: a process's hold on the daemon of its node. Any process may have it, with MPI or without."""

import os
import time
import weakref
from collections import deque

from wrp import errors
from wrp.comm import atomics
from wrp.comm.ranks.solo import Solo
from wrp.comm.turn import Turn
from wrp.errors import OutOfSpace, RuntimeGone, UsageError, WaitTimeout, WrpError
from wrp.runtime import config as configs
from wrp.runtime import clients, lanes, modules
from wrp.runtime.daemon import place, processes, stopping, texts
from wrp.runtime.daemon.calling import AttachedPool
from wrp.runtime.daemon.finding import GONE_HINT, found, wait_s
from wrp.runtime.devices import open_device
from wrp.runtime.monitor import Monitoring
from wrp.runtime.pools import PoolTable

_NAP_S = 0.02
_SLOT_S = 60.0
_all = weakref.WeakSet()


class Attached:
    """Pools and devices of a daemon. Any thread may use it; a forked child may not, it attaches by itself.

    Attributes: name, segment, about.
    """

    def __init__(self, name=None, timeout_s=None, config=None):
        config = config or configs.load()
        self.name = name or place.default_name()
        self.timeout_s, self.spin_ns = config.get("runtime.timeout_s"), 1000 * config.get("runtime.first_busy_wait")
        deadline = time.monotonic() + wait_s(timeout_s)
        self.segment, self.about = found(self.name, deadline)
        self.is_open, self._slot, self._pid = True, None, os.getpid()
        self._pools, self._devices = {}, {}
        self.number, self.count = self.about.node, self.about.nodes
        # of the queues, each taken for one step: a signal's handler finds none half done, and goes in; of leases for calls; of requests
        self._lock, self._leasing, self._asking = Turn(), Turn(), Turn()
        self.ranks = Solo()
        try:
            self._open()
            # the deadline was for the daemon; a slot takes it a moment, or longer where it has to compile first
            self._slot = self._claimed(max(deadline, time.monotonic() + min(self.timeout_s, _SLOT_S)))
        except BaseException:
            self.segment.close()
            raise
        base = self.segment.address
        offsets = [self._clients.record(self._slot, number) for number in range(clients.RECORDS)]
        self._records, self._abandoned = deque(offsets), deque()
        # at the interpreter's end other threads may still be in kernels: the memory stays mapped under them, and goes with the process
        self._unmapping = weakref.finalize(self, self.segment.close)
        self._unmapping.atexit = False
        self._ending = weakref.finalize(self, _leave, self.about, self._clients.slot(self._slot), self._word)      # made last, called first
        self.address = base
        _all.add(self)

    def _open(self):
        about, base = self.about, self.segment.address
        self.layout = about.layout()
        self.table = PoolTable(base + self.layout.pools, self.timeout_s)
        self._clients = clients.ClientTable(self.segment, about.clients, self.layout.lane_count)
        self._names = texts.Names(self.segment, about.names)

    def _claimed(self, deadline):
        """Number of a slot that is this process's and prepared."""
        self._word = processes.identity()
        number, heartbeat = None, self.about.heartbeat
        while True:
            if number is None:
                number = self._clients.claim(self._word)
            if number is not None:
                state = atomics.load(self._clients.slot(number) + clients.PREPARED)
                if state == clients.PREPARED_WELL:
                    return number
                if state == clients.NO_MEMORY:
                    self._clients.leave(number)
                    raise OutOfSpace(f"shared memory has no room for another process attached to the daemon {self.name!r}: free some, or stop others")
            self.check_alive()
            self.about.ring()
            if time.monotonic() >= deadline:
                if number is not None:
                    self._clients.leave(number)
                why = f"{clients.MOST} are attached to it, end one of them" if number is None else \
                    "it doesn't prepare one, look at its messages" if self.about.heartbeat != heartbeat else "it doesn't answer: is it halted (SIGSTOP), or its node overloaded?"
                raise WaitTimeout(f"the daemon {self.name!r} (process {self.about.pid}) has no slot for this process: {why}")
            time.sleep(0.001 if number is not None else _NAP_S)

    # pools and devices

    def pool(self, name, module=None, **params):
        """The Pool of this name; made by the daemon's ranks when it isn't there and a module is given.

        params : as of `Runtime.pool`; what JSON can say
        Raises UsageError for one that isn't there or is of another module, and what making it raises.
        """
        self.check_open()
        slot = self._made(name)
        if slot is None:
            if module is None:
                raise UsageError(f"the daemon {self.name!r} has no pool {name!r}: name its module to make it")
            self._request({"do": "pool", "name": name, "module": module, "params": params})
            slot = self.table.find(name)
        elif module is not None and modules.kind_of(module) != slot.kind:
            raise UsageError(f"pool {name!r} is there and isn't of module {module}")
        known = self._pools.get(name)
        if known is None or known.number != slot.number:        # removed and made anew
            known = self._pools[name] = AttachedPool(self, slot, name, modules.known(module))
        return known

    def keep(self, name, module, **params):
        """Have `wrp-runtime restart` make this pool again. Raises StoreError when that can't be noted."""
        self._request({"do": "keep", "name": name, "module": module, "params": params})

    def remove(self, *names):
        """Remove pools of the daemon, on all its nodes. Raises UsageError, and has removed none, when there isn't one of them, it is built in, or tasks or
        leases of any process need it."""
        self.check_open()
        for do in ("check", "remove"):
            for name in names:
                self._request({"do": do, "name": name})

    def has_pool(self, name):
        """True when the daemon has a pool of this name."""
        return self._made(name) is not None

    def _made(self, name):
        """The Slot of a pool that is made to its end, or None."""
        slot = self.table.find(name)
        return slot if slot and self._names.get(slot.number) else None

    def device(self, name):
        """The Device of an existing bdev pool. What this process leases is free again when it ends."""
        pool = self.pool(name, "bdev")
        if name not in self._devices or self._devices[name]._pool is not pool:
            path = (self._names.get(pool._slot.number) or (name, None))[1]
            self._devices[name] = open_device(self, pool, path or name)
        return self._devices[name]

    def monitor(self, query, pool_query="local", timeout_s=None):
        """{container: msgpack bytes} of what nodes say of themselves, see `wrp.runtime.monitor`. Raises UsageError, WaitTimeout, WrpError."""
        return Monitoring(self.pool("monitor", "monitor")).ask(query, pool_query, timeout_s)

    def _request(self, request):
        """Ask the first rank of the node; raises what it says."""
        slot = self._clients.slot(self._slot)
        with self._asking.of("a question to the daemon"):
            texts.write(self.segment, slot + clients.TEXT_COUNT, clients.TEXT_NBYTES, request)
            number = atomics.load(slot + clients.REQUEST) + 1
            atomics.store(slot + clients.REQUEST, number)
            self.about.ring()
            self._await_answer(slot, number, request)
            answer = texts.read(self.segment, slot + clients.TEXT_COUNT, clients.TEXT_NBYTES)
        if answer.get("error"):
            raise getattr(errors, answer["error"])(answer["message"])

    def _await_answer(self, slot, number, request):
        deadline = time.monotonic() + self.timeout_s
        while True:
            seen = atomics.load(slot + clients.ANSWER)
            if seen == number:
                return
            self.check_alive()
            if time.monotonic() >= deadline:
                raise WaitTimeout(f"waited {self.timeout_s:g} s for the daemon {self.name!r} (process {self.about.pid}) to do what it is "
                                  f"to with pool {request['name']!r} ({request['do']}): look at its messages")
            atomics.futex_wait(slot + clients.ANSWER, seen, lanes.SLICE_US)

    # the daemon's life

    def check_open(self):
        """UsageError after `close`, and in a child that was forked since."""
        if not self.is_open:
            raise UsageError(f"this process isn't attached to the daemon {self.name!r} any more, or was forked by one that is: attach again")

    def check_alive(self):
        """RuntimeGone when the daemon has stopped or died, or is about to stop."""
        if self.about.state == clients.STOPPING or not self.about.is_alive():
            raise self.gone()

    def gone(self, worker=None):
        """The error of a daemon that isn't there any more, or is about to end since this worker has."""
        if self.about.state == clients.STOPPING:
            how = stopping.sentence(self.about.stop, self.about.size)
        elif worker and self.about.is_alive():
            how = f"is about to end: {worker} has ended by an error, see its messages"
        else:
            how = "has ended without being stopped: see its messages"
        return RuntimeGone(f"the daemon {self.name!r} (process {self.about.pid}) {how}; {GONE_HINT}")

    def forget(self):
        """It has gone: pools and devices are of no use any more, and the memory goes with the last of them."""
        self._pools, self._devices = {}, {}

    def close(self):
        """Leave the daemon: what this process still leases is free again. Idempotent."""
        if self.is_open:
            failure = None
            for device in self._devices.values():
                try:
                    if failure is None and self.about.state == clients.READY and self.about.is_alive():
                        device.close()
                    elif device.descriptor >= 0:
                        device._closing()
                except WrpError as error:           # of a daemon that doesn't answer: what was leased goes with the slot
                    failure = failure or error
            self.is_open = False
            self._ending()
            self._unmapping()
            if failure is not None:
                raise failure

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            self.close()
        except WrpError:
            if error is None:           # else that one is why
                raise


def _leave(about, slot, word):
    """Tell the daemon that this process has done. Local, cheap."""
    if atomics.load(slot + clients.OWNER) == word and processes.identity() == word:
        atomics.store(slot + clients.LEFT, 1)
        about.ring()


def _in_child():
    for attached in list(_all):
        attached.is_open = False
        attached._ending.detach()
        attached._unmapping.detach()


os.register_at_fork(after_in_child=_in_child)
