"""Names and ids of a store's tags, remembered, and checked at every use. Changes nothing."""

from numbers import Integral

from wrp.cte.client.ids import UniqueId
from wrp.cte.telemetry import identity
from wrp.errors import NoSuchTag, UsageError


class Directory:
    """Of one store, on one rank."""

    def __init__(self, store):
        self._store = store
        self._names = {}                # id: name
        self._identities = {}           # number by which telemetry names a tag: its name

    def id_of(self, name):
        """The id of a tag. NoSuchTag."""
        found = UniqueId.from_u64(self._store.tag_stamp(name))
        self._names[found] = name
        return found

    def name_of(self, tag):
        """The name of a tag given by id, or by name. NoSuchTag for the id of a tag that is gone, also where another has its name now."""
        if isinstance(tag, str):
            return tag
        if not isinstance(tag, tuple) or len(tag) != 2 or not isinstance(tag[0], Integral) or not isinstance(tag[1], Integral):
            raise UsageError(f"a tag is given by its name or its id, two whole numbers, not by {tag!r}" if type(tag) is tuple
                             else f"a tag is given by its name or its id, not by {type(tag).__name__}")
        tag = UniqueId(*tag)
        name = self._names.get(tag)
        if name is None or not self._is(name, tag):
            self._names.pop(tag, None)
            name = next((name for name in self._store.tags() if self._is(name, tag)), None) if not tag.is_null else None
            if name is None:
                raise NoSuchTag(f"there is no tag with the id {tag} in the store: it was destroyed, or is of another store")
            self._names[tag] = name
        return name

    def _is(self, name, tag):
        try:
            return self._store.tag_stamp(name) == tag.to_u64()
        except NoSuchTag:
            return False

    def ids_of(self, identities):
        """{number of a tag in telemetry: id}; of tags that are gone the null id."""
        unknown = [number for number in identities if number and number not in self._identities]
        if unknown:
            self._identities.update((identity(self._store.own_name(name)), name) for name in self._store.tags())
        found = {}
        for number in identities:
            try:
                found[number] = self.id_of(self._identities[number])
            except (KeyError, NoSuchTag):
                found[number] = UniqueId.null()
        return found
