"""What a node's store was asked for, and what it holds: a ring of operations, counters of targets, statistics, search by time.

All of it is read without stopping anyone. The ring and the counters lie in shared memory; statistics and search are pure functions.
"""

from wrp.cte.telemetry.counters import Counts
from wrp.cte.telemetry.merging import EVERY, added, begins_of, merged, node_of
from wrp.cte.telemetry.noted import identity
from wrp.cte.telemetry.ring import Entry, Op, Poll, Telemetry, entries_of
from wrp.cte.telemetry.search import Change, changed_between, times_of
from wrp.cte.telemetry.statistics import CacheStatistics, IndexStatistics, Statistics, of_tags, of_targets

__all__ = ["CacheStatistics", "Change", "Counts", "EVERY", "Entry", "IndexStatistics", "Op", "Poll", "Statistics", "Telemetry", "added", "begins_of", "changed_between", "entries_of",
           "identity", "merged", "node_of", "of_tags", "of_targets", "times_of"]
