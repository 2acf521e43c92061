"""Composing: the pools that a configuration asks for, and what of that no runtime can do. Makes none."""

from wrp.errors import ConfigError, UsageError
from wrp.runtime import modules, pools
from wrp.runtime.config.keys import of_entry
from wrp.runtime.devices import of_pool
from wrp.runtime.routing import home

_SERVED_BY_THE_LIBRARY = ("wrp_cte_core", "clio_cte_core", "wrp_cae_core", "clio_cae_core")
STORES = ("wrp_cte_core", "clio_cte_core")      # what a daemon makes besides: its store, which in a job is the job's own
# modules of the reference before its store, and what does here what they do
_OF_THE_CHAIN = {"replication": "the store's key targets.replicas has blobs on several nodes", "compressor": "Context and Store.set_compression compress",
                 "cache": "the store's key targets.cache keeps blobs of other nodes", "indexer": "semantic_search needs no index",
                 "filesystem": "wrp.cee.doors shows a store as files, capio serves POSIX programs", "summarizer": "wrp_cee label makes labels",
                 "checkpoint": "Store.checkpoint makes tags whose blobs are copied late"}
STORE_SECTIONS = ("storage", "dpe", "targets", "performance", "gpu_metadata_cache")
_PLACE_KEYS = ("pool_id", "pool_query", "shards")
_BDEV_KEYS = ("bdev_type", "capacity", "io_depth", "alignment", "direct_io", "persistence_level", "members", "max_failures")


def composed(config):
    """(name, module, params) of the pools that a configuration asks for."""
    for entry in config.get("compose"):
        if entry["mod_name"] not in _SERVED_BY_THE_LIBRARY:
            yield entry["pool_name"], entry["mod_name"], _params(entry)


def served(config):
    """The same of the store of a daemon. Raises ConfigError for a second one."""
    entries = [entry for entry in config.get("compose") if entry["mod_name"] in STORES]
    found = [entry for number, entry in enumerate(entries) if entry not in entries[:number]]
    if len(found) > 1:
        names = " and ".join(repr(entry["pool_name"]) for entry in found[:2])
        raise ConfigError(f"{config.path}: pools {names} are both of module {found[0]['mod_name']}: a daemon has one store; remove one of the two")
    for entry in found:
        yield entry["pool_name"], entry["mod_name"], {**{key: entry[key] for key in ("pool_id", "pool_query", "folder") if key in entry}, "keys": config.chosen(STORE_SECTIONS)}


def restarted(config):
    """Names of the pools of a configuration that a restarted daemon makes again."""
    return {entry["pool_name"] for entry in config.get("compose") if entry["restart"]}


def check(config):
    """Raise ConfigError, with file and line, for a pool that can't be made whatever the job is like."""
    seen = {}
    for number, entry in enumerate(config.get("compose")):
        for key, look in _LOOKS.items():
            try:
                look(entry)
            except (ConfigError, UsageError) as error:
                raise ConfigError(f"{_line(config, number, key)}: {error}") from error
        before = seen.setdefault(entry["pool_name"], number)
        if entry != config.get("compose")[before]:
            raise ConfigError(f"{_line(config, number, 'pool_name')}: pool {entry['pool_name']!r} stands here and in {_line(config, before, 'pool_name')}, and "
                              "not the same way: remove one of the two")
    list(served(config))


def _params(entry):
    own = [*_BDEV_KEYS, *(key for key in entry if key.startswith("perf_metrics."))] if _is_bdev(entry) else [key for key in entry if key not in of_entry("compose")]
    return {key: entry[key] for key in (*_PLACE_KEYS, *own)}


def _is_bdev(entry):
    return modules.kind_of(entry["mod_name"]) == pools.BDEV_KIND


def _look_at_module(entry):
    _, _, name = entry["mod_name"].rpartition("_")
    if name in _OF_THE_CHAIN and entry["mod_name"].startswith(("clio_cte_", "wrp_cte_", "clio_cae_", "wrp_cae_")):
        raise ConfigError(f"module {entry['mod_name']!r} isn't needed: there is no chain of pools before the store; {_OF_THE_CHAIN[name]}. Remove the entry")
    if entry["mod_name"] not in _SERVED_BY_THE_LIBRARY:
        modules.kind_of(entry["mod_name"])


def _look_at_device(entry):
    if entry["mod_name"] not in _SERVED_BY_THE_LIBRARY and _is_bdev(entry):
        params = {key: value for key, value in _params(entry).items() if key not in _PLACE_KEYS}
        of_pool(entry["pool_name"], **params).check(entry["pool_name"])


_LOOKS = {"mod_name": _look_at_module, "pool_name": lambda entry: pools.check_name(entry["pool_name"]),
          "pool_id": lambda entry: pools.parse_id(entry["pool_id"]), "pool_query": lambda entry: home(entry["pool_query"], 1), "bdev_type": _look_at_device}


def _line(config, number, key):
    """FILE:LINE of the key of an entry, of the entry where it doesn't stand there."""
    try:
        return config.origin(f"compose[{number}].{key}")
    except ConfigError:
        return config.origin(f"compose[{number}]")
