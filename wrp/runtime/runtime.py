"""The runtime of a job: on every node a segment, workers on every rank, pools and devices by name."""

import os
import threading
import time
import weakref
from numbers import Integral

import numpy as np

from wrp.comm import forking
from wrp.comm.sizes import parse_size
from wrp.errors import UsageError, WaitTimeout, WrpError
from wrp.runtime import bdev, modules, pools, removing, schedulers
from wrp.runtime.composing import composed
from wrp.runtime.devices import Spec, make_device, of_pool
from wrp.runtime.inline import doer_of
from wrp.runtime.iothreads import IoThreads
from wrp.runtime.migrating.places import Made
from wrp.runtime.monitor import Monitoring
from wrp.runtime.node import Node
from wrp.runtime.pool import Pool
from wrp.runtime.postman import Post
from wrp.runtime.pythonworker import PythonLoop
from wrp.runtime.routing import Containers, home
from wrp.runtime.scheduled import Placing, ScheduledPool
from wrp.runtime.waiting.context import FDS, METHODS, Context
from wrp.runtime.worker import JittedLoop, Worker

_SHARDS = 64                    # of a pool on a node, at most
_STOP_S = 5.0                   # for threads of a process that ends without `close`
_MOMENT_S = 1.0
_MOVED = ("file", "gpu", "object", "safe")        # kinds whose bytes I/O threads move
_KINDS = {pools.ADMIN_KIND: "admin", pools.BDEV_KIND: "bdev", pools.PYTHON_KIND: "a user's module",
          pools.JITTED_KIND: "a user's module"}


class Runtime:
    """Workers, pools and devices of this rank's node. Making and closing it is collective over `ranks`; a context manager.

    make_segment : see `Node`
    Raises OutOfSpace when the node's segment finds no room, ConfigError for pools in `compose` that can't be made.
    """

    def __init__(self, ranks, config, make_segment=None):
        self.ranks, self.config = ranks, config
        self._devices, self._pools, self._containers, self._made, self._placing = {}, {}, {}, {}, None
        self._modules = {}              # class by the pool's slot, of pools of users' modules
        self.making = threading.Lock()  # held on a node's first rank while its ranks make or remove a pool, where several of their threads may
        with ranks.agreed("starting the runtime"):
            self._node = Node(ranks, config, make_segment)
        self._fds = np.full(2 * pools.MOST, -1, np.int64)       # of each pool: buffered, past the page cache
        self._handlers = np.zeros(pools.MOST * METHODS, np.int64)
        self._shorts = np.zeros(pools.MOST, np.int64)           # of each pool's jitted handlers here, a bit for each that is short
        self._post = Post(ranks, self._node, config, self._modules) if ranks.nodes > 1 else None
        self._workers = self._start()
        # without `close`: when this object or the process ends, the threads must not look at memory that goes away
        self._ending = weakref.finalize(self, _end, self._node, self._workers, self._fds)
        if self._node.is_alone:
            forking.listen(self._in_child)
        ranks.on_node.barrier("the workers of the node run")
        try:
            with ranks.agreed("making the pools of the configuration"):
                self.pool("admin", "admin")
                self._compose()
        except BaseException:
            self._ending()
            raise

    @property
    def segment(self):
        """The node's Segment."""
        return self._node.segment

    @property
    def node(self):
        """The Node: its layout and pool table."""
        return self._node

    @property
    def pools(self):
        """{name: Pool} of the pools that this rank knows."""
        return dict(self._pools)

    @property
    def devices(self):
        """{name: Device} of its open devices."""
        return dict(self._devices)

    # pools

    def pool(self, name, module, **params):
        """The Pool of this name, made with `params` if the node has none. Collective over the node; every node makes its own
        containers, and tasks that come from other nodes before that wait for it.

        params : of bdev: bdev_type, capacity (bytes), path (file), and the keys of its entry in a configuration; of a user's module: what its class takes;
        for all: pool_id "MAJOR.MINOR", pool_query (the nodes that have containers, all by default), shards (containers on each, 1)
        Raises ConfigError for an unknown module, UsageError when the pool is there and of another module.
        """
        self._node.check_open()
        kind = modules.kind_of(module)
        if name not in self._pools:
            slot = self._slot(name, module, params)
            if kind == pools.BDEV_KIND:
                self._add_device(name, slot, of_pool(name, **params))
            else:
                self._add_container(name, slot, module, params)
        found = self._pools[name]
        if found._slot.kind != kind:
            raise UsageError(f"pool {name!r} is there and is of {_KINDS[found._slot.kind]}, not of {module}")
        return found

    def check_unused(self, name):
        """Raise UsageError when the pool can't be removed: there is none, it is built in, or tasks or leases need it. Collective over the node."""
        with self._node.ranks.agreed(f"looking whether pool {name!r} is used"):
            if name not in self._pools:
                raise UsageError(f"there is no pool {name!r}")
            if modules.is_joint(self._pools[name].module):
                raise UsageError(f"pool {name!r} can't be removed: all ranks have made it together, and it ends with them")
            why = removing.reason(self._node, self._pools[name]._slot, name) if self._node.ranks.rank == 0 else ""
            if why:
                raise UsageError(f"pool {name!r} can't be removed: {why}")

    def remove(self, name):
        """Remove a pool that nobody uses: its containers are closed, its memory is free again; of a device in a file the file stays. Collective over the
        node; raises as `check_unused` does."""
        self.check_unused(name)
        node, slot = self._node, self._pools[name]._slot
        numbers = node.table.entries_of(slot)
        node.ranks.barrier(f"all know what pool {name!r} has")
        with node.ranks.agreed(f"removing pool {name!r}"):
            if node.ranks.rank == 0:
                node.table.remove(slot)
            device = self._devices.pop(name, None)
            if device is not None:
                device.close()
            del self._pools[name]
            self._modules.pop(slot.number, None)
            self._io.movers.pop(slot.number, None)
            for number in numbers:
                self._handlers[number * METHODS:(number + 1) * METHODS] = 0
                self._made.pop(number, None)
                getattr(self._containers.pop(number, None), "close", lambda: None)()
        node.ranks.barrier(f"nobody has pool {name!r} any more")
        if device is not None:
            if node.ranks.rank == 0:
                removing.release_memory(node, slot, name)
            for place in (slot.number, bdev.DIRECT + slot.number):
                descriptor, self._fds[place] = int(self._fds[place]), -1
                if descriptor >= 0:
                    os.close(descriptor)

    def device(self, name, kind, capacity, path=None, read_only=False, **more):
        """The Device of this name, with its bdev pool, made if the node has none. Collective over the node.

        kind : "ram", "pinned" (locked), "file" with the file's path, "object" with a URL, "safe" with an address of `devices.safe.layout`, "gpu" or "noop"
        capacity : bytes, rounded down to the alignment of the kind; 0 of ram and pinned: four fifths of the memory, as far as the segment has room
        more : fields of `devices.Spec`: depth, direct, alignment, persistence, metrics
        Raises OutOfSpace, UsageError, StoreError when the file can't be opened.
        """
        self._node.check_open()
        if name not in self._devices:
            self._add_device(name, self._slot(name, "bdev", {}), Spec(kind, parse_size(capacity), path, read_only, **more))
        device = self._devices[name]
        if device.kind != kind:
            raise UsageError(f"device {name!r} is there and is of kind {device.kind}, not {kind}")
        return device

    def device_of(self, pool_id):
        """The open Device of the bdev pool with this id (major, minor), or None."""
        return next((device for name, device in self._devices.items() if self._pools[name]._slot.id == pool_id), None)

    def monitor(self, query, pool_query="local", timeout_s=None):
        """{container: msgpack bytes} of what nodes say of themselves, see `wrp.runtime.monitor`. Collective over the node at the first call, which makes
        the pool `monitor`; then local. Raises UsageError, WaitTimeout, WrpError."""
        return Monitoring(self.pool("monitor", "monitor")).ask(query, pool_query, timeout_s)

    def _add_device(self, name, slot, spec):
        pool = self._device_pool(name, slot, spec.kind)
        device = make_device(self._node, pool, spec)
        if device.kind in _MOVED:
            self._arm(device, slot.number)
        self._pools[name], self._devices[name] = pool, device
        self._node.table.set_ready(slot.number)

    def _arm(self, device, number):
        """Give this rank what it moves the device's bytes with, on the first one the device's worker."""
        for place, descriptor in ((number, device.descriptor), (bdev.DIRECT + number, device.direct)):
            if descriptor >= 0:         # its own: it writes on while somebody closes the device
                self._fds[place] = os.dup(descriptor)
        if self._node.ranks.rank:
            return
        if device.kind != "file":
            self._io.movers[number] = device
        self._io.allow(device.facts["io_depth"])

    def _device_pool(self, name, slot, kind):
        """The bytes of a device in memory may be moved by any jitted worker, where the node has more than one."""
        count = self._node.ranks.size
        if kind not in ("ram", "pinned") or count == 1:
            return Pool(self._node, slot, name)
        if self._placing is None:
            lane_addresses = [self._node.address + self._node.layout.lane(2 * worker) for worker in range(count)]
            self._placing = Placing(schedulers.make(self.config.get("runtime.local_sched"), count), lane_addresses)
        return ScheduledPool(self._node, slot, name, self._placing)

    def _add_container(self, name, slot, module, params):
        """The pool, and on the ranks of its workers the objects that serve it."""
        node = self._node
        pool = Pool(node, slot, name, self._modules.get(slot.number))
        first, count, shards = slot.containers
        with node.ranks.agreed(f"making the container of pool {name!r}"):
            if pool.module is not None and first <= node.number < first + count:
                try:
                    for shard in range(node.ranks.size if modules.is_joint(pool.module) else shards):
                        self._serve(node.table.slot(slot.number + shard), pool, params)
                except SystemExit as leaving:
                    raise WrpError(f"the container of pool {name!r} can't be made: module {module} says sys.exit({leaving.code!r})") from leaving
        node.table.set_ready(slot.number)
        self._pools[name] = pool

    def _serve(self, slot, pool, params):
        """Make the object of a shard, if a worker of this rank serves it."""
        if slot.lane not in (self._own_lane() - 1, self._own_lane()):
            return
        if slot.kind == pools.PYTHON_KIND:
            container = pool.module(pool.name, **params)
            self._made[slot.number] = Made(pool, pool.containers.first_on(self._node.number) + slot.number - pool.number, params)
        else:
            container = modules.prepared(pool.module, (self._node, slot, pool.name), self._handlers, params)
            self._shorts[slot.number] = modules.shorts_of(pool.module)
        self._containers[slot.number] = container
        if modules.is_joint(pool.module):
            container.join(self)
        getattr(container, "started", lambda _: None)(pool)

    def _slot(self, name, module, params):
        """The pool's slot in the node's table, made on the node's first rank; takes what says where it is out of `params`.
        Collective over the node."""
        node, number, kind = self._node, None, modules.kind_of(module)
        pool_id, shards, query = params.pop("pool_id", ""), params.pop("shards", 1), params.pop("pool_query", "dynamic")
        cls = modules.class_of(module) if kind in (pools.PYTHON_KIND, pools.JITTED_KIND) else None
        with node.ranks.agreed(f"making pool {name!r}"):
            pools.check_name(name)
            if not isinstance(shards, Integral) or shards != 1 and cls is None or not 1 <= shards <= _SHARDS:
                raise UsageError(f"pool {name!r} can't have {shards!r} shards: 1 to {_SHARDS}, and 1 of {module}" if cls is None else
                                 f"pool {name!r} can't have {shards!r} shards: 1 to {_SHARDS}")
            if modules.is_joint(cls):
                shards = self.ranks.most_local          # a smaller node has none of the last ones
                if home(query, node.count) != (0, node.count):
                    raise UsageError(f"pool {name!r} can't have the pool_query {query!r}: {module} is on every node")
            containers = Containers(*home(query, node.count), shards)
            if node.ranks.rank == 0:
                slot = node.table.add(name, kind, self._id(name, kind, pool_id), lambda major, shard: self._lane(kind, major + shard),
                                      containers, hasattr(cls, "route"))
                if slot.kind != kind:
                    raise UsageError(f"pool {name!r} is there and is of {_KINDS[slot.kind]}, not of {_KINDS[kind]}")
                number = slot.number
        number = node.ranks.share(number, f"slot of pool {name!r}")
        if cls is not None:
            self._modules[number] = cls
        return node.table.slot(number)

    def _id(self, name, kind, text):
        """The id asked for, else the one that is known for the name, else None."""
        if text:
            return pools.parse_id(text)
        known = pools.IDS.get("bdev" if kind == pools.BDEV_KIND else name)
        return None if known is None or self._node.table.is_taken(known) else known

    def _lane(self, kind, major):
        """Number of the lane that serves a pool: one worker for ever."""
        if kind in (pools.PYTHON_KIND, pools.JITTED_KIND):
            return 2 * (major % self._node.ranks.size) + (kind == pools.PYTHON_KIND)
        return 0

    def _own_lane(self):
        return 2 * self._node.ranks.rank + 1

    def _compose(self):
        """Make the pools that the configuration asks for."""
        for name, module, params in composed(self.config):
            self.pool(name, module, **params)

    # workers

    def _start(self):
        node, layout = self._node, self._node.layout
        first = 2 * node.ranks.rank
        jitted, python = (Context(node, first + number, self._handlers, node.address + layout.meter(first + number)) for number in (0, 1))
        jitted[FDS] = self._fds.ctypes.data
        self._doer = doer_of(jitted.address, self._shorts.ctypes.data)
        node.doer = 0 if self._doer is None else self._doer.ctypes.data
        joins = self._post is None and first == 0
        workers = [Worker(node, "wrp-worker", first, JittedLoop(node, jitted)),
                   Worker(node, "wrp-python-worker", first + 1, PythonLoop(node, python, self._containers, self._made, self.remote, self._modules if joins else None))]
        if self._post is not None and node.ranks.rank == 0:
            self._post.postman.serve_inline(jitted.address, first, self._shorts)
            workers.append(Worker(node, "wrp-postman", layout.postman, self._post.postman))
        for worker in workers:
            worker.start(self.ranks.rank)
        self._io = IoThreads(node, jitted)
        return [*workers, self._io]

    def ring(self, node):
        """Call what another node's first rank has given to `on_ring`, soon. On the first rank of a node; local."""
        self._post.postman.ring(node)

    def on_ring(self, function):
        """Call `function` when another node rings. It runs in the postman's thread; local."""
        if self._post is not None and self._post.postman is not None:
            self._post.postman.on_ring = function

    @property
    def remote(self):
        """The RemoteWindow over the segments of all nodes, for bytes; any rank and thread. None when there is one node."""
        return None if self._post is None else self._post.window

    def close(self):
        """End the workers and give the memory back. Collective; idempotent. Raises WaitTimeout when a handler doesn't end."""
        if not self._node.is_open:
            return
        try:
            self._leave(True)
        finally:
            self._end_workers()

    def _leave(self, together):
        """Containers that all ranks have made together are let go of. Collective where `together`."""
        for container in filter(modules.is_joint, list(self._containers.values())):
            container.leave(together)

    def _end_workers(self):
        with self.ranks.agreed("closing the runtime's devices"):
            for device in self._devices.values():
                device.close()
        self.ranks.barrier("every rank has finished with the runtime")
        with self.ranks.agreed("ending the runtime's workers"):
            if not _stopped(self._workers, self._node.timeout_s):
                raise WaitTimeout(f"a worker of rank {self.ranks.rank} doesn't end within {self._node.timeout_s:g} s: "
                                  "a method of a user's module still runs")
            for container in self._containers.values():
                getattr(container, "close", lambda: None)()
        self._ending()
        if self._post is not None:
            self._post.close()
        self._node.close()

    @property
    def is_alone(self):
        """True where a forked child has nothing of this runtime but a copy of its memory."""
        return self._node.is_alone

    def _in_child(self):
        """In a forked child: the workers are threads of the parent, and what lay in its memory is a copy here."""
        self._node.leave()
        self._ending.detach()

    def abandon(self):
        """End this process's workers, alone: after an error, when the others don't come to `close`. Local, idempotent."""
        self._leave(False)
        self._ending()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        # after an error of this rank alone the others don't come to `close`
        if error is None or getattr(error, "common", False):
            self.close()


def _stopped(workers, timeout_s):
    """True when all threads have ended, within the time all together, and a moment for each."""
    until = time.monotonic() + timeout_s
    return all([worker.stop(max(min(timeout_s, _MOMENT_S), until - time.monotonic())) for worker in workers])


def _end(node, workers, fds):
    """Let go of what is this process's own. Local, called once."""
    node.is_open = False
    _stopped(workers, _STOP_S)
    for descriptor in fds[fds >= 0].tolist():
        os.close(descriptor)
