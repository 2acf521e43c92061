"""Which targets a store has, and how large its catalog is, from the configuration and what the machine has free."""

import logging
import os
import shutil
import uuid
from dataclasses import dataclass

from wrp.comm.sizes import format_size
from wrp.cte.targets.speed import with_speed
from wrp.cte.targets.wanted import wanted_of
from wrp.runtime.devices import share_of_memory

_log = logging.getLogger("wrp.cte")
_RAM_SHARE = 4                  # by default a quarter of the memory that is free, at most half of free shared memory where it lies there
_LEAST_SLOTS = 1 << 16
_KEPT_FREE = 16 << 20           # of a disk


@dataclass(frozen=True)
class Sizes:
    """targets: a targets.Wanted for each of a node, the first ram first; slots: names the catalog can hold;
    token: what the names of the job's scratch files have in them."""

    targets: tuple
    slots: int
    token: str

    @property
    def ram(self):
        """Bytes of the first ram."""
        return self.targets[0].capacity


def sizes_of(config, folder, known, shares):
    """Sizes for a node. `folder`: None when nothing is to be written there; `known`: names that it already holds; `shares`: processes share memory. Raises ConfigError."""
    wanted = wanted_of(config, folder is not None, lambda: _default_ram(shares), lambda: _default_file(folder), lambda: _largest_ram(shares))
    return Sizes(tuple(with_speed(each, folder) for each in wanted), _slots(config, known), uuid.uuid4().hex[:12])


def _slots(config, known):
    wanted = max(config.get("runtime.index_slots"), _LEAST_SLOTS, 4 * known)
    return 1 << (wanted - 1).bit_length()


def _default_ram(shares):
    with open("/proc/meminfo", encoding="ascii") as file:
        free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    if not shares:
        return free // _RAM_SHARE
    shared = os.statvfs("/dev/shm")
    return min(free // _RAM_SHARE, shared.f_bavail * shared.f_frsize // 2)


def _largest_ram(shares):
    shared = os.statvfs("/dev/shm")
    found = share_of_memory(shared.f_bavail * shared.f_frsize * 9 // 10 if shares else None)
    _log.info("a target of ram has a capacity_limit of 0: it gets %s", format_size(found))
    return found


def _default_file(folder):
    """What the disk has free, and what the store already takes there."""
    used = sum(os.path.getsize(os.path.join(root, name)) for root, _, files in os.walk(folder) for name in files)
    return max(0, shutil.disk_usage(folder).free - _KEPT_FREE) + used
