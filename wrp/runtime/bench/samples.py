"""Samples: durations in ns as distinct values and how often each was seen, so that those of many ranks merge small and exact."""

import numpy as np

_SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


class Samples:
    """`values`: int64, ascending and distinct; `counts`: int64, as many."""

    def __init__(self, values=(), counts=()):
        self.values, self.counts = np.asarray(values, np.int64), np.asarray(counts, np.int64)

    @classmethod
    def of(cls, durations_ns):
        """Of an array of durations, in any order."""
        return cls(*np.unique(np.asarray(durations_ns, np.int64), return_counts=True))

    @classmethod
    def merged(cls, parts):
        """All samples of several Samples."""
        parts = [part for part in parts if len(part.values)]
        if not parts:
            return cls()
        values, where = np.unique(np.concatenate([part.values for part in parts]), return_inverse=True)
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, where.ravel(), np.concatenate([part.counts for part in parts]))
        return cls(values, counts)

    def __len__(self):
        return int(self.counts.sum())

    @property
    def total_ns(self):
        return int((self.values * self.counts).sum())

    def percentile(self, share):
        """The value at `share` (0 to 1) of the sorted samples, linear between neighbours as numpy.percentile; None of none."""
        if not len(self.values):
            return None
        place = share * (len(self) - 1)
        first, ends = int(place), np.cumsum(self.counts)
        low, high = (self.values[np.searchsorted(ends, min(number, len(self) - 1), "right")] for number in (first, first + 1))
        return float(low + (high - low) * (place - first))

    def summary(self):
        """{"p50": ns, "p99": ns, "p99.9": ns, "max": ns}."""
        return {name: self.percentile(share) for name, share in _SHARES.items()}
