"""TargetInfo: what a store says of one of its targets, and whether it could do without it."""

from dataclasses import dataclass

from wrp.cte.given import text
from wrp.cte.targetnumbers import RAM, is_durable
from wrp.cte.telemetry.counters import Counts
from wrp.errors import UsageError


@dataclass(frozen=True)
class TargetInfo:
    """One target of a node.

    capacity, remaining: bytes; remaining is what no blob takes, whoever put it
    score: blobs of a lower one go there last
    persistence: "volatile", "temporary" or "long_term"
    write_mbps, read_mbps (MB/s), latency_us: as declared, else as measured, and as this rank has found it since
    counts: what was written and read there, and how often
    trouble: why it takes no new bytes of this rank for now; "" when it does
    failed: of a safe target the files of members that are out, see Store.recover
    """

    number: int
    name: str
    kind: str
    path: str
    score: float
    capacity: int
    remaining: int
    persistence: str
    write_mbps: float
    read_mbps: float
    latency_us: float
    counts: Counts = Counts()
    trouble: str = ""
    failed: tuple = ()


@dataclass(frozen=True)
class Lasting:
    """What holds bytes of a store for good.

    name: the path of a file, below the store's folder where it lies there, else the path
    kind: "file", "safe" or "object"; path: of the file, the address of a safe device, the URL of a bucket's
    state: of a safe one: `members`, those that `failed` (are out), `parity_level` (how many more may be lost), see docs/configuration.md
    """

    name: str
    kind: str
    path: str
    state: dict


def removable(targets, name):
    """Number of the target of this name among the TargetInfo, if an open store can do without it; else UsageError."""
    found = next((target for target in targets if target.name == text(name, "the name of a target")), None)
    if found is None:
        raise UsageError(f"there is no target {name!r} in the store: it has {', '.join(target.name for target in targets)}")
    if found.number == RAM:
        raise UsageError(f"target {name!r} is the first ram of the store, which has to have one: it can't be removed")
    if is_durable(found.number):
        raise UsageError(f"target {name!r} holds what outlasts the job: take it out of `storage` in the configuration, and open the store again; what lies "
                         "there stays readable, and nothing new comes there")
    return found.number
