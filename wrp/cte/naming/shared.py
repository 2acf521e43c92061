"""The table of names of tags as all ranks of a node share it. How it is changed: changing.py.

Its entries are empty blobs of a hidden tag in every node's catalog, so a journal, a snapshot and an opening treat them as any other record. Who looks compares a
word that grows with every change, so names that nobody has changed cost little more than that.
"""

import ctypes

from wrp.cte.names import HIDDEN, MARK, Own, said
from wrp.cte.naming.table import by_own, names_of, own_of, sources_of, table_of
from wrp.errors import Changed


class TagNames:
    """The table as one rank sees it: always the newest that its node has. Any thread.

    sources : {own name of a checkpoint tag: own name of its source}, as of the last look; nobody changes it
    """

    sources = {}

    def __init__(self, catalog):
        self._catalog, self._word = catalog, catalog.names_word
        self._seen, self._known = 0, ({}, {})

    def own(self, name):
        """The own name of the tag that has, or would have, this name. What is no text is given back."""
        if self._word.value != self._seen:
            self._renew()
        table = self._known[0]
        return own_of(table, name) if table or type(name) is not str or MARK in name else name

    def _renew(self):
        if self._word.value != self._seen:
            with self._catalog.changing("reading the names of tags"):
                self.read_held()

    def read_held(self):
        """The newest table {name: own name}, which nobody changes. Inside `changing`."""
        seen = self._word.value
        if seen != self._seen:
            table = table_of(self._catalog.names_held(HIDDEN))
            self.sources = sources_of(table)
            self._known, self._seen = (table, by_own(table)), seen
        return self._known[0]

    def table(self):
        """The same, outside."""
        self._renew()
        return self._known[0]

    def names(self, own):
        """The names of the tag with this own name, the one that it was made with first."""
        self._renew()
        return names_of(*self._known, own)

    def shown(self, owns, matches=lambda name: True):
        """The names that match of the tags with these own names, in no order."""
        self._renew()
        known = self._known
        return [name for own in owns if own != HIDDEN for name in (names_of(*known, own) if known[0] else (own,)) if matches(name)]

    def first(self, owns, matches=lambda name: True):
        """{own name: the first name that matches} of those with one."""
        found = {own: self.shown([own], matches)[:1] for own in set(owns)}
        return {own: named[0] for own, named in found.items() if named}

    def close(self):
        """Never look at the node's memory again."""
        self._word = ctypes.c_int64(self._seen)

    def check_held(self, own):
        """Changed when names that were given to others have left this own name without one: no tag may be made under it. Inside `changing`."""
        if self.read_held() and own != HIDDEN and not names_of(*self._known, own):
            raise Changed(f"the name {said(own)!r} was given to another tag meanwhile: nothing has changed; do it again")


class SameNames(TagNames):
    """For a store under another one, which is given own names and shows them, and looks at sources itself."""

    def own(self, name):
        return Own(name) if type(name) is str and MARK in name else name

    def names(self, own):
        return [own]

    def shown(self, owns, matches=lambda name: True):
        return [own for own in owns if own != HIDDEN and matches(own)]
