"""Statistics of tags, targets and the index: pure functions over records of the catalog and counters."""

from dataclasses import dataclass, field
from typing import NamedTuple

from wrp.cte.records import BLOB
from wrp.cte.telemetry.counters import Counts


@dataclass
class TagStatistics:
    """blobs: number; nbytes: of them; dirty, dirty_nbytes: blobs and bytes that aren't in the journal yet; by_target: {target: bytes}; first, last: ns of the
    oldest and newest last change, 0 without blobs; reads: gets of all blobs that are there.
    """

    blobs: int = 0
    nbytes: int = 0
    dirty: int = 0
    dirty_nbytes: int = 0
    reads: int = 0
    first: int = 0
    last: int = 0
    by_target: dict = field(default_factory=dict)


@dataclass
class TargetStatistics:
    """blobs: number with bytes there; nbytes: of them there, copies included; counts: what was read and written."""

    blobs: int = 0
    nbytes: int = 0
    counts: Counts = Counts()


class IndexStatistics(NamedTuple):
    """names: tags and blobs that the node's catalog has; most: that it can have; nbytes: memory of their table, which is there from the beginning,
    and of the records that there have ever been at once."""

    names: int
    most: int
    nbytes: int


class CacheStatistics(NamedTuple):
    """Of a node's cache of other nodes' blobs. hits, misses: gets that took bytes from it, and that had to fetch them, with hit_nbytes, missed_nbytes; blobs, nbytes:
    what is in it now."""

    hits: int = 0
    hit_nbytes: int = 0
    misses: int = 0
    missed_nbytes: int = 0
    blobs: int = 0
    nbytes: int = 0


class Statistics(NamedTuple):
    """tags: {tag: TagStatistics}; targets: {target: TargetStatistics}; index: IndexStatistics; cache: CacheStatistics, zeros where there is none.

    lacking: changes by this rank after which a blob had fewer copies than targets.replicas says, because a keeper had no room
    owed: blobs that this rank has changed and whose keepers don't have them yet (targets.replicate_period_ms)
    """

    tags: dict
    targets: dict
    index: IndexStatistics
    lacking: int = 0
    cache: CacheStatistics = CacheStatistics()
    owed: int = 0


def of_tags(records):
    """{tag: TagStatistics} of the records, tags without blobs included."""
    found = {}
    for record in records:
        tag = found.setdefault(record.tag, TagStatistics())
        if record.kind != BLOB:
            continue
        size = record.raw or record.size
        tag.blobs, tag.nbytes, tag.reads = tag.blobs + 1, tag.nbytes + size, tag.reads + record.reads
        tag.dirty += record.dirty
        tag.dirty_nbytes += size if record.dirty else 0
        tag.first = min(tag.first or record.stamp, record.stamp)
        tag.last = max(tag.last, record.stamp)
        for target, nbytes in bytes_by_target(record).items():
            tag.by_target[target] = tag.by_target.get(target, 0) + nbytes
    return found


def of_targets(records, counts=()):
    """{target: TargetStatistics} of the records; `counts`: {target: Counts}."""
    found = {target: TargetStatistics(counts=each) for target, each in dict(counts).items()}
    for record in records:
        for target, nbytes in bytes_by_target(record).items():
            statistics = found.setdefault(target, TargetStatistics())
            statistics.blobs, statistics.nbytes = statistics.blobs + 1, statistics.nbytes + nbytes
    return found


def bytes_by_target(record):
    """{target: bytes that the record takes there}: of its bytes and of what the journal names."""
    found = {}
    for target, _, nbytes, _ in set(record.extents) | set(record.durable):
        found[target] = found.get(target, 0) + nbytes
    return found
