"""The runtime of a job: on every node a segment, workers on every rank, pools and devices by name."""

import os
import weakref

import numpy as np

from wrp.errors import UsageError, WaitTimeout
from wrp.runtime import modules, pools, schedulers
from wrp.runtime.config.keys import of_entry
from wrp.runtime.devices import make_device
from wrp.runtime.node import Node
from wrp.runtime.pool import Pool
from wrp.runtime.pythonworker import PythonLoop
from wrp.runtime.scheduled import Placing, ScheduledPool
from wrp.runtime.waiting.context import METHODS, Context
from wrp.runtime.worker import JittedLoop, Worker

_STOP_S = 5.0                   # for threads of a process that ends without `close`
_SERVED_BY_THE_LIBRARY = ("wrp_cte_core", "clio_cte_core", "wrp_cae_core", "clio_cae_core")
_BDEV_KEYS = ("pool_id", "bdev_type", "capacity")
_KINDS = {pools.ADMIN_KIND: "admin", pools.BDEV_KIND: "bdev", pools.PYTHON_KIND: "a user's module",
          pools.JITTED_KIND: "a user's module"}


class Runtime:
    """Workers, pools and devices of this rank's node. Making and closing it is collective over `ranks`; a context manager.

    make_segment : see `Node`
    Raises OutOfSpace when the node's segment finds no room, ConfigError for pools in `compose` that can't be made.
    """

    def __init__(self, ranks, config, make_segment=None):
        self.ranks, self.config = ranks, config
        self._devices, self._pools, self._containers, self._placing = {}, {}, {}, None
        with ranks.agreed("starting the runtime"):
            self._node = Node(ranks.on_node, config, make_segment)
        self._fds = np.full(pools.MOST, -1, np.int64)
        self._handlers = np.zeros(pools.MOST * METHODS, np.int64)
        self._workers = self._start()
        # without `close`: when this object or the process ends, the threads must not look at memory that goes away
        self._ending = weakref.finalize(self, _end, self._node, self._workers, self._fds)
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
        """The Pool of this name, made with `params` if the node has none. Collective over the node.

        params : of bdev: bdev_type, capacity (bytes), path (file); of a user's module: what its class takes;
        pool_id "MAJOR.MINOR" for all
        Raises ConfigError for an unknown module, UsageError when the pool is there and of another module.
        """
        self._node.check_open()
        kind = modules.kind_of(module)
        if name not in self._pools:
            slot = self._slot(name, kind, params.pop("pool_id", ""))
            if kind == pools.BDEV_KIND:
                self._add_device(name, slot, _spec(name, **params))
            else:
                self._add_container(name, slot, module, params)
        found = self._pools[name]
        if found._slot.kind != kind:
            raise UsageError(f"pool {name!r} is there and is of {_KINDS[found._slot.kind]}, not of {module}")
        return found

    def device(self, name, kind, capacity, path=None, read_only=False):
        """The Device of this name, with its bdev pool, made if the node has none. Collective over the node.

        kind : "ram", or "file" with the file's path
        capacity : bytes, rounded down to 64 (ram) or 4096 (file)
        Raises OutOfSpace, UsageError, StoreError when the file can't be opened.
        """
        self._node.check_open()
        if name not in self._devices:
            self._add_device(name, self._slot(name, pools.BDEV_KIND, ""), (kind, capacity, path, read_only))
        device = self._devices[name]
        if device.kind != kind:
            raise UsageError(f"device {name!r} is there and is of kind {device.kind}, not {kind}")
        return device

    def _add_device(self, name, slot, spec):
        pool = self._device_pool(name, slot, spec[0])
        device = make_device(self._node, pool, spec)
        if device.descriptor >= 0 and self._node.ranks.rank == 0:
            # the worker's own: it writes on while somebody closes the device
            self._fds[slot.number] = os.dup(device.descriptor)
        self._pools[name], self._devices[name] = pool, device

    def _device_pool(self, name, slot, kind):
        """The bytes of a device in memory may be moved by any jitted worker, where the node has more than one."""
        count = self._node.ranks.size
        if kind != "ram" or count == 1:
            return Pool(self._node, slot, name)
        if self._placing is None:
            lane_addresses = [self._node.address + self._node.layout.lane(2 * worker) for worker in range(count)]
            self._placing = Placing(schedulers.make(self.config.get("runtime.local_sched"), count), lane_addresses)
        return ScheduledPool(self._node, slot, name, self._placing)

    def _add_container(self, name, slot, module, params):
        """The pool, and on the rank of its worker the object that serves it."""
        pool = Pool(self._node, slot, name)
        with self._node.ranks.agreed(f"making the container of pool {name!r}"):
            if slot.kind == pools.PYTHON_KIND and slot.lane == self._own_lane():
                self._containers[slot.number] = modules.class_of(module)(name, **params)
            elif slot.kind == pools.JITTED_KIND and slot.lane == self._own_lane() - 1:
                self._containers[slot.number] = modules.prepared(modules.class_of(module), (self._node, slot, name), self._handlers, params)
            getattr(self._containers.get(slot.number), "started", lambda _: None)(pool)
        self._pools[name] = pool

    def _slot(self, name, kind, pool_id):
        """The pool's slot in the node's table, made on the node's first rank. Collective over the node."""
        node, number = self._node, None
        with node.ranks.agreed(f"making pool {name!r}"):
            if node.ranks.rank == 0:
                slot = node.table.add(name, kind, self._id(name, kind, pool_id), lambda major: self._lane(kind, major))
                if slot.kind != kind:
                    raise UsageError(f"pool {name!r} is there and is of {_KINDS[slot.kind]}, not of {_KINDS[kind]}")
                number = slot.number
        return node.table.slot(node.ranks.share(number, f"slot of pool {name!r}"))

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
        workers = [Worker(node, "wrp-worker", first, JittedLoop(node, jitted, self._fds)),
                   Worker(node, "wrp-python-worker", first + 1, PythonLoop(node, python, self._containers))]
        for worker in workers:
            worker.start(self.ranks.rank)
        return workers

    def close(self):
        """End the workers and give the memory back. Collective; idempotent. Raises WaitTimeout when a handler doesn't end."""
        if not self._node.is_open:
            return
        with self.ranks.agreed("closing the runtime's devices"):
            for device in self._devices.values():
                device.close()
        self._node.ranks.barrier("every rank of the node has finished with the runtime")
        with self.ranks.agreed("ending the runtime's workers"):
            if not _stopped(self._workers, self._node.timeout_s):
                raise WaitTimeout(f"a worker of rank {self.ranks.rank} doesn't end within {self._node.timeout_s:g} s: "
                                  "a method of a user's module still runs")
            for container in self._containers.values():
                getattr(container, "close", lambda: None)()
        self._ending()
        self._node.close()

    def abandon(self):
        """End this process's workers, alone: after an error, when the others don't come to `close`. Local, idempotent."""
        self._ending()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        # after an error of this rank alone the others don't come to `close`
        if error is None or getattr(error, "common", False):
            self.close()


def composed(config):
    """(name, module, params) of the pools that a configuration asks for."""
    for entry in config.get("compose"):
        if entry["mod_name"] in _SERVED_BY_THE_LIBRARY:
            continue
        is_bdev = modules.kind_of(entry["mod_name"]) == pools.BDEV_KIND
        passed = _BDEV_KEYS if is_bdev else ["pool_id", *(key for key in entry if key not in of_entry("compose"))]
        yield entry["pool_name"], entry["mod_name"], {key: entry[key] for key in passed}


def _spec(name, bdev_type="", capacity=1 << 30, path=None):
    """What makes the device of a bdev pool; kind and path follow from its name."""
    kind = bdev_type or ("ram" if name.startswith("ram::") else "file")
    return kind, capacity, path or (name if kind == "file" else None), False


def _stopped(workers, timeout_s):
    """True when all threads have ended."""
    return all([worker.stop(timeout_s) for worker in workers])


def _end(node, workers, fds):
    """Let go of what is this process's own. Local, called once."""
    node.is_open = False
    _stopped(workers, _STOP_S)
    for descriptor in fds[fds >= 0].tolist():
        os.close(descriptor)
