"""Table: what names of tags stand for, where that isn't simply the tag that was made with the name. Pure; who shares it: shared.py, who changes it: changing.py.

A tag has one *own* name for ever: records, journals and homes know it by that. A table {name: own name} has the names that stand for another own name; every
name that isn't in it is an own name. So an alias is one entry, and a renamed tag is two: the new name, and for the old one a *fresh* own name, of no tag yet,
which a tag gets that is made under the old name. A name that is taken away needs no entry unless a tag has it as its own name.

A *source* is an entry, too: that of a checkpoint tag, with a mark before its own name and before the source's, which no name has.
A change is a dictionary as the table is one, with None for entries that go.
"""

from bisect import insort

from wrp.cte import names
from wrp.cte.names import HIDDEN, MARK, Own


class Table:
    """owns : {name: Own}, as above; named : {own name: its names in `owns`, in natural order}; sources : {own name of a checkpoint tag: Own of its source}

    checkpoints : {own name of a source: own names of its checkpoint tags}
    """

    def __init__(self, owns=(), number=0):
        self.owns, self.named, self.sources, self.checkpoints = {}, {}, {}, {}
        self.apply(dict(owns), number)

    def apply(self, change, number=0):
        """Take the change of this number in; what it costs says the change."""
        for name, own in change.items():
            before = self.owns.get(name)
            for entries, (key, value) in () if before is None else self._listed(name, before):
                entries[key] = [each for each in entries[key] if each != value]
                if not entries[key]:
                    del entries[key]
            if own is None:
                self.owns.pop(name, None)
                if name[0] == MARK:
                    self.sources.pop(name[1:], None)
                continue
            self.owns[name] = Own(own, name, number)        # in one step: other threads read here meanwhile
            for entries, (key, value) in self._listed(name, own):
                entries[key] = list(entries.get(key, ()))      # who reads the old one meanwhile goes on with it
                insort(entries[key], value, key=names.natural)
            if name[0] == MARK:
                self.sources[name[1:]] = Own(own[1:])

    def _listed(self, name, own):
        return [(self.checkpoints, (own[1:], name[1:]))] if name[0] == MARK else [(self.named, (str(own), name))]

    def own_of(self, name):
        """The own name of the tag that has, or would have, this name; one that is an Own stays it. UsageError for what is no text.

        What only the store makes, own names as plain text among it, is no name: it leads to no tag.
        """
        if type(name) is Own:
            return name
        if not isinstance(name, str):
            names.checked("tag", name)
        return self.owns.get(name, name) if MARK not in name else Own(MARK + name, name)

    def names_of(self, own):
        """The names of the tag with an own name, the one that it was made with first."""
        named = self.named.get(own, [])
        return named if MARK in own or own in self.owns else [str(own), *named]

    # changes

    def linked(self, name, own):
        """The name stands for this own name, too."""
        return {name: str(own) if own != name else None}

    def renamed(self, pairs, stamp):
        """[(name, new name)]: all of them change at once."""
        change = self.unnamed([name for name, _ in pairs], stamp)
        for name, new in pairs:
            change.update(self.linked(new, self.owns.get(name, name)))
        return change

    def unnamed(self, gone, stamp):
        """These names stand for no tag any more."""
        return {name: fresh(name, stamp) if name not in self.owns or name in self.named else None for name in gone}

    def sourced(self, tag, source):
        """A tag, by its own name, has another one as its source."""
        return {MARK + tag: MARK + source}

    def unsourced(self, gone):
        """Tags with these own names have no source, and are no source."""
        return {MARK + tag: None for own in gone for tag in [*self.checkpoints.get(own, ()), *([str(own)] if own in self.sources else [])]}

    def dropped(self, gone, there):
        """Entries of these names go of which nothing is left: neither a tag of the own name that they stand for, nor one of that which is the name. `there`: the own names of tags.

        One that keeps its name from being the own name of a tag stays as long as others stand for that.
        """
        change = {}
        for name in gone:
            own = self.owns.get(name)
            if own is not None and own not in there and name not in there and all(other in change for other in self.named.get(name, ())):
                change[name] = None
        return change


def fresh(name, stamp):
    """An own name of no tag, for one that is made under the name."""
    return f"{name}{MARK}{stamp}"


def below(folder, name):
    """True for the folder's own name and for what is in it, at whatever depth."""
    return name == folder or name.startswith(folder + "/")


# entries as names of records

def entry_of(name, own):
    return f"{HIDDEN}\0{name}{MARK}{own}"


def table_of(entries, number=0):
    """The Table of the entries' own blob names, as it is after the change of this number."""
    return Table(map(_item_of, entries), number)


def _item_of(entry):
    if entry[0] == MARK:
        tag, _, source = entry[1:].partition(MARK + MARK)
        return MARK + tag, MARK + source
    name, _, own = entry.partition(MARK)
    return name, own
