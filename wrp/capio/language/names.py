"""The lists of names in a document: aliases expanded, relative names joined to the folder they count from. Gives Patterns."""

from wrp.capio.language.patterns import joined


class Names:
    """The aliases of one document and its folder. `aliases`: {group: [Value]}, the names of each group."""

    def __init__(self, folder, aliases):
        self.folder, self.aliases = folder, aliases
        for group, values in aliases.items():
            self._expanded(values, (group,))

    def patterns(self, value, is_one_allowed=False):
        """[(Pattern, JSON path)] of a list of names; with `is_one_allowed` a single text will do, as old files write it."""
        values = [value] if is_one_allowed and isinstance(value.data, str) else value.items()
        return [(self._pattern(name), name.where) for name in self._expanded(values, ())]

    def named(self, value):
        """[(Pattern, JSON path)] of one name, which may be an alias."""
        return [(self._pattern(name), name.where) for name in self._expanded([value], ())]

    def _expanded(self, values, trail):
        for value in values:
            name = value.text()
            if name not in self.aliases:
                yield value
            elif name in trail[1:] or trail[:1] == (name,):
                raise value.wrong(f"makes the alias {name!r} a part of itself: {' -> '.join((*trail, name))}")
            else:
                yield from self._expanded(self.aliases[name], (*trail, name))

    def _pattern(self, value):
        try:
            return joined(value.data, self.folder)
        except ValueError as error:
            raise value.wrong(f"({value.data!r}) {error}") from None
