"""What names of tags stand for, where that isn't simply the tag that was made with the name. Pure; who shares the table: shared.py.

A tag has one *own* name for ever: records, journals and homes know it by that. A table {name: own name} has the names that stand for another own name; every
name that isn't in it is an own name. So an alias is one entry, and a renamed tag is two: the new name, and for the old one a *fresh* own name, of no tag yet,
which a tag gets that is made under the old name.

A *source* is an entry, too: that of a checkpoint tag, with a mark before its own name and before the source's, which no name has.
"""

from wrp.cte import names
from wrp.cte.names import HIDDEN, MARK, Own


def own_of(table, name):
    """The own name of the tag that has, or would have, this name; one that is an Own stays it, and so does what is no text.

    What only the store makes, own names as plain text among it, is no name: it leads to no tag.
    """
    if not isinstance(name, str) or type(name) is Own:
        return name
    return table.get(name, name) if MARK not in name else Own(MARK + name, name)


def fresh(name, stamp):
    """An own name of no tag, for one that is made under the name."""
    return f"{name}{MARK}{stamp}"


def by_own(table):
    """{own name: its names, the one it was made with first}, of the own names that the table has something about."""
    found = {}
    for name, own in table.items():
        if name[0] == MARK:
            continue
        found.setdefault(str(own), []).append(name)
    for own, named in found.items():
        named.sort(key=names.natural)
        if MARK not in own and own not in table:
            named.insert(0, own)
    return found


def names_of(table, inverse, own):
    """The names of the tag with an own name; `inverse`: `by_own` of the table."""
    return inverse.get(own) or ([str(own)] if MARK not in own and own not in table else [])


def below(folder, name):
    """True for the folder's own name and for what is in it, at whatever depth."""
    return name == folder or name.startswith(folder + "/")


# changed tables; `tidy` takes out what says nothing

def linked(table, name, own):
    """The name stands for this own name, too."""
    return tidy({**table, name: own})


def renamed(table, pairs, stamp):
    """[(name, new name)]: all of them change at once."""
    owns = {new: table.get(name, name) for name, new in pairs}
    return tidy({**table, **{name: fresh(name, stamp) for name, _ in pairs}, **owns})


def unnamed(table, gone, stamp):
    """These names stand for no tag any more."""
    return tidy({**table, **{name: fresh(name, stamp) for name in gone}})


def sourced(table, tag, source):
    """A tag, by its own name, has another one as its source."""
    return {**table, MARK + tag: MARK + source}


def unsourced(table, gone):
    """Tags with these own names have no source, and are no source."""
    return {name: own for name, own in table.items() if name[0] != MARK or name[1:] not in gone and own[1:] not in gone}


def sources_of(table):
    """{own name of a checkpoint tag: own name of its source}."""
    return {name[1:]: Own(own[1:]) for name, own in table.items() if name[0] == MARK}


def tidy(table):
    return {name: own for name, own in table.items() if own != name}


# the table's entries as names of records

def entry_of(name, own):
    return f"{HIDDEN}\0{name}{MARK}{own}"


def table_of(entries):
    """The table of the entries' own blob names; its own names are Owns, each said by its name."""
    return dict(map(_item_of, entries))


def _item_of(entry):
    if entry[0] == MARK:
        tag, _, source = entry[1:].partition(MARK + MARK)
        return MARK + tag, MARK + source
    name, _, own = entry.partition(MARK)
    return name, Own(own, name)


def settled(records):
    """The records {full name: Record} of a folder without what no name leads to: tags that were destroyed, and entries that say nothing of a tag that is there."""
    entries = [name.partition("\0")[2] for name in records if name.startswith(HIDDEN + "\0")]
    if not entries:
        return records
    table = table_of(entries)
    inverse = by_own(table)
    lost = {own for own in {record.tag for record in records.values()} if own != HIDDEN and not names_of(table, inverse, own)}
    kept = {name: record for name, record in records.items() if record.tag not in lost}
    tags = {record.tag for record in kept.values()}
    for name, own in table.items():
        if name[1:] not in tags if name[0] == MARK else own not in tags and name not in tags:
            del kept[entry_of(name, own)]
    return kept
