"""Naming: changes of the names of tags. Each is in a journal before anybody sees it, and is seen as a whole, or never happened. What the names stand for: table.py.

All of them are made on node 0, one after the other: own names that are to have no tag are held, everywhere, then the change is written down, then everybody takes it.
"""

import time
from contextlib import contextmanager
from typing import NamedTuple

from wrp.comm.refusals import let_out
from wrp.cte import names
from wrp.cte.names import given, readable
from wrp.cte.naming.node import NodeNames
from wrp.cte.naming.table import below, entry_of
from wrp.cte.records import BLOB, TAG, Record, to_plain
from wrp.errors import Changed, UsageError, WrpError

_UNUSED = 256                   # entries that are left when others go: a call that is under way may still mean a tag by its own name of before


class Naming:
    """The changes of the table that a rank of node 0 makes. `run` is called there, under the name of one of the calls below."""

    def __init__(self, parts):
        self._parts, self._catalog = parts, parts.catalog
        self._tag_names, self.node = parts.tag_names, NodeNames(parts)
        self._said = None               # the _Said of the change that is under way

    def run(self, call, *args):
        """Do `link`, `move`, `checkpoint`, `forget`, or what a NodesNaming has besides."""
        with self.held():
            self.begin()
            return getattr(self, call)(*args)

    def begin(self):
        """A change begins, inside `held`: before it the entries go that say nothing any more, once there are many."""
        self._said = None
        try:
            self._tidy()
        except WrpError as error:
            let_out(error)
        self._said = None

    def held(self):
        """Names stay as they are, but for changes made inside."""
        return self._catalog.naming.held("the names of the store's tags", self._parts.ranks.timeout_s)

    # calls

    def link(self, tag, name):
        """A tag has one more name. Changed when that is taken by another; NoSuchTag."""
        own, found = self._known(tag), self._tag_names.own(name)
        if found != own:
            self._make(self._tag_names.table().linked(name, own), {found: name})

    def move(self, tag, name, is_folder):
        """A tag, or all that is in a folder of tags, gets another name. Changed when one of the new names is taken; NoSuchTag."""
        old = self._in_folder(tag) if is_folder else [tag]
        if not is_folder:
            self._known(tag)
        if is_folder and below(tag, name):
            raise UsageError(f"folder {tag!r} can't become {name!r}, which is in it") if tag != name else Changed(f"the name {name!r} is taken: it is the folder itself")
        new = [names.checked("tag", name + found[len(tag):]) for found in old]
        self._make(self._tag_names.table().renamed(list(zip(old, new)), time.time_ns()), {self._tag_names.own(each): each for each in new})

    def checkpoint(self, tag, source):
        """A tag that is to be made has a source. Changed when the name is taken; NoSuchTag without the source."""
        own, source = self._tag_names.own(tag), str(self._known(source))
        self._make(self._tag_names.table().sourced(str(own), source), {own: tag})

    def forget(self, tag):
        """A tag with this own name, which wasn't made, has no source."""
        self._make(self._tag_names.table().unsourced([tag]))

    def drop(self, tag, recursive):
        """Take a name away, with `recursive` all names in that folder, its own, too: own names of the tags that have none now, which whoever called destroys.

        Changed when one of those is the source of a tag that stays; NoSuchTag.
        """
        taken = self._in_folder(tag) if recursive else [tag]
        if not recursive:
            self._known(tag)
        table = self._tag_names.table()
        owns, names_taken = {str(table.own_of(name)) for name in taken}, set(taken)
        gone = sorted(own for own in owns if names_taken.issuperset(table.names_of(own)))
        change = self._unsourced(table, gone)
        if len(gone) < len(owns) or recursive and not (self._is_alone and owns.isdisjoint(table.named)):
            change.update(table.unnamed(taken, time.time_ns()))
            self._tag_names.unused += taken
        if change:
            self._make(change, going=gone)
        elif not self._is_alone:            # else they go at one moment, and by one frame of the journal, without it
            self._write_down(change, (), gone)
        return gone

    def _unsourced(self, table, gone):
        for source in gone:
            for tag in table.checkpoints.get(source, ()):
                if tag not in gone and self._known_of([tag]):
                    raise Changed(f"tag {readable(source)!r} is the source of checkpoint tag {readable(tag)!r}: destroy that first")
        return table.unsourced(gone)

    # what there is

    _is_alone = True

    def _tags(self):
        """Own names of all tags."""
        return {record.name for record in self._catalog.scan(kind=TAG)}

    def _known_of(self, owns):
        """Those of the own names that have a tag."""
        return self.node.known(owns)

    def _known(self, tag):
        own = self._tag_names.own(tag)
        if not self._known_of([str(own)]):
            raise names.no_tag(tag)
        return own

    def _in_folder(self, folder):
        """Names of tags, the folder's and those in it. NoSuchTag."""
        found = sorted(self._tag_names.shown(self._tags(), lambda name: below(folder, name)))
        if not found:
            raise names.no_tag(folder)
        return found

    # the change itself

    def _make(self, change, free=(), going=()):
        """Change the table. Changed, and nothing has changed, unless the own names in `free`, {own name: the name that is wanted}, are those of no tag. OutOfSpace.

        going : own names of tags that whoever called destroys next
        """
        def refuse(found):
            for own in found:
                raise Changed(f"the name {free[own]!r} is taken: destroy it first, or choose another")
        owns = list(map(str, free))
        refuse(self._known_of(owns) if owns else ())
        try:
            with self._holding(owns, change) as found:
                refuse(found)
                self._write_down(change, owns, going)
            self._show(change, owns)
        except BaseException:
            self.finish()
            raise

    def finish(self):
        """After an error that a handler of a signal raised in the middle of a change: this node has the names that the journal says. What it says is gone, {own name: up to which stamp}."""
        said = self._said
        if said is None or not said.written:
            return {}
        if said.change and self.node.number < said.number:
            self.node.take(said.number, said.change, said.owns)
        return dict.fromkeys(said.going, said.upto)

    def _tidy(self):
        """Drop the entries of names whose tags were destroyed longest ago, once there are many of them."""
        unused = self._tag_names.unused
        if len(unused) < 2 * _UNUSED:
            return
        table = self._tag_names.table()
        both = {name: [name, str(table.owns[name])] for name in (unused.popleft() for _ in range(len(unused) - _UNUSED)) if name in table.owns}
        known = set(self._known_of(sorted(set().union(*both.values()))))    # a tag that there is again isn't disturbed
        gone = {name: owns for name, owns in both.items() if known.isdisjoint(owns)}
        owns = sorted(set().union(*gone.values()))
        with self._holding(owns, {}) as found:
            change = table.dropped(gone, set(found))
            unused += [own for name in change if (own := str(table.owns[name])) in table.owns and own not in change]
            self._write_down(change, owns)
        self._show(change, owns)

    @contextmanager
    def _holding(self, owns, change):
        """No tag is made under these own names before the change is shown, or at all when the block raises; gives those that have one."""
        try:
            yield self._hold(owns, change)
        except BaseException:
            if self._said is None or not self._said.written:
                self._let_go(owns)
            raise

    def _write_down(self, change, owns, going=(), upto=None):
        """One frame of this rank's journal: the change is there after any end of the job, or it never happened; and so is what tags that are going hold up to a
        stamp, on all nodes. `upto`: that stamp, None: a new one."""
        before = self._tag_names.table().owns
        with self._catalog.changing("ordering the names of tags"):
            put = [to_plain(Record(entry_of(name, own), BLOB, self._catalog.next_stamp(), score=0.0)) for name, own in change.items() if own is not None]
            remove = [[entry_of(name, before[name]), self._catalog.next_stamp()] for name in change if name in before]
            upto = self._catalog.next_stamp() if upto is None else upto
        self._said = said = _Said(change, owns, going, upto, self.node.number + 1, [])
        if self._parts.journal is not None and (change or going):
            self._parts.journal.append({"put": put, "remove": remove, "gone": [[tag, upto] for tag in going]}, said.written)
        else:
            said.written.append(True)

    def _hold(self, owns, change):
        return self.node.hold(owns, change)

    def _let_go(self, owns):
        self.node.let_go(owns)

    def _show(self, change, owns):
        """Everybody sees the change, and the own names are let go."""
        self.node.take(self.node.number + 1, change, owns)


class _Said(NamedTuple):
    """A change that is written down: of this number, with the own names that are held; `going` are gone up to the stamp `upto`. `written`: [True] once it is there for good."""

    change: dict
    owns: list
    going: list
    upto: int
    number: int
    written: list
