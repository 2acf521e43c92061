"""The one schema of the configuration: every key with type, default, range, description and whether it has an effect. Reads no file."""

from dataclasses import dataclass

_MEBI, _GIBI = 1 << 20, 1 << 30
_LARGEST = 1 << 62
_KINDS = ("", "ram", "pinned", "file", "noop", "gpu", "hbm", "object", "s3", "gcs", "safe")


@dataclass(frozen=True)
class Key:
    """One key. `kind`: int, number, bool, text, size (bytes), entries (a list of mappings), any (whatever YAML says).

    `used` is False for keys of the reference system that are accepted for compatibility, without effect yet.
    `choices` lists the texts allowed, `aliases` (other name, text) more names of them; `environ` names the variable that overrides the file.
    """

    path: str
    kind: str
    default: object
    description: str
    low: float = None
    high: float = None
    choices: tuple = ()
    used: bool = True
    environ: str = ""
    aliases: tuple = ()


def _compatible(path, kind, default, description, *limits, **more):
    return Key(path, kind, default, description, *limits, used=False, **more)


def _of_bdev(entry):
    return (_compatible(entry + "growth_unit", "size", _GIBI, "bytes that a bdev grows by; here its capacity is all there from the start", 0, _LARGEST),
            _compatible(entry + "populate_unit", "size", 64 * _MEBI, "bytes that are made present at once", 0, _LARGEST),
            _compatible(entry + "alloc_log", "any", None, "log of a bdev's space; here the store's journal says whose it is"))


_RUNTIME = (
    Key("runtime.num_threads", "int", 4, "worker threads of a node; each rank runs one jitted and one Python worker", 1, 1024, used=False),
    Key("runtime.queue_depth", "int", 1024, "tasks that can wait in the lane of one worker", 2, 65536),
    Key("runtime.first_busy_wait", "int", 50, "microseconds that a worker or a waiting caller spins before it sleeps", 0, 1_000_000),
    Key("runtime.timeout_s", "number", 300, "seconds after which a wait for a task gives up", 0.001, 1e6, environ="WRP_TIMEOUT_S"),
    Key("runtime.segment_capacity", "size", 0, "most bytes of shared memory for ram devices of one node, 0: half of the free memory; "
        "pages are taken as they are used", 0, _LARGEST),
    Key("runtime.index_slots", "int", 65536, "names of tags and blobs that a node's catalog can hold (at least; it grows with the store opened)",
        64, 1 << 28),
    Key("runtime.local_sched", "text", "default", "scheduler of the tasks that any worker of a node may run, reads and writes of ram "
        "devices: default, local, or cost (by what tasks have taken; large ones in parts)", choices=("default", "local", "cost")),
    Key("runtime.conf_dir", "text", "", "folder in which a daemon notes, in restart/NAME.json, the pools to make again; empty: ~/.chimaera"),
    _compatible("runtime.learning_rate", "number", 0.2, "step of the load model", 0, 1),
    _compatible("runtime.stack_size", "size", 65536, "stack of a task"),
    _compatible("runtime.heartbeat_interval", "int", 1000, "milliseconds between heartbeats", 0),
    _compatible("runtime.lane_map_policy", "text", "round_robin", "which lane a client uses"),
)

_NETWORKING = (
    _compatible("networking.port", "int", 9413, "port of the runtime", 1, 65535, environ="CHI_PORT"),
    Key("networking.neighborhood_size", "int", 32, "most pieces that a range of containers is split into at once; pieces are split again",
        2, 65536),
    Key("networking.net_timeout", "number", 30, "seconds that another node may be silent before tasks for it end with code -1000", 0.05, 1e6),
    Key("networking.busy_wait", "int", 1000, "microseconds that the postman of a node polls after something crossed, before it naps", 0, 1_000_000),
    Key("networking.longest_nap", "int", 20000, "microseconds that it naps at most when nothing has crossed for long; 0: it always polls", 0,
        1_000_000),
    Key("networking.mailbox_depth", "int", 128, "tasks, and replies, under way at once between two nodes", 2, 65536),
    _compatible("networking.hostfile", "text", "", "file with one host per line; MPI's launcher says where ranks run"),
    _compatible("networking.wait_for_restart", "number", 30, "seconds to wait for a node that restarts", 0),
    _compatible("networking.wait_for_restart_poll_period", "number", 1, "seconds between looks at it", 0),
    _compatible("networking.protocol", "text", "tcp", "transport between nodes; wrp uses MPI"),
)

_COMPOSE = (
    Key("compose", "entries", (), "pools made when a runtime starts; keys of the module stand in the entry"),
    Key("compose[].mod_name", "text", None, "module: bdev, admin or one of the entry-point group wrp.modules"),
    Key("compose[].pool_name", "text", None, "name of the pool, unique; of a bdev the file's path or ram::NAME"),
    Key("compose[].pool_id", "text", "", "MAJOR.MINOR, e.g. 301.0; chosen when absent"),
    Key("compose[].pool_query", "text", "dynamic", "nodes that have containers of the pool: local, broadcast and dynamic mean all, "
        "physical:N and direct_id:N one, range:FIRST:COUNT some"),
    Key("compose[].shards", "int", 1, "containers of the pool on each node, each served by one worker", 1, 64),
    Key("compose[].restart", "bool", False, "wrp-runtime restart makes the pool again, whatever its configuration"),
    Key("compose[].bdev_type", "text", "", "kind of a bdev: ram, pinned (locked), file, noop (no bytes), gpu (or hbm), object (or s3, gcs) or safe; ram, file or object from the pool's name when absent",
        choices=_KINDS),
    Key("compose[].members", "any", None, "of a safe bdev: paths of its files, or ram::NAME, the parity last"),
    Key("compose[].max_failures", "int", 1, "of a safe bdev: how many of its members may be lost", 1, 32),
    Key("compose[].capacity", "size", _GIBI, "bytes of a bdev; 0 of ram and pinned: four fifths of the memory, as far as shared memory goes", 0, _LARGEST),
    Key("compose[].io_depth", "int", 32, "reads and writes of a file that are under way at once, at most (threads; of a node at most 128)", 1),
    Key("compose[].alignment", "size", 4096, "with direct_io: what buffers, places and sizes are multiples of, in bytes", 1),
    Key("compose[].direct_io", "bool", False, "read and write a file past the page cache where buffer, place and size are aligned and the file "
        "system can"),
    Key("compose[].perf_metrics.read_bandwidth_mbps", "number", 100, "said of the device, shown by monitor: MB/s when reading", 0),
    Key("compose[].perf_metrics.write_bandwidth_mbps", "number", 80, "the same: MB/s when writing", 0),
    Key("compose[].perf_metrics.read_latency_us", "number", 1000, "the same: microseconds until a read begins", 0),
    Key("compose[].perf_metrics.write_latency_us", "number", 1200, "the same: microseconds until a write begins", 0),
    Key("compose[].perf_metrics.iops", "number", 1000, "the same: operations per second", 0),
    Key("compose[].persistence_level", "text", "volatile", "how long the data lasts; with long_term what was written to a file is on storage after Sync", choices=("volatile", "temporary", "long_term")),
    *_of_bdev("compose[]."),
)

_STORE = (
    Key("storage", "entries", (), "targets of a store on each node"),
    Key("storage[].path", "text", None, "ram::NAME, or of a file its path: an absolute one is where the file's name begins, else it lies in the store's folder"),
    Key("storage[].bdev_type", "text", "", "ram, file, noop (forgets what it is given), gpu (or hbm), object (or s3, gcs) or safe; ram, file or object from the path when absent",
        choices=_KINDS),
    Key("storage[].members", "any", None, "of a safe target: what the names of its members begin with, absolute paths, the parity last"),
    Key("storage[].max_failures", "int", 1, "of a safe target: how many of its members may be lost", 1, 32),
    Key("storage[].capacity_limit", "size", _GIBI, "most bytes of this target on a node, e.g. 512MB, 4g; 0 of ram: four fifths of the memory, as far as shared memory goes", 0, _LARGEST),
    Key("storage[].score", "number", -1.0, "0 to 1: blobs of a lower score go there last; log(write MB/s + 1) / log(1001) when absent", 0, 1),
    Key("storage[].persistence_level", "text", "", "how long the data lasts; of files long_term when absent, of others volatile; a file that is less is "
        "scratch space of the job", choices=("", "volatile", "temporary", "long_term")),
    Key("storage[].perf_metrics.read_bandwidth_mbps", "number", 0, "MB/s when reading; measured when absent", 0),
    Key("storage[].perf_metrics.write_bandwidth_mbps", "number", 0, "MB/s when writing; measured when absent", 0),
    _compatible("storage[].perf_metrics.read_latency_us", "number", 0, "microseconds until a read begins", 0),
    Key("storage[].perf_metrics.write_latency_us", "number", 0, "microseconds until a write has happened; measured when absent", 0),
    _compatible("storage[].perf_metrics.iops", "number", 0, "operations per second", 0),
    Key("storage[].existing_pool_id", "text", "", "MAJOR.MINOR of a pool of compose: the target is the device of that one, and shares its space with whoever else uses it"),
    Key("storage[].existing_pool_module", "text", "", "module of that pool, always bdev", choices=("", "bdev", "chimaera_bdev", "clio_bdev")),
    _compatible("storage[].devices", "any", None, "devices of the target"),
    *_of_bdev("storage[]."),
    Key("dpe.dpe_type", "text", "max_bw", "placement of new data: max_bw, round_robin, random, or cost (bandwidth, latency, free space and score)",
        choices=("max_bw", "round_robin", "random", "cost"), aliases=(("maxbw", "max_bw"), ("roundrobin", "round_robin"))),
    Key("targets.neighborhood", "int", 4, "nodes whose targets a blob may lie on: its home's and, where they have no room for a put, those of the nodes after it", 1, 1024),
    Key("targets.replicas", "int", 1, "nodes that have the bytes of a blob, its home among them, before the put returns; a get does without a home whose bytes are "
        "damaged, or that is silent", 1, 1024),
    Key("targets.replicate_period_ms", "int", 0, "milliseconds after which the other nodes of targets.replicas have what was put; 0: before the put returns",
        0, 86_400_000),
    Key("targets.cache", "size", 0, "bytes of a node's ram in which blobs of other nodes that its ranks have got stay for the next get; 0: none", 0, _LARGEST),
    Key("targets.cache_min_score", "number", 0.5, "score from which on a blob stays there", 0, 1),
    Key("targets.default_target_timeout_ms", "int", 30000, "milliseconds until a file that hasn't answered a look counts as lost: it takes no new bytes before it answers",
        1, 300000),
    Key("targets.poll_period_ms", "int", 5000, "milliseconds between looks whether the files of targets answer, are there, and can be written", 1, 86_400_000),
    Key("performance.fsync_mode", "text", "durable", "durable: a flush syncs files to storage; deferred: the operating system does it later",
        choices=("durable", "deferred")),
    Key("performance.telemetry_entries", "int", 4096, "operations that a node's telemetry keeps, up to the next power of two; 0: none", 0, 1 << 24),
    Key("performance.target_stat_interval_ms", "int", 5000, "milliseconds after which bandwidths that nobody declared become half of what they were, half of what "
        "writes, syncs and reads have reached", 1, 60000),
    Key("performance.stat_targets_period_ms", "int", 50, "milliseconds for which cost takes the free space of the ram to be what it was", 10, 60000),
    Key("performance.eviction", "text", "oldest", "which blobs that files hold too leave the first ram when a put finds no room: oldest (changed longest ago), lru (used "
        "longest ago), score (the lowest)", choices=("oldest", "lru", "score")),
    Key("performance.organizer", "text", "none", "who moves blobs between a node's tiers by itself: none, frecency, lru, hotset; see perf/README.md",
        choices=("none", "frecency", "lru", "hotset")),
    Key("performance.organizer_log", "text", "", "what the names of files begin with in which each node's organizer writes down what it sees and wishes; empty: none"),
    _compatible("performance.organizer_tasks", "int", 1, "tasks that organize at once; here one thread of each node does", 1),
    Key("performance.organizer_period_ms", "int", 5000, "milliseconds between its looks at the blobs", 1, 86_400_000),
    Key("performance.max_concurrent_operations", "int", 64, "most blobs that the organizer moves at one look", 1, 1024),
    Key("performance.score_threshold", "number", 0.7, "score from which on frecency moves a blob up", 0, 1),
    Key("performance.score_difference_threshold", "number", 0.05, "least difference of scores for which frecency moves a blob", 0, 1),
    Key("performance.flush_metadata_period_ms", "int", 0, "milliseconds after which a store writes down by itself what needs no bytes moved: tags, removals, blobs "
        "whose bytes lie in files; 0: never", 0, 86_400_000),
    Key("performance.metadata_log_path", "text", "", "what the name of the folder with the store's journals begins with, an absolute path that every rank sees; empty: "
        "they lie in the store's folder"),
    Key("performance.flush_data_period_ms", "int", 0, "milliseconds after which a store flushes by itself, bytes included; 0: never", 0, 86_400_000),
    Key("performance.flush_data_min_persistence", "int", 1, "such a flush leaves bytes where they are on targets of this persistence: 1 temporary ones, 2 none, 0 all",
        0, 2),
    Key("performance.transaction_log_capacity", "size", 32 * _MEBI, "bytes of a rank's journal above which it is written anew with what counts of it; 0: never",
        0, _LARGEST),
    Key("config_env_var", "text", "", "name of a variable of the environment with the path of another configuration, whose keys count before those of this file"),
)

# sections that the reference's documentation shows and no code of it reads
_SECTIONS = (
    _compatible("memory", "any", None, "sizes of shared segments; wrp has runtime.segment_capacity"),
    _compatible("logging", "any", None, "log level and file"),
    _compatible("workers", "any", None, "numbers of threads by kind"),
    _compatible("devices", "any", None, "folders for data and their capacities; wrp has storage"),
    _compatible("gpu_metadata_cache", "any", None, "names of tags and blobs in the memory of a gpu"),
)

KEYS = {key.path: key for key in _RUNTIME + _NETWORKING + _COMPOSE + _STORE + _SECTIONS}


def describe():
    """List of all `Key`s in the order of the documentation."""
    return list(KEYS.values())


def of_entry(name):
    """{path below the entry: Key} of the entries of list `name`."""
    prefix = name + "[]."
    return {path[len(prefix):]: key for path, key in KEYS.items() if path.startswith(prefix)}


def of_file():
    """{path: Key} of the keys that don't stand in the entries of a list."""
    return {path: key for path, key in KEYS.items() if "[]" not in path}
