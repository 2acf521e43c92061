"""Copies: what a node keeps in its ram of blobs whose home is another node. Which nodes keep what, and when, is in keepers.py.

The records lie in a catalog of their own, in memory that all ranks of the node share. Such a record has the generation of the home's; its
`extents` are here, its `durable` ones are the home's: while those are the same, so are the bytes.
"""

from wrp.cte import pieces
from wrp.cte.catalog import Catalog
from wrp.cte.changes import put_owned
from wrp.cte.nodes.wire import INLINE, extents_of, record_of
from wrp.cte.records import RAM, TAG, Record
from wrp.cte.targets import Wish
from wrp.errors import Corrupt, OutOfSpace


class Copies:
    """The copies of one node. Making and closing it is collective over the ranks of the node.

    slots : how many there can be
    """

    def __init__(self, parts, slots):
        self._catalog = Catalog(parts.ranks.on_node, slots, parts.ranks.timeout_s)
        self._tiers, self._loans = parts.tiers, None

    def close(self):
        """Collective over the node; idempotent."""
        self._catalog.close()

    def table(self, loans):
        """{name: function} of what can be asked of the node; `loans`: its Loans."""
        self._loans = loans
        return {"keep": self.keep, "copy": self.copy, "kept": self._catalog.names}

    def keep(self, items):
        """Have blobs as their home has them: [numbers of the items whose bytes are wanted, which weren't given and aren't here; [(name, why there was no room)]].

        items : (fields of the home's record, its bytes as they are stored, extents of them that were filled here, or None), or
                (None, (full name, generation)): the home had nothing to keep at this generation
        What is kept of a later generation stays. What found no room isn't kept in an older generation either.
        """
        wanted, refused = [], []
        for number, (plain, data) in enumerate(items):
            try:
                if plain is None:
                    self._drop(*data)
                elif not self._have(record_of(plain), data):
                    wanted.append(number)
            except OutOfSpace as error:
                refused.append((plain[0], str(error)))
        return [wanted, refused]

    def _have(self, home, data):
        """Keep one; False when its bytes are wanted."""
        extents = self._placed(home, data) if data is not None else None
        loose = list(extents or ())         # what no record names
        try:
            with self._catalog.changing(f"keeping a copy of blob {home.blob!r}"):
                old = self._catalog.find(home.name)
                if old is not None and old.stamp >= home.stamp:
                    return True
                if extents is None and (old is None or old.durable != home.extents):
                    return False
                self._put(home, extents if extents is not None else old.extents, loose)
                if old is not None and extents is not None:
                    loose += old.extents
            return True
        except OutOfSpace:
            self._drop(home.name, home.stamp)
            raise
        finally:
            self._tiers.give_back(loose)

    def _placed(self, home, data):
        if not isinstance(data, bytes):
            return self._loans.take(extents_of(data))
        try:
            return pieces.write(self._tiers, data, wish=Wish(target=RAM))
        except OutOfSpace:
            self._drop(home.name, home.stamp)
            raise

    def _put(self, home, extents, loose):
        if not self._catalog.has(home.tag):
            self._catalog.put(Record(home.tag, TAG, dirty=False))
        put_owned(self._catalog, home.but(extents=extents, durable=home.extents, dirty=False, pinned=False, journaled=False), loose)

    def _drop(self, name, stamp):
        """Keep nothing of a blob that is older than this generation."""
        with self._catalog.changing("dropping a copy"):
            old = self._catalog.find(name)
            if old is None or old.stamp >= stamp:
                return
            self._catalog.remove(name)
            if not self._catalog.sums(old.tag)[0]:
                self._catalog.remove(old.tag)
        self._tiers.give_back(old.extents)

    def copy(self, name):
        """[fields of a copy's record, its bytes where they are few, else None]; None where there is none. Bytes that changed are None, too."""
        record = self._catalog.find(name)
        if record is None or record.size > INLINE:
            return record and [record, None]
        data = bytearray(record.size)
        try:
            pieces.read(self._tiers, record, 0, data)
        except Corrupt:
            return [record, None]           # whoever asks finds it out
        return [record, bytes(data)]
