"""Routes: where a call of a store of several nodes goes, the home of a name or all nodes. What is called is in calls/."""

from wrp.cte import names
from wrp.cte.homes import home_of
from wrp.cte.nodes.unflushed import Unflushed
from wrp.cte.records import full_name
from wrp.errors import NoSuchBlob, NoSuchTag


class Routes:
    """The routes of one rank over its Net. `unflushed`: the Unflushed of the rank.

    keepers : the Keepers of a store with replicas, else None
    """

    def __init__(self, net, keepers):
        self.net, self.node, self.keepers = net, net.node, keepers
        self.unflushed = Unflushed()

    def home(self, tag, blob=None):
        """Number of the node whose catalog has a blob's or tag's record."""
        try:
            return home_of(tag, blob, self.net.nodes)
        except TypeError:               # of a cache: what has no hash is no text
            names.checked("tag", tag), names.checked("blob", blob)
            raise

    def change(self, call, tag, blob, *args):
        """What a call of Answering for a blob gives that changes something, at its home, here or there; see `settle`."""
        value = self._named(self.change_at, call, tag, blob, args)
        self.settle(tag, [blob])
        return value

    def settle(self, tag, blobs):
        """After a change of these blobs of a tag: other nodes have their space back that it freed; the keepers, where there are any, have the blobs as they are now, or will with the next sweep."""
        self.net.send_away()
        if self.keepers is None:
            return
        by_home = {}
        for blob in blobs:
            by_home.setdefault(self.home(tag, blob), []).append(full_name(tag, blob))
        for home, found in by_home.items():
            self.keepers.changed(home, found)

    def look(self, call, tag, blob, *args):
        """The same of one that changes nothing."""
        return self._named(self.net.at, call, tag, blob, args)

    def _named(self, function, call, tag, blob, args):
        """The home of a blob may not know a tag that is there."""
        names.checked("tag", tag), names.checked("blob", blob)
        try:
            return function(self.home(tag, blob), call, tag, blob, *args)
        except NoSuchTag:
            if not self.knows(tag):
                raise
            raise NoSuchBlob(f"there is no blob {blob!r} in tag {tag!r}") from None

    def change_at(self, node, call, *args):
        """What a call gives that changes something on a node."""
        with self.unflushed.changing({node} - {self.node}):
            return self.net.at(node, call, *args)

    def name(self, *args):
        """What a change of the names of tags gives, or of tags on all nodes, which node 0 makes (see Naming.run). Once it was given up it is never made."""
        with self.unflushed.changing({0} - {self.node}):
            return self.net.in_time(0, "naming", *args)

    def knows(self, tag):
        """True when some node knows the tag."""
        return self.net.calls["exists"](tag) or any(self.net.everywhere("exists", tag))

    def of_tag(self, call, tag, *args):
        """What a call gives on every node that knows the tag. NoSuchTag when none does."""
        found = [part for part in self.net.everywhere(call, names.checked("tag", tag), *args) if part is not None]
        if not found:
            raise names.no_tag(tag)
        return found
