"""The pool table of a node, in its segment: name, id, module and lane of every pool, so that all ranks find the same one."""

import re
from dataclasses import dataclass

from wrp.comm import atomics
from wrp.comm.checksum import hash128
from wrp.comm.jit import kernel
from wrp.comm.lock import NBYTES as TOKEN_NBYTES
from wrp.comm.lock import Token
from wrp.errors import ConfigError, UsageError, WrpError
from wrp.runtime.routing.containers import Containers

MOST = 256
PARAMS = 64             # byte offset of a pool's parameters in its entry: 8 words
ENTRY = 128
_COUNT = TOKEN_NBYTES
_ENTRIES = TOKEN_NBYTES + 64
# containers that were moved: a count, then rows: slot << 32 | container, node << 32 | slot there (where it is this node), version
_ROWS = _ENTRIES + MOST * ENTRY
_MOST_ROWS, _ROW = 512, 24
NBYTES = _ROWS + 64 + _MOST_ROWS * _ROW

# byte offsets in an entry
_NAME, _ID, KIND, LANE = 0, 16, 24, 32
_SHARDS, _HOME, _FLAGS = 40, 48, 56     # of a pool's first entry, which those of its other shards follow; home: first node << 32 | nodes
_ROUTES, _READY, _MOVED = 1, 2, 4

ADMIN_KIND, BDEV_KIND, PYTHON_KIND, JITTED_KIND = 1, 2, 3, 4
IDS = {"admin": (1, 0), "bdev": (301, 0), "wrp_cae_core": (400, 0), "wrp_cte_core": (512, 0)}
_FIRST_MAJOR = 1000


@kernel
def pool_entry(table, number):
    """Address of an entry of the table at this address."""
    return table + _ENTRIES + number * ENTRY


@kernel
def pool_find(table, high, low):
    """Number of the pool whose name has this hash, if all its containers of this node are made; else -1."""
    for number in range(atomics.load(table + _COUNT)):
        entry = pool_entry(table, number)
        if atomics.load(entry + _NAME + 8) == low and atomics.load(entry + _NAME) == high:
            return number if atomics.load(entry + _FLAGS) & _READY else -1
    return -1


@kernel
def pool_key(entry):
    """The hash of the name of the pool with this entry."""
    return atomics.load(entry + _NAME), atomics.load(entry + _NAME + 8)


@kernel
def pool_place(entry, container):
    """(node, shard) of a container of the pool with this entry; (-1, 0) of a pool of which one was moved."""
    if atomics.load(entry + _FLAGS) & _MOVED:
        return -1, 0
    shards = atomics.load(entry + _SHARDS)
    return (atomics.load(entry + _HOME) >> 32) + container // shards, container % shards


@kernel
def pool_lane(entry):
    """Number of the lane of the shard with this entry."""
    return atomics.load(entry + LANE)


@dataclass(frozen=True)
class Slot:
    """One pool, or one of its shards: its place in the table, its id (major, minor), the kind of its module and the lane of its
    worker; where all its containers lie, and whether its module says where its tasks go."""

    number: int
    id: tuple
    kind: int
    lane: int
    address: int
    containers: Containers
    routes: bool

    @property
    def params(self):
        """Address of its parameters."""
        return self.address + PARAMS


class PoolTable:
    """The table at an address of zeroed memory. Any process of the node may use it."""

    def __init__(self, address, timeout_s):
        self.address = address
        self._timeout_s = timeout_s
        self._token = Token(address, "the pool table of the node")

    def find(self, name):
        """The Slot of a pool, or None."""
        return self.find_key(hash128(name.encode()))

    def find_key(self, key):
        """The Slot of the pool whose name has this hash, or None."""
        for number in range(atomics.load(self.address + _COUNT)):
            entry = self.entry(number)
            if (atomics.load(entry + _NAME), atomics.load(entry + _NAME + 8)) == key:
                return self.slot(number)
        return None

    def find_id(self, wanted):
        """The Slot of the pool with this id (major, minor), or None."""
        return next((slot for slot in map(self.slot, range(self.count)) if slot.id == wanted and self.key(slot.number) != (0, 0)), None)

    @property
    def count(self):
        """Entries that are in use: pools and their further shards."""
        return atomics.load(self.address + _COUNT)

    def key(self, number):
        """The hash of the name of a pool, by which other nodes name it."""
        entry = self.entry(number)
        return atomics.load(entry + _NAME), atomics.load(entry + _NAME + 8)

    def add(self, name, kind, wanted, lane_of, containers=Containers(0, 1, 1), routes=False):
        """The Slot of the pool `name`, made with the id `wanted` if it isn't there. `lane_of(major, shard)`: a shard's worker's lane.

        Raises UsageError for an id that another pool has, or one that is there with other containers.
        """
        with self._token.held(f"the pool table (to make pool {name!r})", self._timeout_s):
            found = self.find(name)
            if found:
                if found.containers != containers:
                    raise UsageError(f"pool {name!r} is there with {found.containers.shards} shards on {found.containers}, "
                                     f"not with {containers.shards} on {containers}")
                return found
            number = atomics.load(self.address + _COUNT)
            if number + containers.shards > MOST:
                raise WrpError(f"pool {name!r} can't be made: the node has room for {MOST} pools and shards, and {number} of them already")
            chosen = self._id(name, number, wanted)
            for shard in range(containers.shards):
                # only the first entry of a pool has its name
                key = hash128(name.encode()) if shard == 0 else (0, 0)
                entry = self.entry(number + shard)
                for offset, word in ((_NAME, key[0]), (_NAME + 8, key[1]), (_ID, chosen[0] << 32 | chosen[1]),
                                     (KIND, kind), (LANE, lane_of(chosen[0], shard)), (_SHARDS, containers.shards),
                                     (_HOME, containers.first_node << 32 | containers.nodes), (_FLAGS, _ROUTES * routes)):
                    atomics.store(entry + offset, word)
            atomics.store(self.address + _COUNT, number + containers.shards)        # last: who looks takes no token
            return self.slot(number)

    def entry(self, number):
        """Address of an entry."""
        return self.address + _ENTRIES + number * ENTRY

    def slot(self, number):
        """The Slot of an entry; its address is this process's."""
        entry = self.entry(number)
        word, home = atomics.load(entry + _ID), atomics.load(entry + _HOME)
        containers = Containers(home >> 32, home & 0xFFFFFFFF, atomics.load(entry + _SHARDS))
        return Slot(number, (word >> 32, word & 0xFFFFFFFF), atomics.load(entry + KIND), atomics.load(entry + LANE), entry, containers,
                    atomics.load(entry + _FLAGS) & _ROUTES != 0)

    def remove(self, slot):
        """Nobody finds the pool any more; its slots aren't given out again, so that who still has it addresses no other one. One process at a time."""
        for number in self.entries_of(slot):
            entry = self.entry(number)
            for offset in (_FLAGS, _NAME, _NAME + 8, _ID):
                atomics.store(entry + offset, 0)

    def entries_of(self, slot):
        """Numbers of all entries of a pool: its own, those of its further shards, and of containers that came here."""
        return [number for number in range(self.count) if self.slot(number).id == slot.id]

    def add_guest(self, slot, lane):
        """Number of a new entry for a container of the pool that comes to this node, served by the worker of the lane. Raises WrpError without room."""
        with self._token.held("the pool table (for a container that comes)", self._timeout_s):
            number = self.count
            if number == MOST:
                raise WrpError(f"the node has room for {MOST} pools, shards and containers that came, and {number} of them already")
            for offset in range(_ID, PARAMS, 8):
                atomics.store(self.entry(number) + offset, atomics.load(slot.address + offset))
            atomics.store(self.entry(number) + LANE, lane)
            atomics.store(self.entry(number) + _FLAGS, 0)
            atomics.store(self.address + _COUNT, number + 1)
            return number

    def moved(self, number, container):
        """(node, slot there) of a container that was moved, None of one that wasn't; the slot counts where it is this node. Any thread; takes no token."""
        if not atomics.load(self.entry(number) + _FLAGS) & _MOVED:
            return None
        row = self._row(number, container)
        if row is None:
            return None
        place = atomics.load(row + 8)
        return place >> 32, place & 0xFFFFFFFF

    def expect_move(self, number, container, place):
        """The version of the next move of a container that is at `place` on this node; there is room to note it then. Raises WrpError without."""
        self.set_moved(number, container, place, 0)
        return atomics.load(self._row(number, container) + 16) + 1

    def set_moved(self, number, container, place, version):
        """The container is at `place`, (node, slot there), unless a newer move is known; of version 0: it never moved. Raises WrpError without room."""
        with self._token.held("the pool table (for a container that was moved)", self._timeout_s):
            row, count = self._row(number, container), atomics.load(self.address + _ROWS)
            if row is not None and atomics.load(row + 16) >= version:
                return
            new = row is None
            if new:
                if count == _MOST_ROWS:
                    raise WrpError(f"{count} containers were moved: a node has no room to know of more")
                row = self.address + _ROWS + 64 + count * _ROW
            for offset, word in ((0, number << 32 | container), (16, version), (8, place[0] << 32 | place[1])):
                atomics.store(row + offset, word)
            atomics.store(self.address + _ROWS, count + new)            # last: who looks takes no token
            if version:
                flags = self.entry(number) + _FLAGS
                atomics.store(flags, atomics.load(flags) | _MOVED)

    def _row(self, number, container):
        """Address of what is known of a container's moves, or None."""
        wanted, first = number << 32 | container, self.address + _ROWS + 64
        return next((row for row in range(first, first + atomics.load(self.address + _ROWS) * _ROW, _ROW) if atomics.load(row) == wanted), None)

    def set_ready(self, number):
        """All containers of this node are made: tasks from other nodes may come."""
        atomics.store(self.entry(number) + _FLAGS, atomics.load(self.entry(number) + _FLAGS) | _READY)

    def is_ready(self, number):
        """True once they are."""
        return atomics.load(self.entry(number) + _FLAGS) & _READY != 0

    def _id(self, name, number, wanted):
        taken = {self.slot(other).id for other in range(number)}
        if wanted is None:
            return _FIRST_MAJOR + number, 0
        if wanted in taken:
            raise UsageError(f"pool {name!r} can't have the id {wanted[0]}.{wanted[1]}: another pool of the node has it")
        return wanted

    def is_taken(self, wanted):
        """True when a pool has this id."""
        return any(self.slot(number).id == wanted for number in range(self.count))


def check_name(name):
    """UsageError for what is no name of a pool: a text that isn't empty, without control characters, which would break lines."""
    if not isinstance(name, str) or not name or re.search("[\\x00-\\x1f\\x7f]", name):
        raise UsageError(f"{name!r} can't name a pool: give a text without line breaks and other control characters")


def parse_id(text):
    """(major, minor) of "MAJOR.MINOR"; None of "". Raises ConfigError; 0.0 is no id."""
    if not text:
        return None
    parts = str(text).split(".")
    if len(parts) != 2 or not all(part.isdigit() and int(part) < 1 << 31 for part in parts) or not any(map(int, parts)):
        raise ConfigError(f"pool id {text!r} isn't MAJOR.MINOR with two numbers that aren't both 0, e.g. 301.0")
    return int(parts[0]), int(parts[1])
