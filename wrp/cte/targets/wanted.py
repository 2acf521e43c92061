"""The targets that a configuration asks for, before there is a device. Sizes that it doesn't give come from the machine."""

import os
from numbers import Integral, Real
from typing import NamedTuple

from wrp.comm.sizes import parse_size
from wrp.cte.given import score_of
from wrp.cte.names import checked
from wrp.cte.placement.contract import LONG_TERM, VOLATILE
from wrp.cte.targets.placing import Wish
from wrp.cte.targets.speed import most_mbps
from wrp.errors import ConfigError, UsageError
from wrp.runtime.devices import address, paths_of
from wrp.runtime.pools import parse_id

LEVELS = ("volatile", "temporary", "long_term")
ONLY = "only "                  # before a level: targets of just this one
KINDS = ("ram", "pinned", "file", "noop", "gpu")      # of targets that can be added to an open store
LASTING = ("file", "object", "safe")      # kinds that can outlast the job


def wish_of(score, persistence):
    """The Wish of a put: of a level at least, or of "only LEVEL". UsageError for another text."""
    level = persistence.removeprefix(ONLY) if isinstance(persistence, str) else None
    if level not in LEVELS:
        raise UsageError(f"min_persistence {persistence!r} is none of {', '.join(LEVELS)}, or of these after {ONLY!r}")
    number = LEVELS.index(level)
    return Wish(score, exact=number) if persistence.startswith(ONLY) else Wish(score, number)


class Wanted(NamedTuple):
    """One target of every node. place: the absolute path that a file's name begins with, the address of a safe device, the URL of a bucket's; None: the store's folder.

    capacity: bytes; score: -1 for automatic; bandwidths in MB/s and latency in us: 0 for measured; measured: which of the bandwidths nobody has declared;
    pool: (major, minor) of the pool whose device it is, None: it has one of its own, of that capacity
    """

    name: str
    kind: str
    capacity: int
    place: str = None
    score: float = -1.0
    persistence: int = VOLATILE
    write_mbps: float = 0.0
    read_mbps: float = 0.0
    latency_us: float = 0.0
    measured: tuple = ()
    pool: tuple = None

    def adjusted(self, write_mbps, read_mbps):
        """With bandwidths that were measured half as they were, half as these are found (0: not)."""
        most = most_mbps(self.kind)
        found = {"write_mbps": min(write_mbps, most), "read_mbps": min(read_mbps, most)}
        return self._replace(**{key: (getattr(self, key) + found[key]) / 2 for key in self.measured if found[key]})

    @property
    def is_durable(self):
        return self.kind in LASTING and self.persistence == LONG_TERM


def places_of(config):
    """Where the data files of a store are to lie, one place for each target in files that lasts; None: in the store's folder."""
    return tuple(wanted.place for wanted in map(_of_entry, *_entries(config)) if wanted.is_durable) or (None,)


def _entries(config):
    entries = config.get("storage")
    return range(len(entries)), entries


def wanted_of(config, in_folder, default_ram, default_file, largest_ram):
    """The Wanted of each node, the first ram first. Raises ConfigError.

    in_folder : False when nothing is to be written to files that last
    default_ram, default_file : functions that say how many bytes such a target has where none is configured; largest_ram : the same for a capacity of 0
    """
    found = [wanted for wanted in map(_of_entry, *_entries(config)) if in_folder or not wanted.is_durable]
    found = [wanted if wanted.capacity else wanted._replace(capacity=largest_ram()) for wanted in found]
    rams = [wanted for wanted in found if wanted.kind == "ram" and wanted.pool is None]
    rams = rams or [Wanted("ram", "ram", default_ram())]
    others = [wanted for wanted in found if wanted.kind != "ram" or wanted.pool is not None]
    if in_folder and not any(wanted.is_durable for wanted in others):
        others.append(Wanted("data", "file", default_file(), persistence=LONG_TERM))
    return tuple(wanted._replace(capacity=wanted.capacity // 4096 * 4096) for wanted in (*rams, *others))


def wanted_later(name, kind, capacity, score=-1.0, persistence=None):
    """The Wanted of a target that is added to an open store. UsageError for what can only be there from the beginning, or nowhere."""
    what = f"target {checked('target', name)!r}"
    if kind in LASTING and kind not in KINDS:
        raise UsageError(f"{what} is of kind {kind}, which an open store doesn't take: put it under `storage` in the configuration, and open the store again")
    if kind not in KINDS:
        raise UsageError(f"{what} is of kind {kind!r}, which is none of {', '.join(KINDS)}")
    level = LEVELS.index(persistence) if persistence in LEVELS else VOLATILE + (kind == "file")
    if persistence not in (None, *LEVELS):
        raise UsageError(f"{what}: persistence {persistence!r} is none of {', '.join(LEVELS)}")
    if level == LONG_TERM and kind != "file":
        raise UsageError(f"{what} can't be long_term: what {kind} holds is gone after the job; only files last")
    if kind == "file" and not os.path.isabs(name):
        raise UsageError(f"{what} has no place: give a file an absolute path, others a name")
    capacity = parse_size(capacity) if isinstance(capacity, str) else capacity
    if not isinstance(capacity, Integral) or capacity < 4096:
        raise UsageError(f"{what} of {capacity!r} bytes: give it at least 4096, as a whole number or as text like '64m'")
    score = score if isinstance(score, Real) and score == -1 else score_of(score, what)
    return Wanted(name, kind, int(capacity) // 4096 * 4096, name if kind == "file" else None, score, level)


def _place_of(where, entry, level):
    kind, path, members = entry["bdev_type"], entry["path"], entry["members"]
    if kind != "safe" and members:
        raise ConfigError(f"{where}: {kind} has no members: those are for bdev_type safe")
    if kind == "object":
        if level != LONG_TERM or path.startswith("memory://"):
            raise ConfigError(f"{where}: {path} is no place for a store: objects are long_term, and outlast their process")
        return path.rstrip("/")
    if kind != "safe":
        return path if kind == "file" and os.path.isabs(path) else None
    try:
        found = address(paths_of(members, path), entry["max_failures"])
    except UsageError as error:
        raise ConfigError(f"{where}: {error}") from error
    if level != LONG_TERM or not all(map(os.path.isabs, paths_of(members, path))):
        raise ConfigError(f"{where}: a safe target is long_term, and its members are files with absolute paths")
    return found


def _pool_of(where, entry):
    """The id of the pool that it is bound to, or None."""
    if entry["existing_pool_module"] and not entry["existing_pool_id"]:
        raise ConfigError(f"{where}: existing_pool_module without existing_pool_id: say which pool it is")
    try:
        return parse_id(entry["existing_pool_id"])
    except ConfigError as error:
        raise ConfigError(f"{where}: existing_pool_id: {error}") from error


def _of_entry(number, entry):
    kind, path, pool = entry["bdev_type"], entry["path"], _pool_of(f"storage[{number}]", entry)
    usual = "volatile" if kind not in LASTING else "long_term" if pool is None else "temporary"
    level = LEVELS.index(entry["persistence_level"] or usual)
    if pool is not None and (level == LONG_TERM or kind not in KINDS):
        raise ConfigError(f"storage[{number}]: the device of an existing pool is never long_term, nor safe or object, as a target: a later job finds only the store's own files again")
    if level == LONG_TERM and kind not in LASTING:
        raise ConfigError(f"storage[{number}]: {kind} is never long_term: what it holds is gone after the job")
    if entry["capacity_limit"] < 4096 and (entry["capacity_limit"] or kind not in ("ram", "pinned")):
        raise ConfigError(f"storage[{number}]: capacity_limit is {entry['capacity_limit']}: it must be at least 4096; 0, four fifths of the memory, is for ram")
    place = _place_of(f"storage[{number}]", entry, level)
    if kind == "file" and level != LONG_TERM and place is None:
        raise ConfigError(f"storage[{number}]: a file that is {LEVELS[level]} is no part of the store's folder: give it an absolute path, not {path!r}")
    speed = {key: entry[f"perf_metrics.{name}"] for key, name in (("write_mbps", "write_bandwidth_mbps"), ("read_mbps", "read_bandwidth_mbps"),
                                                                  ("latency_us", "write_latency_us"))}
    return Wanted(path, kind, entry["capacity_limit"], place, entry["score"], level, pool=pool, **speed)
