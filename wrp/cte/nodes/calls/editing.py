"""Calls that change what there is under which name, at the home of each name. What takes several calls is in nodes/edits.py."""

from wrp.cte import names
from wrp.cte.calls.base import no_tag
from wrp.cte.nodes.calls.base import NodesCalls


class NodesEditing(NodesCalls):
    """See store.NodesStore; what calls mean is said in wrp.cte.calls.editing."""

    def create(self, tag):
        """As Store.create."""
        self._writable()
        self._routes.change_at(self._routes.home(names.checked("tag", tag)), "create", tag)

    def delete(self, tag, blob):
        """As Store.delete."""
        self._writable()
        self._routes.change("delete", tag, blob)

    def delete_still(self, tag, blob, stamp):
        """Take a blob out if its generation is `stamp`; else False."""
        return self._routes.change("delete_still", tag, blob, stamp)

    def destroy(self, tag):
        """As Store.destroy; each node's part goes at one moment."""
        self._writable()
        names.checked("tag", tag)
        self._routes.changed_at |= self._routes.net.others
        stamps = self._routes.net.everywhere("destroy", tag)
        if not any(stamps):
            raise no_tag(tag)
        # clocks of nodes differ: who makes the tag again must not be older in the journals than this
        self._routes.change_at(self._routes.home(tag), "seen", max(stamps))
        kept = self._routes.net.everywhere("kept", tag) if self._routes.keepers is not None else []
        self._routes.settle(tag, sorted(set().union(*kept)))

    def copy(self, tag, blob, new_tag, new_blob):
        """As Store.copy."""
        score = self.info(tag, blob).score
        self.put(new_tag, new_blob, self.get(tag, blob), score=score)

    def rename(self, tag, blob, new_blob, new_tag=None):
        """As Store.rename. Where the names have different homes, a reader may see both for a moment."""
        self._writable()
        new_tag = tag if new_tag is None else new_tag
        names.checked("tag", new_tag), names.checked("blob", new_blob)
        if self._routes.home(tag, blob) == self._routes.home(new_tag, new_blob):
            self._routes.change("rename", tag, blob, new_blob, new_tag)
            self._routes.settle(new_tag, [new_blob])
        else:
            self._edits.rename(tag, blob, new_tag, new_blob)

    def rename_tag(self, tag, new_tag):
        """As Store.rename_tag, but blob by blob: readers see some under the old name and some under the new one meanwhile."""
        self._writable()
        self._edits.rename_tag(tag, names.checked("tag", new_tag))

    def snapshot(self, tag, new_tag):
        """As Store.snapshot: the blobs are those of one moment; the new tag fills while they are copied."""
        self._writable()
        self._edits.snapshot(tag, names.checked("tag", new_tag))

    def score(self, tag, blob, score=None):
        """As Store.score."""
        if score is None:
            return self._routes.look("score", tag, blob, None)
        self._writable()
        return self._routes.change("score", tag, blob, score)
