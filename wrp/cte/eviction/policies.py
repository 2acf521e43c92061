"""The eviction policies by name, each the key by which it sorts. Ties go by name, so that an order depends on the blobs alone."""

import difflib

from wrp.errors import UsageError


class _Sorted:

    def order(self, blobs):
        """See `contract`."""
        return sorted(blobs, key=self.key)


class Oldest(_Sorted):
    """What was changed longest ago, however often it is read."""

    name = "oldest"

    @staticmethod
    def key(blob):
        return blob.stamp, blob.name


class Lru(_Sorted):
    """What was used longest ago, read or changed."""

    name = "lru"

    @staticmethod
    def key(blob):
        return max(blob.read, blob.stamp), blob.name


class Score(_Sorted):
    """The lowest scores, of one score what was used longest ago. `Store.evict` goes by it."""

    name = "score"

    @staticmethod
    def key(blob):
        return blob.score, max(blob.read, blob.stamp), blob.name


_ALL = {policy.name: policy for policy in (Oldest, Lru, Score)}
NAMES = tuple(_ALL)


def make(name):
    """A policy of this name. UsageError naming the nearest known name."""
    if name not in _ALL:
        near = difflib.get_close_matches(str(name), NAMES, 1, 0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"there is no eviction policy {name!r}: {hint}known are {', '.join(NAMES)}")
    return _ALL[name]()
