"""TargetInfo: what a store says of one of its targets."""

from dataclasses import dataclass

from wrp.cte.telemetry.counters import Counts


@dataclass(frozen=True)
class TargetInfo:
    """One target of a node.

    capacity, remaining: bytes; remaining is what no blob takes, whoever put it
    score: blobs of a lower one go there last
    persistence: "volatile", "temporary" or "long_term"
    write_mbps, read_mbps (MB/s), latency_us: as declared, else as measured
    counts: what was written and read there, and how often
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
