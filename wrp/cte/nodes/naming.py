"""NodesNaming: names of tags over several nodes. Node 0 has every node hold and take a change. What the changes are: wrp.cte.naming.changing."""

from contextlib import suppress

from wrp.cte.background import Background
from wrp.cte.naming import Naming
from wrp.errors import NoSuchTag, WaitTimeout, WrpError

_AGAIN_S = 0.1                  # how long after a node was silent it is told again


class NodesNaming(Naming):
    """`net`: the Net of the rank, set by it. `run` is called on node 0, what is in `table` on every node; a node that was silent is told all names once it answers."""

    _is_alone = False
    net = None

    def __init__(self, parts):
        super().__init__(parts)
        self._behind = set()            # nodes that may hold names for nothing, or know older ones
        self._going, self._begun = {}, {}   # {own name of a tag that is gone, as the journal says: up to which stamp} where a node may have some of it; {name whose destroy has failed: True once it is gone}
        self._again = None

    def table(self):
        """{name: function} of what can be asked."""
        node = self.node
        return {"naming": self.run, "known_names": node.known, "hold_names": node.hold, "take_names": node.take, "take_all_names": node.take_all, "let_names_go": node.let_go}

    def stop(self):
        """Tell nobody anything again. Idempotent. WaitTimeout: see Background.stop."""
        if self._again is not None:
            self._again.stop(self._parts.config.get("runtime.timeout_s"))

    def destroy(self, tag, recursive):
        """As `drop`; the tags are gone on all nodes then: their own names. What is gone says one frame of this rank's journal before the first node hears of it.

        WaitTimeout for a silent node says what has happened; done again once it answers it does the rest.
        """
        before = self.node.number, dict(self._going)
        try:
            gone = self._dropped(tag, recursive)
            self._take_out()
        except BaseException as error:
            self._going.update(self.finish())
            is_gone, is_silent, was_gone = before != (self.node.number, self._going), isinstance(error, WaitTimeout), self._begun.get(tag, False)
            if is_gone or is_silent:
                self._begun[tag] = is_gone or was_gone
            if is_gone and not is_silent:       # of a handler of a signal: what the journal says is so
                with suppress(WrpError):
                    self._take_out()
                    del self._begun[tag]
            if not is_silent:
                raise
            what = "is gone, but not from all nodes" if is_gone else "isn't gone from all nodes yet" if was_gone else "is not destroyed"
            raise WaitTimeout(f"{tag!r} {what}: {error}; destroy it again once the node answers") from None
        self._begun.pop(tag, None)
        self._tag_names.gone(gone)
        return gone

    def _take_out(self):
        """No node has anything any more of what is gone."""
        self._going.update(self.finish())
        self.net.everywhere("destroy", list(self._going.items()))
        self._going.clear()

    def _dropped(self, tag, recursive):
        try:
            return self.drop(tag, recursive)
        except NoSuchTag:
            if tag not in self._begun:
                raise
            return sorted(self._going)

    def _write_down(self, change, owns, going=(), upto=None):
        """As Naming's; every node's `destroy` follows."""
        super()._write_down(change, owns, going, self._passed() if going else upto)

    def finish(self):
        """As Naming's; the other nodes have the names soon after."""
        before, gone = self.node.number, super().finish()
        if self.node.number != before:
            self._tell_later(self.net.others)
        return gone

    def _passed(self):
        """A stamp, at or above all that were given out, that no node gives out any more: what it puts before it hears of the destroy is newer, however slow its clock is."""
        with self._catalog.changing("destroying tags"):
            stamp = self._catalog.next_stamp()
        found = self.net.everywhere("pass_stamp", stamp)
        if min(found) < max(found):         # a clock is ahead of this node's
            self.net.everywhere("pass_stamp", max(found))
        return max(found)

    def _tags(self):
        return {own for part in self.net.everywhere("tags", ".*") for own in part}

    def _known_of(self, owns):
        return [own for part in self.net.everywhere("known_names", owns) for own in part]

    def _hold(self, owns, change):
        """This node first: it may have no room."""
        found = super()._hold(owns, change)
        return found + [own for part in self._ask(self.net.others, "hold_names", owns, change).values() for own in part]

    def _let_go(self, owns):
        """Nodes that are silent aren't waited for: they are told once they answer."""
        super()._let_go(owns)
        with suppress(WrpError):
            self._ask(self.net.others - self._behind, "let_names_go", owns)
        self._tell_later()

    def _show(self, change, owns):
        """This node first: whoever sees the change elsewhere can ask it. WaitTimeout for one that is silent: it has the change once it answers."""
        super()._show(change, owns)
        try:
            told = self._ask(self.net.others - self._behind, "take_names", self.node.number, change, owns)
            self._behind.update(node for node, is_known in told.items() if not is_known)
            self._tell_all()
        except WrpError:
            raise
        except BaseException:               # of a handler of a signal: who has heard of it isn't known
            self._behind |= self.net.others
            raise
        finally:
            self._tell_later()

    def _ask(self, nodes, call, *args):
        """{node: what a call gives there}. All are waited for, then the first error of any is raised; one that was silent does nothing when it hears of the call later."""
        under_way, found, first = [], {}, None
        for node in sorted(nodes):
            try:
                under_way.append((node, self.net.begin(node, call, *args)))
            except WrpError as error:
                first = first or error
                self._behind.add(node)
        for node, question in under_way:
            try:
                found[node] = question.answer()
            except WrpError as error:
                first = first or error
                if isinstance(error, WaitTimeout):
                    question.withdraw()
                    self._behind.add(node)
        if first is not None:
            raise first
        return found

    def _tell_all(self, nodes=None):
        """Nodes that are behind, or these of them, have all names of this one."""
        nodes = self._behind if nodes is None else self._behind.intersection(nodes)
        if nodes:
            owns = {name: str(own) for name, own in self._tag_names.table().owns.items()}
            self._behind.difference_update(self._ask(set(nodes), "take_all_names", self.node.number, owns))

    def _tell_later(self, nodes=()):
        self._behind.update(nodes)
        if self._behind and self._again is None:
            self._again = Background("wrp-names")
            self._again.start(self._tell_again)

    def _tell_again(self):
        while self._again.naps(_AGAIN_S):
            there = list(filter(self.net.is_there, set(self._behind)))
            if there:
                with suppress(WrpError), self.held():
                    self._tell_all(there)
