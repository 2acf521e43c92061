"""The contract of eviction policies, and the rule that all of them keep: how much leaves at a time.

A policy is an object with a `name` and one method ``order(blobs) -> [blob]``: those that may leave, the first to go first. It is pure, and its only clock are the
times of the blobs, so a log of what it was asked is a test. What may leave (files hold it too, nobody views it) is decided before, whether it has left afterwards, by the caller.
"""

from typing import NamedTuple

_LEAST = 16                     # at least this fraction of the ram at a time, so that a look at all blobs is worth its price


class Blob(NamedTuple):
    """A blob as a policy sees it, which may be a Record of the same names. stamp, read: when it was changed and read last, 0: never; reads: how often."""

    name: str
    size: int
    stamp: int
    read: int = 0
    reads: int = 0
    score: float = 1.0


def leave(policy, blobs, nbytes, capacity, go):
    """Let blobs leave a ram of this capacity that lacks `nbytes`, in the policy's order, until that, or a sixteenth of the ram, is free: how much is.

    go : has a blob leave, and says how many bytes are free of it; 0: it stayed
    """
    wanted, freed = max(nbytes, capacity // _LEAST), 0
    for blob in policy.order(blobs):
        if freed >= wanted:
            break
        freed += go(blob)
    return freed
