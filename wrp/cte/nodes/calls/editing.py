"""Calls that change what there is under which name, at the home of each name. What takes several calls is in nodes/edits.py."""

import re

from wrp.cte import given, names
from wrp.cte.nodes.calls.base import NodesCalls
from wrp.errors import NoSuchTag


class NodesEditing(NodesCalls):
    """See store.NodesStore; what calls mean is said in wrp.cte.calls.editing."""

    def create(self, tag):
        """As Store.create."""
        self._writable()
        tag = self._own(names.checked("tag", tag))
        return self._routes.change_at(self._routes.home(tag), "create", tag)

    def delete(self, tag, blob):
        """As Store.delete."""
        self._writable()
        self._routes.change("delete", self._own(tag), blob)

    def delete_still(self, tag, blob, stamp, lasts=True):
        """See Answering.delete_still."""
        return self._routes.change("delete_still", self._own(tag), blob, stamp, lasts)

    def flush_blob(self, tag, blob):
        """One blob is durable, if it is there. No effect without a folder."""
        tag = self._own(tag)
        names.checked("blob", blob)
        if self._parts.folder is not None:
            self._routes.look("flush_blob", tag, blob)

    def destroy(self, tag, recursive=False):
        """As Store.destroy, durable when it returns; each node's part goes at one moment. WaitTimeout for a silent node says what has happened: done again it does the rest."""
        self._writable()
        names.checked("tag", tag)
        left = self._with_copies(tag, recursive)
        try:
            # on its own node it is the first rank that takes the tag out, unless node 0 is that
            with self._routes.unflushed.changing(self._routes.net.others | ({self._routes.node} if self._routes.node and self.ranks.local_rank else set())):
                gone = self._routes.name("destroy", tag, recursive)
            for own in gone:
                kept = self._routes.net.everywhere("kept", own) if self._routes.keepers is not None else []
                self._routes.settle(own, sorted(set().union(*kept)))
        except NoSuchTag:
            self._routes.settle_rest()      # it may be one that was destroyed, and not to the end
            raise
        except BaseException:
            self._routes.leave(left)
            raise

    def _with_copies(self, tag, recursive):
        """See Routes.leave: of these tags keepers may have copies."""
        if self._routes.keepers is None:
            return []
        return [(self._own(each), None) for each in [tag, *(self.tags(re.escape(tag) + "/.*") if recursive else ())]]

    def copy(self, tag, blob, new_tag, new_blob):
        """As Store.copy."""
        tag = self._own(tag)
        score = self.info(tag, blob).score
        self.put(new_tag, new_blob, self.get(tag, blob), score=score)

    def rename(self, tag, blob, new_blob, new_tag=None, replace=False):
        """As Store.rename. Where the names have different homes, a reader may see both for a moment."""
        self._writable()
        new_tag = tag if new_tag is None else new_tag
        names.checked("tag", new_tag), names.checked("blob", new_blob)
        tag, new_tag = self._own(tag), self._own(new_tag)
        if self._routes.home(tag, blob) == self._routes.home(new_tag, new_blob):
            self._routes.change("rename", tag, blob, new_blob, new_tag, replace)
            self._routes.settle(new_tag, [new_blob])
        else:
            self._edits.rename(tag, blob, new_tag, new_blob, replace)

    def alias(self, tag, name):
        """As Store.alias. All nodes know it when it returns; a node does at one moment. So it is with the next two."""
        self._name("link", names.checked("tag", tag), names.checked("tag", name))

    def rename_tag(self, tag, new_tag):
        """As Store.rename_tag."""
        self._name("move", names.checked("tag", tag), names.checked("tag", new_tag), False)

    def rename_folder(self, folder, new_folder):
        """As Store.rename_folder."""
        self._name("move", names.checked("folder", folder), names.checked("folder", new_folder), True)

    def _name(self, *args):
        self._writable()
        self._routes.name(*args)

    def snapshot(self, tag, new_tag):
        """As Store.snapshot: the blobs are those of one moment; the new tag fills while they are copied."""
        self._writable()
        self._refuse_checkpoint(names.checked("tag", tag))
        self._edits.snapshot(self._own(tag), self._own(names.checked("tag", new_tag)))

    def score(self, tag, blob, score=None):
        """As Store.score."""
        tag = self._own(tag)
        if score is None:
            return self._seen("score", tag, blob, None)
        self._writable()
        score = given.score_of(score, f"blob {blob!r:.80}")
        if self._tag_names.sources:
            self._bring(tag, blob)
        return self._routes.change("score", tag, blob, score)
