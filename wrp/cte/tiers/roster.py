"""The roster: which targets a node's store has, as devices, by number. Nothing here gives out space or moves bytes.

How targets are numbered says targetnumbers.py. Node n of a job allocates in the data files k (from 0) with k % nodes == n, and reads all of them.
"""

import os

from wrp.comm.streaming import address_of
from wrp.cte.blocks import Blocks
from wrp.cte.placement.contract import LONG_TERM, VOLATILE
from wrp.cte.records import RAM
from wrp.cte.targetnumbers import is_durable, kind_of, node_of
from wrp.cte.targets import Placing, TargetInfo
from wrp.cte.targets.wanted import LEVELS
from wrp.cte.views import read_only
from wrp.errors import ConfigError, StoreError, UsageError
from wrp.runtime.devices import places

_LEAST_FILE = 4096              # a store on a full disk opens too: what it holds can be read and destroyed


class Roster:
    """See tiers.Tiers."""

    def _add(self, number, wanted, token):
        """A target that doesn't outlast the job. Scratch files have no name once every rank has them open: nothing is left of them."""
        if wanted.pool is not None:
            self._take_in(number, self._bound(wanted), wanted)
            return
        path = self._scratch_path(number, wanted, token) if wanted.kind == "file" else None
        device = self._runtime.device("ram" if number == RAM else f"{wanted.kind}{number}", wanted.kind, wanted.capacity, path,
                                      persistence=LEVELS[wanted.persistence], metrics=metrics_of(wanted))
        self._take_in(number, device, wanted)
        if path is not None:
            self._runtime.ranks.on_node.barrier("every rank has the scratch file open")
            if self._runtime.ranks.local_rank == 0:
                os.unlink(path)

    def _bound(self, wanted):
        """The device of a pool that somebody else has made. Raises ConfigError."""
        device, pool_id = self._runtime.device_of(wanted.pool), "{}.{}".format(*wanted.pool)
        if device is None:
            raise ConfigError(f"target {wanted.name!r} has the existing_pool_id {pool_id}, and no bdev has that id on this node: put one with this pool_id under `compose`")
        if device.kind != wanted.kind:
            raise ConfigError(f"target {wanted.name!r} is of bdev_type {wanted.kind}, and pool {pool_id}, {device.name!r}, is of {device.kind}")
        return device

    def _take_in(self, number, device, wanted):
        """There is this target now. Other threads may be looking through what there was."""
        with self._changing:
            self._devices, self._wanted = {**self._devices, number: device}, {**self._wanted, number: wanted}
        if wanted.pool is None:             # that of a pool has the name that people gave it
            device.title = f"target {self.said(number)!r}"

    def _scratch_path(self, number, wanted, token):
        return f"{wanted.place}-{token}-{self._runtime.ranks.node}-{number & 0xFF}"

    def _own_files(self, ranks, wanted, used):
        mine = [number for number in range(self._folder.header["files"]) if number % ranks.nodes == ranks.node]
        with ranks.agreed("looking for the store's data files"):
            for number in mine:
                self._check_there(number, used)
        shares = _shares(mine, wanted, self._folder.place)
        for number in mine:
            path, share = self._folder.data_path(number), shares.get(number)
            nbytes = places.nbytes_of(path)
            capacity = max(share.capacity, _LEAST_FILE) if share else -(-ranks.on_node.share(nbytes, "size of a data file") // 4096) * 4096
            if not capacity:
                continue
            target = number + 1
            self._devices[target] = self._runtime.device(f"file{number}", places.kind_of(path), capacity, path, metrics=metrics_of(share))
            self._devices[target].title = f"target {self.said(target)!r}"
            if share:
                self._wanted[target] = share

    def _check_there(self, number, used):
        path = self._folder.data_path(number)
        if number + 1 in used and not places.is_there(path):
            tags = sorted(used[number + 1])
            names = ", ".join(map(repr, tags[:3])) + (f" and {len(tags) - 3} more" if len(tags) > 3 else "")
            raise StoreError(f"store {self._folder.path}: its data file {path} isn't there, and blobs of the tags {names} have bytes in it: "
                             f"run where it is, or bring it back to this path")

    def place_by(self, policy, keep_s):
        """Let this policy of `placement` decide where new bytes go."""
        self._placed_by = policy, keep_s
        takes = [(number, wanted) for number, wanted in self._wanted.items() if number not in self._leaving and number not in self._lost]
        self.placing = Placing(policy, self._runtime.ranks.rank, takes, self.free, keep_s)

    def _changed(self):
        with self._changing:
            self.place_by(*self._placed_by)
            self._count()

    def _count(self):
        self.counters.extra = [number for number in self._devices if number != RAM and not is_durable(number)]

    def number_of(self, name):
        """Number of the target of this name, "ram": the first; None for "file"."""
        if name == "file":
            return None
        found = {"ram": RAM, **{wanted.name: number for number, wanted in self._wanted.items() if number not in self._leaving}}
        if not isinstance(name, str) or name not in found:
            raise UsageError(f"blobs move to 'ram' or 'file', or to one of {', '.join(map(repr, sorted(found)))}, not {name!r}")
        return found[name]

    def is_known(self, number):
        """Whether there may be extents there."""
        if is_durable(number):
            return self._folder is not None and number <= self._folder.header["files"]
        return number in self._devices or node_of(number) is not None

    def said(self, number):
        """What people call a target: of a data file its path, below the store's folder where it lies there; of another its name."""
        if is_durable(number):
            path, inside = self._folder.data_path(number - 1), self._folder.path + os.sep
            return path[len(inside):] if path.startswith(inside) else path
        if node_of(number) is not None:
            return f"ram of node {node_of(number)}"
        return self._wanted[number].name if number in self._wanted else kind_of(number)

    def files(self):
        """{number: (descriptor, path or None where it has no name)} of the files that take new bytes, or did before they were lost."""
        return {number: (self._devices[number].descriptor, self._devices[number].path if is_durable(number) else None)
                for number in self._wanted if kind_of(number) == "file" and number not in self._gone and self._devices[number].descriptor >= 0}

    def infos(self):
        """[TargetInfo] of the targets that this node gives space out of, by number."""
        self.give_due()
        counts = self.counters.read()
        by_number = {target.number: target for target in self.placing.targets}
        return [self._info(number, by_number.get(number), counts) for number in sorted(self._devices) if number not in self._gone]

    def _info(self, number, target, counts):
        device, wanted = self._devices[number], self._wanted.get(number)
        path = getattr(device, "path", "")
        name = wanted.name if wanted else path
        if wanted and sum(other.name == name for each, other in self._wanted.items() if each not in self._gone) > 1:
            name = f"{name}#{number}"
        remaining = device.remaining + (self.blocks.unused if number == RAM else 0)
        speed = (target.score, device.capacity, remaining, LEVELS[target.persistence], target.write_mbps, target.read_mbps, target.latency_us) \
            if target else (0.0, device.capacity, 0, LEVELS[LONG_TERM], 0.0, 0.0, 0.0)
        failed = tuple(device.stats["failed"]) if device.kind == "safe" else ()
        return TargetInfo(number, name, device.kind, path, *speed, counts.get(number) or TargetInfo.counts, self._lost.get(number, ""), failed)

    def lasting(self):
        """[(target, kind, path or address, state)] of the store's data files, whoever has them; the state of a safe one as `places.state_of` gives it. StoreError."""
        found = []
        for number in range(self._folder.header["files"] if self._folder is not None else 0):
            path, device = self._folder.data_path(number), self._devices.get(number + 1)
            found.append((number + 1, places.kind_of(path), path, device.stats if device is not None and device.kind == "safe" else places.state_of(path)))
        return found

    def safe(self, name):
        """The device of the safe target of this name. UsageError."""
        found = [info for info in self.infos() if info.kind == "safe"]
        number = next((info.number for info in found if name in (info.name, info.path)), None)
        if number is None:
            raise UsageError(f"there is no safe target {name!r} on this node" + (f": there are {', '.join(info.name for info in found)}" if found else ""))
        return self._devices[number]

    def cut(self, at, timeout_s, views, flushes):
        """Let the ram be cut into blocks; their tables lie at the address `at`, who looks at it say `views`, how often the node has flushed the word at `flushes`.

        Before any lease.
        """
        self._count()
        self._flushes = flushes
        if self.ram is not None:
            self.ram_bytes = self.ram.view(0, self.ram.capacity)
            self.ram_address, self.ram_array = address_of(self.ram_bytes), read_only(self.ram_bytes)
            self.blocks, self.views = Blocks(at, self.ram, timeout_s), views

    def level(self, target):
        """The persistence of a target."""
        if node_of(target) is not None:
            return VOLATILE
        return LONG_TERM if is_durable(target) else self._wanted[target].persistence

    @property
    def has_files(self):
        return any(map(is_durable, self._wanted))

    def owns(self, target):
        """True when this node gives out the space of the target."""
        return target in self._devices

    def owner(self, target):
        """Number of the node that gives out the space of a file that lasts, or of another node's ram."""
        node = node_of(target)
        return (target - 1) % self._runtime.ranks.nodes if node is None else node

    def device(self, target):
        return self._devices[target]

    def claim(self, target, runs):
        """Take runs, int64 array (n, 2) of (offset, nbytes), out of the target's free space. Once, before any lease."""
        self.device(target).claim(runs)


def metrics_of(wanted):
    return {"write_bandwidth_mbps": wanted.write_mbps, "read_bandwidth_mbps": wanted.read_mbps, "write_latency_us": wanted.latency_us} if wanted else {}


def _shares(numbers, wanted, place_of):
    """{number: Wanted with the capacity of this file} of data files in the places that are wanted; the more files a target has, the less each holds."""
    files = [[] for _ in wanted]
    turns = {}
    for number in numbers:
        place = place_of(number)
        fitting = [position for position, each in enumerate(wanted) if each.place == place]
        if fitting:
            turn = turns[place] = turns.get(place, -1) + 1
            files[fitting[turn % len(fitting)]].append(number)
    return {number: each._replace(capacity=each.capacity // len(found) // 4096 * 4096) for each, found in zip(wanted, files) for number in found}
