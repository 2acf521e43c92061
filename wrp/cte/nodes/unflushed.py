"""Unflushed: other nodes where a rank has changed something since it was flushed there. Flushes nothing itself."""

from contextlib import contextmanager
from itertools import count


class Unflushed:
    """Of one rank; any thread. A node stays noted until a flush has ended there: another thread that flushes meanwhile doesn't return before it has been there, too."""

    def __init__(self):
        self._changed, self._flushed, self._numbers = {}, {}, count(1)      # {node: number of its last change}, the same of the last one that was flushed

    @contextmanager
    def changing(self, nodes):
        """Something is changed on these nodes in the block. Noted behind it, too: a flush that began meanwhile may have been there sooner."""
        self._note(nodes)
        try:
            yield
        finally:
            self._note(nodes)

    def _note(self, nodes):
        for node in nodes:
            self._changed[node] = next(self._numbers)

    @contextmanager
    def flushing(self):
        """The nodes to be flushed in the block; they are once it has ended well."""
        found = {node: number for node, number in list(self._changed.items()) if number > self._flushed.get(node, 0)}
        yield sorted(found)
        self._flushed.update(found)
