"""Spec: what was asked of a device when it was made, and how it stands in the node's segment. Makes nothing."""

from dataclasses import dataclass, field

from wrp.comm import atomics
from wrp.comm.sizes import parse_size
from wrp.errors import UsageError
from wrp.runtime import bdev
from wrp.runtime.config.kinds import is_url, kind_of
from wrp.runtime.devices.safe.layout import address, parsed

NUMBERS = {"ram": bdev.RAM, "pinned": bdev.RAM, "file": bdev.FILE, "gpu": bdev.GPU, "noop": bdev.NOOP, "object": bdev.OBJECT, "safe": bdev.SAFE}
KINDS = {number: kind for kind, number in NUMBERS.items() if kind != "pinned"}
LEVELS = ("volatile", "temporary", "long_term")     # of persistence, by their numbers
METRICS = {"read_bandwidth_mbps": (bdev.READ_MBPS, 100), "write_bandwidth_mbps": (bdev.WRITE_MBPS, 80),
           "read_latency_us": (bdev.READ_US, 1000), "write_latency_us": (bdev.WRITE_US, 1200), "iops": (bdev.IOPS, 1000)}
_DIRECT_LEAST = 512             # no storage has smaller blocks


@dataclass(frozen=True)
class Spec:
    """kind; capacity in bytes; path: of the file, the address of what is safe (`safe.layout.address`), the URL of a bucket's, or None; depth: requests under way; direct: past the page cache where that can be;
    alignment: of buffers, places and sizes there; persistence: one of LEVELS; metrics: what is said of its speed."""

    kind: str
    capacity: int
    path: str = None
    read_only: bool = False
    depth: int = 32
    direct: bool = False
    alignment: int = 4096
    persistence: str = "long_term"
    metrics: dict = field(default_factory=dict)

    def check(self, name):
        """UsageError for what no device can be."""
        if self.kind not in NUMBERS:
            raise UsageError(f"device {name!r} is of kind {self.kind!r}: it must be one of {', '.join(NUMBERS)}")
        if self.kind == "file" and not self.path:
            raise UsageError(f"device {name!r} is a file and has no path")
        if self.kind == "object" and not is_url(self.path):
            raise UsageError(f"device {name!r} is a bucket's and has no URL: {self.path!r}")
        if self.kind == "safe":
            parsed(self.path or "")
        if self.alignment < 1 or self.alignment & (self.alignment - 1):
            raise UsageError(f"device {name!r} has an alignment of {self.alignment} bytes: it must be a power of two")
        if self.persistence not in LEVELS:
            raise UsageError(f"device {name!r} has the persistence {self.persistence!r}: it must be one of {', '.join(LEVELS)}")

    def note(self, address):
        """Write it to the words at an address, see `bdev.FACTS_NBYTES`."""
        align = max(self.alignment, _DIRECT_LEAST) if self.direct and self.kind == "file" else 0
        for word, value in ((bdev.IO_DEPTH, self.depth), (bdev.DIRECT_ALIGN, align), (bdev.PERSISTENCE, LEVELS.index(self.persistence))):
            atomics.store(address + word, value)
        atomics.store(address + bdev.PINNED, self.kind == "pinned")
        atomics.store(address + bdev.LIFESPAN, -1)
        for name, (word, default) in METRICS.items():
            atomics.store(address + word, int(self.metrics.get(name, default)))


def noted(address):
    """{name: value} of the words at an address: io_depth, direct alignment, persistence, whether it is pinned, how many days it is expected to live on (-1: nobody has said), and what is said of its speed."""
    found = {"io_depth": atomics.load(address + bdev.IO_DEPTH), "direct_alignment": atomics.load(address + bdev.DIRECT_ALIGN),
             "pinned": bool(atomics.load(address + bdev.PINNED)), "persistence_level": LEVELS[atomics.load(address + bdev.PERSISTENCE)],
             "lifespan_days": atomics.load(address + bdev.LIFESPAN)}
    return {**found, "perf_metrics": {name: atomics.load(address + word) for name, (word, _) in METRICS.items()}}


def paths_of(members, name):
    """The paths of `members` of a configuration: texts, or mappings with a pool_name. UsageError for others."""
    found = [member.get("pool_name") if isinstance(member, dict) else member for member in members if members] if isinstance(members, (list, tuple)) else [None]
    if not all(isinstance(path, str) and path for path in found):
        raise UsageError(f"{name!r} is safe and has the members {members!r}: give it a list of paths of files, or ram::NAME, the parity last")
    return found


def of_pool(name, bdev_type="", capacity=1 << 30, path=None, **more):
    """The Spec of a bdev pool's parameters; kind and path follow from its name. Raises UsageError for an unknown one."""
    kind = kind_of(bdev_type, path or name)
    metrics = {key.removeprefix("perf_metrics."): more.pop(key) for key in list(more) if key.startswith("perf_metrics.")}
    given = {"depth": more.pop("io_depth", 32), "direct": more.pop("direct_io", False), "alignment": parse_size(more.pop("alignment", 4096)),
             "persistence": more.pop("persistence_level", "volatile")}
    members, failures = more.pop("members", None), more.pop("max_failures", 1)
    if kind == "safe":
        path = path or address(paths_of(members, name), failures)
    elif members:
        raise UsageError(f"pool {name!r} is of kind {kind} and has no members: those are for bdev_type safe")
    if more or set(metrics) - set(METRICS):
        raise UsageError(f"pool {name!r} of module bdev takes no {', '.join([*more, *(set(metrics) - set(METRICS))])}: see docs/configuration.md")
    return Spec(kind, parse_size(capacity), path or (name if kind in ("file", "object") else None), metrics=metrics, **given)
