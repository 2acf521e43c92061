"""Changes of the names of tags: each is in a journal before anybody sees it, and is seen as a whole, or never happened. What the names stand for: table.py.

All of them are made on node 0, one after the other.
"""

import time

from wrp.cte import names
from wrp.cte.names import HIDDEN, said
from wrp.cte.naming.table import below, by_own, entry_of, linked, names_of, renamed, sourced, unnamed, unsourced
from wrp.cte.records import BLOB, TAG, Record, to_plain
from wrp.errors import Changed, OutOfSpace, UsageError, WrpError


class Naming:
    """The changes of the table that a rank of node 0 makes. `run` is called there, under the name of one of the calls below."""

    def __init__(self, parts):
        self._parts, self._catalog = parts, parts.catalog
        self._names = parts.names

    def run(self, call, *args):
        """Do `link`, `move`, `checkpoint`, `forget`, `drop` or `drop_below`."""
        with self.held():
            return getattr(self, call)(*args)

    def held(self):
        """Context manager: names stay as they are."""
        return self._catalog.naming.held("the names of the store's tags", self._parts.ranks.timeout_s)

    # calls

    def link(self, tag, name):
        """A tag has one more name. Changed when that is taken by another; NoSuchTag."""
        table, own = self._names.table(), self._known(tag)
        found = self._names.own(name)
        if found == own:
            return
        self._check_free([found], [name])
        self._make(linked(table, name, str(own)), present=[str(own)])

    def move(self, tag, name, is_folder):
        """A tag, or all that is in a folder of tags, gets another name. Changed when one of the new names is taken; NoSuchTag."""
        old = self._in_folder(tag) if is_folder else [tag]
        if not is_folder:
            self._known(tag)
        if is_folder and below(tag, name):
            raise UsageError(f"folder {tag!r} can't become {name!r}, which is in it") if tag != name else Changed(f"the name {name!r} is taken: it is the folder itself")
        new = [names.checked("tag", name + found[len(tag):]) for found in old]
        self._check_free(list(map(self._names.own, new)), new)
        table = self._names.table()
        self._make(renamed(table, list(zip(old, new)), time.time_ns()), present=[table.get(name, name) for name in old])

    def checkpoint(self, tag, source):
        """A tag that is to be made has a source. Changed when the name is taken; NoSuchTag without the source."""
        own, source = self._names.own(tag), str(self._known(source))
        self._check_free([own], [tag])
        self._make(sourced(self._names.table(), str(own), source), present=[source])

    def forget(self, gone):
        """Tags with these own names, which are to go, have no source any more. Changed when one is the source of a tag that stays."""
        table, gone = self._names.table(), set(map(str, gone))
        for tag, source in self._names.sources.items():
            if source in gone and tag not in gone and self._knows(tag):
                raise Changed(f"tag {said(source)!r} is the source of checkpoint tag {said(tag)!r}: destroy that first")
        if (wanted := unsourced(table, gone)) != table:
            self._make(wanted)

    def drop(self, tag):
        """Take a name from a tag that has others: True. False where it has no other: only its source is forgotten. NoSuchTag."""
        own = self._known(tag)
        if len(self._names.names(own)) < 2:
            self.forget([own])
            return False
        self._make(unnamed(self._names.table(), [tag], time.time_ns()))
        return True

    def drop_below(self, folder):
        """Take all names in a folder away, its own, too: own names of the tags that have none now, which whoever called destroys. NoSuchTag without any."""
        gone, table = self._in_folder(folder), self._names.table()
        owns = {table.get(name, name) for name in gone}
        last = sorted(own for own in owns if not set(self._names.names(own)) - set(gone))
        self.forget(last)
        table = self._names.table()
        if self._is_alone and len(last) == len(owns) and owns.isdisjoint(table.values()):
            return last                     # they go at one moment, and by one frame of the journal, without it
        self._make(unnamed(table, gone, time.time_ns()), lost=last)
        return last

    # what there is

    _is_alone = True

    def _tags(self):
        """Own names of all tags."""
        return {record.name for record in self._catalog.scan(kind=TAG)}

    def _knows(self, own):
        return self._catalog.has(own)

    def _known(self, tag):
        own = self._names.own(tag)
        if not self._knows(own):
            raise names.no_tag(tag)
        return own

    def _in_folder(self, folder):
        """Names of tags, the folder's and those in it. NoSuchTag."""
        found = sorted(self._names.shown(self._tags(), lambda name: below(folder, name)))
        if not found:
            raise names.no_tag(folder)
        return found

    def _check_free(self, owns, said):
        self._refuse_taken(owns, said, self._knows)

    def _refuse_taken(self, owns, said, is_there):
        taken = next((name for own, name in zip(owns, said) if is_there(own)), None)
        if taken is not None:
            raise Changed(f"the name {taken!r} is taken: destroy it first, or choose another")

    # the change itself

    def _make(self, wanted, present=(), lost=()):
        """Have this table in place of the one that there is. Changed, with names as they were, when a tag that would have no name was made meanwhile.

        present : own names of tags that have to be there still; lost : of those that are to have no name
        """
        before = self._names.table()
        absent = sorted(_left(before, wanted) - set(lost))
        self._write_down(before, wanted)
        try:
            self._show(wanted, absent, present)
        except WrpError:
            self._write_down(wanted, before)
            self._take_back(before)
            raise

    def _take_back(self, before):
        self._show(before, (), ())

    def _write_down(self, before, wanted):
        """One frame of this rank's journal: the change is there after any end of the job, or it never happened."""
        with self._catalog.changing("ordering the names of tags"):
            self._catalog.check_room([_entry(*item) for item in _added(before, wanted)])
            put = [to_plain(_entry(*item).but(stamp=self._catalog.next_stamp())) for item in _added(before, wanted)]
            remove = [[entry_of(*item), self._catalog.next_stamp()] for item in _added(wanted, before)]
        if self._parts.journal is not None:
            self._parts.journal.append({"put": put, "remove": remove})

    def _show(self, wanted, absent, present):
        """Everybody sees the table. Changed, NoSuchTag, OutOfSpace: nobody does."""
        refused = self.take(list(wanted.items()), absent, present)
        if refused is not None:
            raise refusal(*refused)

    def take(self, items, absent=(), present=(), number=None):
        """This node has the table with these [(name, own name)] now; None, or why it hasn't: (class of the error, name that it is about).

        number : of the change, where it was made by another node; one that comes late is passed over
        """
        wanted = dict(items)
        with self._catalog.changing("changing names of tags"):
            if number is not None and number <= self._catalog.names_word.value:
                return None
            before = self._names.read_held()
            found = next((own for own in absent if self._catalog.has(own)), None)
            gone = next((own for own in present if not self._catalog.has(own)), None)
            if found is not None or gone is not None:
                return ("Changed", found) if found is not None else ("NoSuchTag", gone)
            try:
                self._catalog.check_room([_entry(*item) for item in _added(before, wanted)] + [Record(HIDDEN, TAG)])
            except OutOfSpace as error:
                return "OutOfSpace", str(error)
            if not self._catalog.has(HIDDEN):
                self._catalog.put(Record(HIDDEN, TAG, dirty=False))
            for item in _added(before, wanted):
                self._catalog.put(_entry(*item).but(stamp=self._catalog.next_stamp()))
            for item in _added(wanted, before):
                self._catalog.remove(entry_of(*item))
            self._catalog.names_word.value = number or self._catalog.names_word.value + 1
        return None


def _entry(name, own):
    return Record(entry_of(name, own), BLOB, score=0.0, dirty=False, journaled=True)


def _added(before, after):
    """[(name, own name)] that `after` has and `before` hasn't, in an order of their own."""
    return sorted(after.items() - before.items())


def _left(before, after):
    """Own names that have a name in the table before, and none after."""
    inverse = by_own(before), by_own(after)
    owns = {own for table in (before, after) for item in table.items() for own in item}
    return {own for own in owns if names_of(before, inverse[0], own) and not names_of(after, inverse[1], own)}


def refusal(kind, what):
    """The error of what `take` gave."""
    if kind == "NoSuchTag":
        return names.no_tag(what)
    if kind == "OutOfSpace":
        return OutOfSpace(what)
    return Changed(f"the name {said(what)!r} is taken: a tag was made under it meanwhile")
