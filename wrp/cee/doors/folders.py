"""Which paths of a store are folders by what lies in them: counted once, then kept up. No library's interface here."""

from collections import Counter
from contextlib import contextmanager

from wrp.cee.doors import tree


class Folders:
    """The paths for which `tree.lies_in` is true, as `in` tells, of a store that nobody changes but within `changing`."""

    def __init__(self, store):
        self._store = store
        self.forget()

    def __contains__(self, path):
        return self._counted()[path] > 0

    def __iter__(self):
        return (path for path, count in self._counted().items() if count > 0)

    def forget(self):
        """More has changed than `changing` was told: they are counted anew when somebody asks."""
        self._counts, self._is_plain = None, True       # {path: names of tags and blobs that lie in it, at any depth}; no tag has two names, or shows the blobs of another

    @contextmanager
    def changing(self, *paths):
        """What is done inside makes and removes at most what is at these paths, and their folders as tags."""
        paths = {*paths, *(path.rpartition("/")[0] for path in paths)}
        before = self._names(paths)
        try:
            yield
        finally:
            after = self._names(paths)
            if not self._is_plain and after != before:          # other paths lead there as well
                self.forget()
            elif self._counts is not None:
                self._count(after - before, 1), self._count(before - after, -1)

    def _counted(self):
        if self._counts is None:
            self._counts, tags = Counter(), self._store.tags()
            for tag in tags:
                self._count([(tag, "")], 1)
                self._count(((tag, blob) for blob in self._store.list(tag)), 1)
            self._is_plain = len({self._store.own_name(tag) for tag in tags}) == len(tags) and not self._store.has_checkpoints
        return self._counts

    def _count(self, names, change):
        for tag, blob in names:
            for path in tree.parents(f"{tag}/", blob) if blob else tree.parents("", tag):
                self._counts[path] += change

    def _names(self, paths):
        """{(tag, blob)} that have one of these paths; the blob of a tag itself is empty. One path may have several."""
        if self._counts is None:
            return set()
        return {(tag, rest) for path in paths for tag, rest in tree.splits(self._store, path) if not rest or self._store.exists(tag, rest)}
