"""A value of the document and where it stands in it: `Value`. Every refusal of the reader comes from here, with file and JSON path."""

import difflib
from dataclasses import dataclass

from wrp.errors import WorkflowError

_KINDS = {str: "a text", list: "a list", dict: "an object", int: "a whole number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Value:
    """One JSON value of file `source`; `where` is its path, e.g. IO_Graph[0].streaming[1].mode."""

    data: object
    source: str
    where: str = ""

    def wrong(self, reason):
        """A WorkflowError about this value."""
        return WorkflowError(f"{self.source}: {self.where + ' ' if self.where else 'the document '}{reason}")

    def of(self, kind):
        """The data, which must be of this Python type."""
        is_kind = isinstance(self.data, kind) and not (kind is int and isinstance(self.data, bool))
        if not is_kind:
            raise self.wrong(f"must be {_KINDS[kind]}, but is {_called(self.data)}")
        return self.data

    def text(self):
        """A text that isn't empty."""
        if not self.of(str).strip():
            raise self.wrong("is empty")
        return self.data

    def items(self):
        """The values of a list."""
        return [Value(item, self.source, f"{self.where}[{number}]") for number, item in enumerate(self.of(list))]

    def members(self, known=None, needed=()):
        """{key: Value} of an object. With `known`, another key is refused; a `needed` one must be there."""
        self.of(dict)
        found = {key: Value(data, self.source, f"{self.where}.{key}" if self.where else key) for key, data in self.data.items()}
        for key in found if known is not None else ():
            if key not in known:
                raise self.wrong(f"has the unknown key {key!r}{nearest(key, known)}")
        for key in needed:
            if key not in found:
                raise self.wrong(f"lacks the key {key!r}")
        return found

    def choice(self, choices):
        """One of these texts."""
        if self.of(str) not in choices:
            raise self.wrong(f"is {self.data!r}; known are {', '.join(choices)}{nearest(self.data, choices)}")
        return self.data

    def count(self, least):
        """A whole number, at least `least`."""
        if self.of(int) < least:
            raise self.wrong(f"is {self.data}, but must be {least} or more")
        return self.data


def nearest(word, known):
    """'; did you mean ...?' with the known word most like this one, or ''."""
    near = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _called(data):
    if data is None:
        return "null"
    return next((name for kind, name in _KINDS.items() if type(data) is kind), "a number")
