"""How large the tiers and the catalog of a store are, from the configuration and what the machine has free."""

import os
import shutil
from dataclasses import dataclass

from wrp.errors import ConfigError

_RAM_SHARE = 4                  # by default a quarter of the memory that is free, at most half of free shared memory
_LEAST_SLOTS = 1 << 16
_KEPT_FREE = 16 << 20           # of a disk


@dataclass(frozen=True)
class Sizes:
    """ram, file: bytes of the node's tiers; slots: names the catalog can hold."""

    ram: int
    file: int
    slots: int


def sizes_of(config, folder, known):
    """Sizes for this node. `known`: names that the folder already holds. Raises ConfigError."""
    ram, file = None, None
    for number, entry in enumerate(config.get("storage")):
        if entry["bdev_type"] == "ram":
            ram = (ram or 0) + entry["capacity_limit"]
        elif entry["bdev_type"] == "file":
            file = (file or 0) + entry["capacity_limit"]
        else:
            raise ConfigError(f"storage[{number}]: bdev_type {entry['bdev_type']!r} can't hold a store: use ram or file")
    ram = _default_ram() if ram is None else ram
    if folder is not None and file is None:
        file = _default_file(folder)
    return Sizes(ram // 4096 * 4096, (file or 0) // 4096 * 4096, _slots(config, known))


def _slots(config, known):
    wanted = max(config.get("runtime.index_slots"), _LEAST_SLOTS, 4 * known)
    return 1 << (wanted - 1).bit_length()


def _default_ram():
    with open("/proc/meminfo", encoding="ascii") as file:
        free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    shared = os.statvfs("/dev/shm")
    return min(free // _RAM_SHARE, shared.f_bavail * shared.f_frsize // 2)


def _default_file(folder):
    """What the disk has free, and what the store already takes there."""
    used = sum(os.path.getsize(os.path.join(root, name)) for root, _, files in os.walk(folder) for name in files)
    return max(0, shutil.disk_usage(folder).free - _KEPT_FREE) + used
