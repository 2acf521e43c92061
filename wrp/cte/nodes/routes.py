"""Routes: where a call of a store of several nodes goes, the home of a name or all nodes. What is called is in calls/."""

from contextlib import suppress

from wrp.comm.refusals import let_out
from wrp.cte import names
from wrp.cte.homes import home_of
from wrp.cte.nodes.unflushed import Unflushed
from wrp.cte.records import full_name
from wrp.errors import NoSuchBlob, NoSuchTag, WrpError


class Routes:
    """The routes of one rank over its Net. `unflushed`: the Unflushed of the rank.

    keepers : the Keepers of a store with replicas, else None
    """

    def __init__(self, net, keepers):
        self.net, self.node, self.keepers = net, net.node, keepers
        self.unflushed = Unflushed()
        self._left = set()              # see `leave`

    def home(self, tag, blob=None):
        """Number of the node whose catalog has a blob's or tag's record."""
        try:
            return home_of(tag, blob, self.net.nodes)
        except TypeError:               # of a cache: what has no hash is no text
            names.checked("tag", tag), names.checked("blob", blob)
            raise

    def change(self, call, tag, blob, *args):
        """What a call of Answering for a blob gives that changes something, at its home, here or there; see `settle`."""
        is_done = False
        try:
            value = self._named(self.change_at, call, tag, blob, args)
            is_done = True
            self.settle(tag, [blob])
        except BaseException as error:
            if is_done or not isinstance(error, WrpError):      # a signal's handler may come at any time
                self.leave([(tag, blob)])
            raise
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
        self.settle_rest()

    def leave(self, names):
        """Calls for these (tag, blob), or (tag, None) for all of a tag, ended in the middle: keepers hear of what they did by the next `settle_rest`."""
        if self.keepers is not None:
            self._left.update(names)

    def is_left(self, tag, blob):
        """True where what a keeper has may be older than what a call of this rank has done."""
        return not self._left.isdisjoint([(tag, blob), (tag, None)])

    def settle_rest(self):
        """The keepers have what was left, as far as all nodes answer; else it stays left."""
        if not self._left or not all(map(self.net.is_there, self.net.others)):
            return
        with suppress(WrpError):
            for tag, blob in list(self._left):
                blobs = [blob] if blob is not None else set().union(*self.net.everywhere("kept", tag))
                for each in blobs:
                    self.keepers.changed(self.home(tag, each), [full_name(tag, each)])
                self._left.discard((tag, blob))

    def look(self, call, tag, blob, *args):
        """The same of one that changes nothing."""
        return self._named(self.net.at, call, tag, blob, args)

    def _named(self, function, call, tag, blob, args):
        """The home of a blob may not know a tag that is there."""
        names.checked("tag", tag), names.checked("blob", blob)
        try:
            return function(self.home(tag, blob), call, tag, blob, *args)
        except NoSuchTag as error:
            let_out(error)
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
