"""Naming over several nodes: node 0 changes the table of names, then has every other node take it. What the changes are: wrp.cte.naming.changing."""

from contextlib import suppress

from wrp.cte import names
from wrp.cte.naming import Naming
from wrp.cte.naming.changing import refusal
from wrp.errors import WrpError


class NodesNaming(Naming):
    """`net`: the Net of the rank, set by it. `run` is called on node 0, `take` on every node; a node that was silent has the newest table with the next change."""

    _is_alone = False
    net = None

    def destroy(self, tag):
        """Take a name away, and the tag on all nodes where it has no other: [its own name, what each node's `destroy` gave], lest it gets one meanwhile. None
        where it has others. NoSuchTag, also where no node knew it."""
        own = self._names.own(tag)
        if len(self._names.names(own)) > 1:
            return self.drop(tag) and None
        stamps = self.net.everywhere("destroy", str(own))
        if not any(stamps):
            raise names.no_tag(tag)
        return [str(own), stamps]

    def _tags(self):
        return {own for part in self.net.everywhere("tags", ".*") for own in part}

    def _knows(self, own):
        return self.net.calls["exists"](own) or any(self.net.everywhere("exists", own))

    def _check_free(self, owns, said):
        tags = self._tags() if len(said) > 1 else None
        self._refuse_taken(owns, said, self._knows if tags is None else tags.__contains__)

    def _show(self, wanted, absent, present):
        """Node 0 first: whoever sees the table elsewhere can ask it. What is refused by one of the others is taken back by who called this."""
        super()._show(wanted, absent, ())
        items, number = list(wanted.items()), self._catalog.names_word.value
        under_way = [self.net.begin(node, "take_names", items, absent, (), number) for node in sorted(self.net.others)]
        for refused in self.net.answers(under_way):
            if refused is not None:
                raise refusal(*refused)
        gone = set(present) - self._tags() if present else ()
        if gone:
            raise names.no_tag(min(gone))

    def _take_back(self, before):
        with suppress(WrpError):            # a node that is silent has it with the next change
            super()._take_back(before)
