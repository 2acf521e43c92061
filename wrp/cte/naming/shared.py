"""TagNames: the names of tags as all ranks of a node share them, and each rank's own picture of them. How they are changed: changing.py.

The entries of the table are empty blobs of a hidden tag in every node's catalog, so a journal, a snapshot and an opening treat them as any other record. Who looks
compares a word that grows with every change, so names that nobody has changed cost little more than that, and takes in the changes that it hasn't seen (latest.py).
"""

import ctypes
from collections import deque

from wrp.cte.names import HIDDEN, MARK, Own, given, readable
from wrp.cte.naming.latest import Latest
from wrp.cte.naming.table import Table, table_of
from wrp.errors import Changed

HELD = MARK + MARK              # an entry that begins with it keeps an own name from getting a tag, while a change of names is under way
_CHANGING = -1                  # what is seen while a change is taken in


class TagNames:
    """The table as one rank sees it: always the newest that its node has. Any thread.

    sources : {own name of a checkpoint tag: own name of its source}, as of the last look; nobody changes it
    unused : names whose tags were destroyed by this process: their entries may say nothing any more
    """

    def __init__(self, catalog):
        self._catalog, self._word, self._latest = catalog, catalog.names_word, Latest(catalog.names_latest)
        self._take(Table(), 0)
        self.unused = deque()

    def _take(self, table, seen):
        self._table, self._owns, self.sources, self._seen = table, table.owns, table.sources, seen

    def own(self, name):
        """The own name of the tag that has, or would have, this name. UsageError for what is no text; an Own of before that may be another tag's by now leads to none."""
        if self._word.value != self._seen:
            self._renew()
        if type(name) is Own:
            return self._still(name)
        return self._table.own_of(name) if self._owns or type(name) is not str or MARK in name else name

    def _still(self, own):
        is_stale = own.given != readable(own) and not self._leads_to(self.table(), own, True)
        return Own(MARK + own, own.given) if is_stale else own

    def _leads_to(self, table, own, is_there):
        """Whether the name that a caller gave is still one for this own name: where the tag is there it may have got another one, and another node may know more than this one."""
        return table.own_of(given(own)) == own or is_there and own in table.named or type(own) is Own and own.number > self._seen

    def _renew(self):
        if self._word.value != self._seen:
            with self._catalog.changing("reading the names of tags"):
                self.read_held()

    def read_held(self):
        """The newest Table, which nobody changes. Inside `changing`."""
        seen, now = self._seen, self._word.value
        if seen == now:
            return self._table
        changes = self._latest.since(seen, now) if seen else None
        if changes is None:
            self._take(table_of((entry for entry in self._catalog.names_held(HIDDEN) if not entry.startswith(HELD)), now), now)
        else:
            self._seen = _CHANGING          # another thread doesn't take half of it for all
            for number, change in enumerate(changes, seen + 1):
                self._table.apply(change, number)
            self._seen = now
        return self._table

    def table(self):
        """The same, outside."""
        self._renew()
        return self._table

    def names_of(self, own):
        """The names of the tag with this own name, the one that it was made with first."""
        return self._as_of_one_moment(lambda table: table.names_of(own))

    def shown(self, owns, matches=lambda name: True):
        """The names that match of the tags with these own names, in no order."""
        return self._as_of_one_moment(lambda table: [name for own in owns if own != HIDDEN for name in (table.names_of(own) if table.owns else (own,)) if matches(name)])

    def _as_of_one_moment(self, look):
        """What `look(table)` gives without a change meanwhile."""
        while True:
            self._renew()
            table, seen = self._table, self._seen
            found = look(table)
            if seen != _CHANGING and (table, seen) == (self._table, self._seen):
                return found

    def first(self, owns, matches=lambda name: True):
        """{own name: the first name that matches} of those with one."""
        found = {own: self.shown([own], matches)[:1] for own in set(owns)}
        return {own: named[0] for own, named in found.items() if named}

    def close(self):
        """Never look at the node's memory again."""
        self._word = ctypes.c_int64(self._seen)

    def check_held(self, own, is_there):
        """Changed for an own name to which the name that a caller gave doesn't lead any more, unless the tag is there and has got another one: nothing may be put
        there, and no tag be made; nor while a change of names is under way that it would disturb. Inside `changing`."""
        if own != HIDDEN and (not self._leads_to(self.read_held(), own, is_there) or not is_there and self._catalog.has(held(own))):
            raise Changed(f"the name {given(own)!r} was given to another tag, or taken away, meanwhile: nothing has changed; do it again")

    def gone(self, owns):
        """Tags with these own names, which nobody else names now, were destroyed, or are about to be."""
        table = self.table()
        self.unused += [name for own in owns for name in [*table.named.get(own, ()), str(own)] if name in table.owns]


def held(own):
    """The record's name of an entry by which the own name gets no tag."""
    return f"{HIDDEN}\0{HELD}{own}"


class SameNames(TagNames):
    """For a store under another one, whose TagNames are `above`: it is given own names and shows them, and looks at no sources."""

    sources = {}

    def __init__(self, above):
        self._above = above

    def own(self, name):
        return self._above.own(name) if type(name) is Own or not isinstance(name, str) else Own(name) if MARK in name else name

    def names_of(self, own):
        return [own]

    def shown(self, owns, matches=lambda name: True):
        return [own for own in owns if own != HIDDEN and matches(own)]
