"""Naming over several nodes: node 0 changes the table of names, then has every other node take it. What the changes are: wrp.cte.naming.changing."""

import threading
from contextlib import suppress

from wrp.cte import names
from wrp.cte.background import Background
from wrp.cte.naming import Naming
from wrp.cte.naming.changing import refusal
from wrp.errors import WrpError

_AGAIN_S = 0.5                  # how long after a node was silent it is told again


class NodesNaming(Naming):
    """`net`: the Net of the rank, set by it. `run` is called on node 0, `take` on every node; a node that was silent is told the newest table until it answers."""

    _is_alone = False
    net = None

    def __init__(self, parts):
        super().__init__(parts)
        self._behind, self._noting = set(), threading.Lock()
        self._again = None

    def stop(self):
        """Tell nobody anything again. Idempotent."""
        if self._again is not None:
            self._again.stop()

    def destroy(self, tag):
        """Take a name away, and the tag on all nodes where it has no other: [its own name, what each node's `destroy` gave], lest it gets one meanwhile. None
        where it has others. NoSuchTag, also where no node knew it."""
        own = self._names.own(tag)
        if len(self._names.names(own)) > 1:
            return self.drop(tag) and None
        self.forget([own])
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
        for refused in self._tell(sorted(self.net.others), absent):
            if refused is not None:
                raise refusal(*refused)
        gone = set(present) - self._tags() if present else ()
        if gone:
            raise names.no_tag(min(gone))

    def _tell(self, nodes, absent=()):
        """Have these nodes take the table of this one, what each gives. All are waited for, then the first error of any is raised."""
        with self._catalog.changing("reading the names of tags"):
            items, number = list(self._names.read_held().items()), self._catalog.names_word.value
        under_way = [(node, self.net.begin(node, "take_names", items, absent, (), number)) for node in nodes]
        found, first = [], None
        for node, question in under_way:
            try:
                found.append(question.answer())
                is_told = True
            except WrpError as error:
                first, is_told = first or error, False
            with self._noting:
                if not is_told:
                    self._behind.add(node)
                elif self._catalog.names_word.value == number:
                    self._behind.discard(node)
        if first is not None:
            raise first
        return found

    def _take_back(self, before):
        """Nodes that are silent aren't waited for: one of them may take the change that never was when it goes on, so it is told again from then on."""
        with suppress(WrpError):
            super()._show(before, (), ())
            self._tell(sorted(self.net.others - self._behind))
        if self._behind and self._again is None:
            self._again = Background("wrp names")
            self._again.start(self._tell_again)

    def _tell_again(self):
        while self._again.naps(_AGAIN_S):
            for node in filter(self.net.is_there, sorted(self._behind)):
                with suppress(WrpError):
                    self._tell([node])
