"""The targets of a store on one node as devices, and where new bytes go. No names of blobs and no records here.

How targets are numbered says targetnumbers.py. Node n of a job allocates in the data files k (from 0) with k % nodes == n, and reads all of them.
"""

import errno
import logging
import os
import time
from collections import deque
from contextlib import contextmanager, suppress

from wrp.comm.checksum import crc32
from wrp.comm.sizes import format_size
from wrp.comm.streaming import address_of, copy_checked
from wrp.cte.blocks import LARGEST, Blocks
from wrp.cte.placement.contract import LONG_TERM, VOLATILE
from wrp.cte.records import RAM
from wrp.cte.targetnumbers import extra_number, is_durable, kind_of, node_of
from wrp.cte.targets import Pace, Placing, TargetInfo, Wish
from wrp.cte.targets.wanted import LEVELS
from wrp.cte.telemetry.counters import Counters
from wrp.errors import Corrupt, OutOfSpace, StoreError, UsageError, WrpError

PIECE = 4 << 20                 # an extent is at most this long
_log = logging.getLogger("wrp.cte")
_LEAST_FILE = 4096              # a store on a full disk opens too: what it holds can be read and destroyed


class Tiers:
    """Devices by target number. Making and closing it is collective over the ranks of the node.

    used : {target: names of tags} that have bytes in data files, on the first rank of the node
    Raises StoreError when such a file isn't there.
    """

    def __init__(self, runtime, folder, sizes, used=()):
        self._runtime = runtime
        self._folder = folder
        self._readers = {}
        self.away = deque()                         # extents of other nodes that are free now
        self._wanted, self._devices = {}, {}        # by number: what takes new bytes; all that this node gives space out of
        self._leaving, self._gone = set(), set()    # numbers: take no new bytes any more; and hold none, whoever still has an old record
        self._lost = {}                             # number: why it takes no new bytes of this process for now
        self.pace = Pace()
        self._next, self._token = len(sizes.targets), sizes.token
        self.read_elsewhere = None                  # set by a store of several nodes: (node, offset, out) of its first ram
        self.make_room = lambda nbytes: False       # set by the store: frees ram, True when some came back
        self.ram_bytes, self.ram_address, self.blocks = None, 0, None
        self.counters = Counters(0, 0)              # set at opening: counts what pieces.py reads and writes
        writes = folder is None or folder.write
        for place, wanted in enumerate(sizes.targets):
            if not wanted.is_durable and wanted.capacity and (writes or not place):
                self._add(RAM if not place else extra_number(wanted.kind, place), wanted, sizes.token)
        self.ram = self._devices.get(RAM)
        if folder is not None and folder.write:
            self._own_files(runtime.ranks, [wanted for wanted in sizes.targets if wanted.is_durable], used)

    def _add(self, number, wanted, token):
        """A target that doesn't outlast the job. Scratch files have no name once every rank has them open: nothing is left of them."""
        path = self._scratch_path(number, wanted, token) if wanted.kind == "file" else None
        device = self._runtime.device("ram" if number == RAM else f"{wanted.kind}{number}", wanted.kind, wanted.capacity, path,
                                      persistence=LEVELS[wanted.persistence], metrics=_metrics(wanted))
        # other threads may be looking through what there was
        self._devices, self._wanted = {**self._devices, number: device}, {**self._wanted, number: wanted}
        if path is not None:
            self._runtime.ranks.on_node.barrier("every rank has the scratch file open")
            if self._runtime.ranks.local_rank == 0:
                os.unlink(path)

    def _scratch_path(self, number, wanted, token):
        return f"{wanted.place}-{token}-{self._runtime.ranks.node}-{number & 0xFF}"

    # while the store is open

    def add(self, wanted):
        """Number of another target that doesn't outlast the job, which takes bytes from `show` on. Collective over the node.

        Raises OutOfSpace, StoreError; then there is none.
        """
        number = extra_number(wanted.kind, self._next)
        self._next += 1
        try:
            self._add(number, wanted, self._token)
        except BaseException:
            if wanted.kind == "file":
                self._unlink(self._scratch_path(number, wanted, self._token))
            raise
        return number

    def _unlink(self, path):
        """A file of a target that couldn't be made goes, where there is one."""
        if self._runtime.ranks.local_rank == 0:
            with suppress(OSError):
                os.unlink(path)

    def add_file(self, wanted):
        """The same of a target that lasts: the newest data file of this node. The folder's header knows it already."""
        ranks, files = self._runtime.ranks, self._folder.header["files"]
        number = next(number for number in range(files - ranks.nodes, files) if number % ranks.nodes == ranks.node)
        self._next += 1                 # a file of this number may have been undone: the runtime still has its device
        path = self._folder.data_path(number)
        try:
            device = self._runtime.device(f"file{number}.{self._next}", "file", wanted.capacity, path, metrics=_metrics(wanted))
        except BaseException:
            self._unlink(path)
            raise
        self._devices, self._wanted = {**self._devices, number + 1: device}, {**self._wanted, number + 1: wanted}
        return number + 1

    def show(self):
        """What was added takes bytes of this process."""
        self._changed()

    def undo(self, number):
        """What was added, and not shown, goes: another node has none. On every rank."""
        if self._runtime.ranks.local_rank == 0:
            self.clear(number)
            if is_durable(number):
                os.unlink(self._folder.data_path(number - 1))
        self._devices, self._wanted = ({other: each for other, each in table.items() if other != number} for table in (self._devices, self._wanted))

    def leave(self, number):
        """A target takes no new bytes from this process."""
        self._leaving.add(number)
        self._changed()

    def stay(self, number):
        """It does again."""
        self._leaving.discard(number)
        self._changed()

    def files(self):
        """{number: (descriptor, path or None where it has no name)} of the files that take new bytes, or did before they were lost."""
        return {number: (self._devices[number].descriptor, self._devices[number].path if is_durable(number) else None)
                for number in self._wanted if kind_of(number) == "file" and number not in self._gone}

    def lose(self, number, why):
        """A target takes no new bytes from this process until it is regained. Whoever reads it waits, or is told, as ever."""
        if self._lost.get(number) != why:
            _log.warning("target %r takes no new bytes of rank %d for now: %s", self.said(number), self._runtime.ranks.rank, why)
            self._lost = {**self._lost, number: why}
            self._changed()

    def regain(self, number):
        """What was lost takes bytes again; nothing happens to others."""
        if number in self._lost:
            _log.warning("target %r takes bytes of rank %d again", self.said(number), self._runtime.ranks.rank)
            self._lost = {other: why for other, why in self._lost.items() if other != number}
            self._changed()

    def adjust(self):
        """Let bandwidths that nobody has declared be half of what they were, half of what this process has reached since the last time."""
        changes = {}
        for number, rates in self.pace.sample().items():
            wanted = self._wanted.get(number)
            if wanted is not None and (faster := wanted.adjusted(*rates)) != wanted:
                changes[number] = faster
        if changes:
            self._wanted = {**self._wanted, **changes}
            self._changed()

    def used(self, number):
        """Bytes of a target that some process of the node has."""
        device = self.device(number)
        return device.capacity - device.remaining

    def drop(self, number):
        """A target that leaves, and holds nothing: it isn't there any more. Who reads it by an old record finds other bytes, and looks again."""
        self._gone.add(number)
        self._changed()

    def clear(self, number):
        """Give the disk back what a target that is empty took of it; the memory of others goes back with the job. On one rank of the node."""
        device = self.device(number)
        if device.kind == "file":
            os.ftruncate(device.descriptor, 0)

    def _changed(self):
        self.place_by(*self._placed_by)
        self._count()

    def _count(self):
        self.counters.extra = [number for number in self._devices if number != RAM and not is_durable(number)]

    def _own_files(self, ranks, wanted, used):
        mine = [number for number in range(self._folder.header["files"]) if number % ranks.nodes == ranks.node]
        with ranks.agreed("looking for the store's data files"):
            for number in mine:
                self._check_there(number, used)
        shares = _shares(mine, wanted, self._folder.place)
        for number in mine:
            path, share = self._folder.data_path(number), shares.get(number)
            nbytes = os.path.getsize(path) if os.path.exists(path) else 0
            capacity = max(share.capacity, _LEAST_FILE) if share else -(-ranks.on_node.share(nbytes, "size of a data file") // 4096) * 4096
            if not capacity:
                continue
            target = number + 1
            self._devices[target] = self._runtime.device(f"file{number}", "file", capacity, path, metrics=_metrics(share))
            if share:
                self._wanted[target] = share

    def _check_there(self, number, used):
        path = self._folder.data_path(number)
        if number + 1 in used and not os.path.exists(path):
            tags = sorted(used[number + 1])
            names = ", ".join(map(repr, tags[:3])) + (f" and {len(tags) - 3} more" if len(tags) > 3 else "")
            raise StoreError(f"store {self._folder.path}: its data file {path} isn't there, and blobs of the tags {names} have bytes in it: "
                             f"run where it is, or bring it back to this path")

    def place_by(self, policy, keep_s):
        """Let this policy of `placement` decide where new bytes go."""
        self._placed_by = policy, keep_s
        takes = [(number, wanted) for number, wanted in self._wanted.items() if number not in self._leaving and number not in self._lost]
        self.placing = Placing(policy, self._runtime.ranks.rank, takes, self.free, keep_s)

    def number_of(self, name):
        """Number of the target of this name, "ram": the first; None for "file"."""
        if name == "file":
            return None
        found = {"ram": RAM, **{wanted.name: number for number, wanted in self._wanted.items() if number not in self._leaving}}
        if name not in found:
            raise UsageError(f"blobs move to 'ram' or 'file', or to one of {', '.join(map(repr, sorted(found)))}, not {name!r}")
        return found[name]

    def said(self, number):
        """What people call a target: of a data file its path, below the store's folder where it lies there; of another its name."""
        if is_durable(number):
            path, inside = self._folder.data_path(number - 1), self._folder.path + os.sep
            return path[len(inside):] if path.startswith(inside) else path
        if node_of(number) is not None:
            return f"ram of node {node_of(number)}"
        return self._wanted[number].name if number in self._wanted else kind_of(number)

    def infos(self):
        """[TargetInfo] of the targets that this node gives space out of, by number."""
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
        return TargetInfo(number, name, kind_of(number), path, *speed, counts.get(number) or TargetInfo.counts, self._lost.get(number, ""))

    def cut(self, at, timeout_s):
        """Let the ram be cut into blocks; their tables lie at the address `at`. Before any lease."""
        self._count()
        if self.ram is not None:
            self.ram_bytes = self.ram.view(0, self.ram.capacity)
            self.ram_address = address_of(self.ram_bytes)
            self.blocks = Blocks(at, self.ram, timeout_s)

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

    def lease(self, nbytes, durable, wish=Wish()):
        """(target, offset) of new space where the policy wants it, or on the next target that has room; on one in files when it must be durable.

        Raises OutOfSpace naming every target that has no room.
        """
        if not durable and wish.wants_any and self.placing.ram_first(nbytes, wish.score, exact=True):
            try:
                return RAM, self._lease_ram(nbytes)
            except OutOfSpace:
                pass                # the list says what is next, and who is to make room
        refusals = []
        for target in self.placing.order(nbytes, wish, durable):
            try:
                with self._named_errors():
                    offset = self._lease(target, self._devices[target], nbytes)
            except OutOfSpace as error:
                refusals.append(str(error))
                continue
            if target not in self._leaving:
                return target, offset
            # it began to leave after the policy was asked; who empties it waits until this is given back
            self._devices[target].give_back(offset, nbytes)
        where = "the store in memory" if self._folder is None else f"store {self._folder.path}"
        lost = [f"target {self.said(number)!r} is lost for now: {why}" for number, why in self._lost.items()]
        if lost and not refusals:
            raise StoreError(f"{where}: these bytes can't be written now: " + "; ".join(lost))
        refusals += lost
        advice = "" if self._folder is None else "make room on its disk, choose another folder, or "
        raise OutOfSpace(f"{where}: no tier has room for {format_size(nbytes)}: " + "; ".join(refusals or ["it has no tier that fits"])
                         + f" ({advice}raise capacity_limit of its tiers where the configuration sets one)")

    def expect(self, nbytes):
        """This process is about to lease so many bytes of ram."""
        if self.ram is not None:
            self.ram.expect(nbytes)

    def lease_some(self, nbytes, count):
        """Offsets in ram, as a range, of room for the first of `count` pieces of nbytes; None when they belong elsewhere, or ram would have to make room."""
        if self.ram is None or not self.placing.ram_first(nbytes, Wish().score, exact=True):
            return None
        try:
            return self.ram.lease_some(nbytes, count)
        except OutOfSpace:
            return None

    def lease_run(self, nbytes):
        """Offset of one run of ram, however long. Raises OutOfSpace."""
        return self._lease(RAM, self.ram, nbytes)

    def _lease(self, target, device, nbytes):
        if target != RAM:
            return device.lease(nbytes)
        try:
            return self._lease_ram(nbytes)
        except OutOfSpace:
            if not self.blocks.shrink() and not self.make_room(nbytes):
                raise
        try:
            return self._lease_ram(nbytes)
        except OutOfSpace:
            if not self.make_room(nbytes):
                raise
            self.blocks.shrink()
            return self._lease_ram(nbytes)

    def _lease_ram(self, nbytes):
        """A block when it is small; where there is no page for its size, a piece of just that size may be left."""
        if nbytes <= LARGEST:
            try:
                return self.blocks.take(nbytes)
            except OutOfSpace:
                pass
        return self.ram.lease(nbytes)

    def free(self, target):
        """Bytes of the target that this process could still have."""
        return self.device(target).free + (self.blocks.unused if target == RAM else 0)

    def give_back(self, extents):
        """Give the space of extents back; that of other nodes waits in `away` for whoever tells them."""
        for extent in extents:
            target, offset, nbytes, _ = extent
            if target == RAM and nbytes <= LARGEST and self.blocks.give(offset):
                continue
            if self.owns(target):
                self.device(target).give_back(offset, nbytes)
            else:
                self.away.append(extent)

    def view(self, target, offset, nbytes):
        """The bytes themselves when they lie in ram (writable memoryview), else None."""
        return self.ram.view(offset, nbytes) if target == RAM else None

    def content(self, extent):
        """The bytes of an extent that isn't in a data file: those in ram of this node themselves, others copied."""
        target, offset, nbytes, _ = extent
        if kind_of(target) == "ram" and self.owns(target):
            return self.device(target).view(offset, nbytes)
        found = bytearray(nbytes)
        self.read(target, offset, found)
        return memoryview(found)

    def write(self, target, offset, data):
        """Raises OutOfSpace when the disk has no room after all, StoreError when it can't be written."""
        start = time.perf_counter_ns()
        with self._named_errors():
            self.device(target).write(offset, data)
        self.pace.wrote(target, memoryview(data).nbytes, time.perf_counter_ns() - start)

    def read(self, target, offset, out):
        """Fill `out` (writable, contiguous) from the target; Corrupt when the file is shorter than its records say.

        StoreError for a target that keeps nothing.
        """
        if node_of(target) is not None:
            self.read_elsewhere(node_of(target), offset, out)
            return
        if not is_durable(target):
            if kind_of(target) == "noop":
                raise StoreError(f"these bytes were put to the target {self._wanted[target].name!r} of kind noop, which forgets what it is given")
            self._read_scratch(target, offset, out)
            return
        view = memoryview(out).cast("B")
        nbytes, start = len(view), time.perf_counter_ns()
        carried = self._folder.astray.get((target, offset, nbytes))
        if carried is not None:
            view[:] = carried
            return
        descriptor = self._reader(target)
        while view:
            count = os.preadv(descriptor, [view], offset)
            if count == 0:
                raise Corrupt(f"{self._folder.data_path(target - 1)} ends before byte {offset + len(view)}: the store's data file was cut")
            view, offset = view[count:], offset + count
        self.pace.read(target, nbytes, time.perf_counter_ns() - start)

    def _read_scratch(self, target, offset, out):
        start = time.perf_counter_ns()
        try:
            self.device(target).read(offset, out)
            self.pace.read(target, memoryview(out).nbytes, time.perf_counter_ns() - start)
        except OSError as error:
            if target in self._gone:
                raise Corrupt(f"these bytes lay on the target {self._wanted[target].name!r}, which was removed") from error
            raise

    def load(self, extent, out):
        """Fill `out` with a whole extent; the crc32 of its bytes."""
        target, offset, nbytes, _ = extent
        if target == RAM:
            return copy_checked(address_of(out), self.ram_address + offset, nbytes)
        self.read(target, offset, out)
        return crc32(out)

    def _reader(self, target):
        found = self._readers.get(target)
        if found is None:
            path = self._folder.data_path(target - 1)
            try:
                opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise StoreError(f"the store's data file {path} can't be opened: {error.strerror}") from error
            found = self._readers.setdefault(target, opened)
            if found != opened:             # another thread was quicker
                os.close(opened)
        return found

    def sync(self):
        """What was written to this node's files is durable when it returns."""
        with self._named_errors():
            for target, device in self._devices.items():
                if is_durable(target):
                    start = time.perf_counter_ns()
                    device.sync()
                    self.pace.wrote(target, 0, time.perf_counter_ns() - start)

    @contextmanager
    def _named_errors(self):
        """An error of the operating system becomes a sentence about the store."""
        try:
            yield
        except OSError as error:
            if isinstance(error, WrpError):
                raise
            kind = OutOfSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
            where = "the store in memory" if self._folder is None else f"store {self._folder.path}"
            raise kind(f"{where}: {error.filename} can't be written: {error.strerror}; what this call promised is not kept") from error

    def close(self):
        """Close the reading side and let go of the ram; the runtime closes the devices."""
        self.ram_bytes = None
        for descriptor in self._readers.values():
            os.close(descriptor)
        self._readers.clear()


def _metrics(wanted):
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
