"""NodeNames: what a change of the names of tags does to the catalog of one node. Nothing is decided or written down here: changing.py."""

from wrp.cte.names import HIDDEN
from wrp.cte.naming.latest import Latest
from wrp.cte.naming.shared import HELD, held
from wrp.cte.naming.table import entry_of
from wrp.cte.records import BLOB, TAG, Record


class NodeNames:
    """Of the node of this rank; the calls are local."""

    def __init__(self, parts):
        self._catalog, self._tag_names = parts.catalog, parts.tag_names
        self._latest = Latest(parts.catalog.names_latest)

    @property
    def number(self):
        """Of the newest change that the node has."""
        return self._catalog.names_word.value

    def known(self, owns):
        """Those of the own names that have a tag here."""
        return [own for own in owns if self._catalog.find(own) is not None]

    def hold(self, owns, change):
        """Those of the own names that have a tag here. Nobody makes one under the others before they are let go. OutOfSpace without room for the change."""
        with self._catalog.changing("holding names of tags"):
            found = [own for own in owns if self._catalog.has(own)]
            made = [_empty(held(own)) for own in set(owns) - set(found)]
            self._catalog.check_room([*made, *(_empty(entry_of(*item)) for item in change.items() if item[1] is not None), Record(HIDDEN, TAG)])
            self._put(made)
        return found

    def take(self, number, change, owns):
        """The node has the change of this number, and the own names are let go. False where it doesn't know what was before."""
        with self._catalog.changing("changing names of tags"):
            is_next = number == self.number + 1
            if is_next:
                self._apply(change)
                self._latest.add(number, change)
                self._catalog.names_word.value = number
            self._let_go(owns)
        return is_next or number <= self.number

    def take_all(self, number, owns):
        """The node has the names {name: own name} of this number in place of what it had, and nothing is held."""
        with self._catalog.changing("reading all names of tags"):
            before = self._tag_names.read_held().owns
            self._apply({name: owns.get(name) for name in {*before, *owns} if before.get(name) != owns.get(name)})
            self._latest.forget(number)
            self._catalog.names_word.value = number
            for entry in self._catalog.names_held(HIDDEN):
                if entry.startswith(HELD):
                    self._catalog.remove(f"{HIDDEN}\0{entry}")

    def let_go(self, owns):
        """The own names may get tags again."""
        with self._catalog.changing("letting names of tags go"):
            self._let_go(owns)

    def _let_go(self, owns):
        for own in owns:
            self._catalog.remove(held(own))

    def _apply(self, change):
        before = self._tag_names.read_held().owns
        for name, own in change.items():
            if name in before:
                self._catalog.remove(entry_of(name, before[name]))
            if own is not None:
                self._put([_empty(entry_of(name, own))])

    def _put(self, records):
        if records and not self._catalog.has(HIDDEN):
            self._catalog.put(Record(HIDDEN, TAG, dirty=False))
        for record in records:
            self._catalog.put(record.but(stamp=self._catalog.next_stamp()))


def _empty(name):
    return Record(name, BLOB, score=0.0, dirty=False, journaled=True)
