"""Which rank reads which blobs of a survey: contiguous runs of whole blobs, balanced by cost, the same on every rank."""

import numpy as np


def shares(items, size):
    """Per rank of `size`, a list of (item number, first blob, stop blob): every blob once, in the items' order.

    A blob goes to the rank into whose equal part of the total cost its middle falls, so big items are cut at blob boundaries and
    small ones are packed together.
    """
    counts = np.array([item.blobs for item in items], dtype=np.int64)
    per_blob = [max(item.cost, item.nbytes, 1) / max(item.blobs, 1) for item in items]
    total = sum(cost * count for cost, count in zip(per_blob, counts))
    result = [[] for _ in range(size)]
    before = 0.0
    for number, (cost, count) in enumerate(zip(per_blob, counts)):
        # the rank of every blob never falls from one blob to the next, so each rank has one run of it
        middles = before + cost * (np.arange(count) + 0.5)
        ranks = np.minimum((middles * (size / total)).astype(np.int64), size - 1) if count else middles
        before += cost * int(count)
        for rank in np.unique(ranks).astype(int):
            first, stop = np.searchsorted(ranks, [rank, rank + 1])
            result[rank].append((number, int(first), int(stop)))
    return result
