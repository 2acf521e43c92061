"""Names of tags and blobs: what is allowed, which match a pattern, and their natural order. What names of tags stand for: naming/."""

import re

from wrp.comm.refusals import let_out
from wrp.errors import NoSuchTag, UsageError

_DIGITS = re.compile(r"(\d+)")
_SETS = re.compile(r"\\.|\[:(\w+):\]|\[|\]", re.DOTALL)       # of a regular expression, what begins and ends sets of characters
_CLASSES = {"alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "xdigit": "0-9a-fA-F", "space": r"\s", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f",
            "graph": "!-~", "print": " -~", "punct": r"!-/:-@\[-`{-~", "d": r"\d", "s": r"\s", "w": r"\w"}
LONGEST = 4096
EVERY = ".*"                    # the pattern that lists have by default
MARK = "\uffff"                 # what the store makes of names itself has it (naming/table.py)
DAEMON = "runtime:"             # in place of a store's folder, before the name of a daemon that serves one
HIDDEN = MARK                   # tag whose blobs, all empty, say what names stand for


class Own(str):
    """The own name of a tag, see naming/table.py; `given`: the name that a caller gave for it; `number`: of a change of names, from which on it stands for that."""

    __slots__ = ("given", "number")

    def __new__(cls, name, given=None, number=0):
        own = super().__new__(cls, name)
        own.given, own.number = readable(name) if given is None else given, number
        return own

    def __repr__(self):
        return repr(self.given)


def checked(what, name):
    """The name, or UsageError: names are non-empty text without NUL, at most 4096 bytes; those of tags without U+FFFF, too."""
    if type(name) is Own:
        return checked(what, name.given) and name
    if not isinstance(name, str):
        raise UsageError(f"{what} of type {type(name).__name__} can't be a name: names are text, a str")
    if not name or "\0" in name or MARK in name and what != "blob" or not 0 < _nbytes(name) <= LONGEST:
        marks = "NUL" if what == "blob" else "NUL and U+FFFF"
        raise UsageError(f"{what} {name!r:.80} can't be a name: names are text of 1 to {LONGEST} bytes without {marks}")
    return name


def check_full(name):
    """UsageError where a part of a full name (records.full_name) can't be a name."""
    tag, nul, blob = name.partition("\0")
    checked("tag", tag), nul and checked("blob", blob)


def given(own):
    """The name that a caller gave for an own name."""
    return own.given if type(own) is Own else own


def readable(own):
    """The name in what the store has made of one."""
    return own.partition(MARK)[0] or str(own)


def all_checked(what, names):
    """The same for many names, at the price of a few looks at all of them together."""
    try:
        whole = "\0".join(names)
        if (whole.isascii() and whole.count("\0") == len(names) - 1 and all(map(len, names))
                and (len(whole) <= LONGEST or len(max(names, key=len)) <= LONGEST)):
            return
    except (TypeError, ValueError) as error:
        let_out(error)                  # one of them is no name: the next lines find it
    for name in names:
        checked(what, name)


def _nbytes(name):
    """Length in UTF-8; 0 for text that has none (half of a surrogate pair, as in names of files with odd bytes)."""
    try:
        return len(name.encode())
    except UnicodeEncodeError:
        return 0


def natural(name):
    """Sort key in which digits count as numbers: chunk_2 before chunk_10."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name) if part]


def matcher(what, pattern):
    """A predicate: the whole name matches the regular expression; `EVERY` all names, a `.` of another one no newline. UsageError when it isn't one."""
    if pattern == EVERY:
        return lambda name: True
    if not isinstance(pattern, str):
        raise UsageError(f"{what} pattern {pattern!r} is no text: a regular expression is a str")
    try:
        compiled = re.compile(_with_classes(pattern) if "[:" in pattern else pattern)
    except re.error as error:
        raise UsageError(f"{what} pattern {pattern!r} is not a regular expression: {error}") from error
    return lambda name: compiled.fullmatch(name) is not None


def _with_classes(pattern):
    """The expression with classes like ``[[:digit:]_]``, which the reference's have and Python's lack, spelt out; re.error for one that there isn't."""
    is_inside = False

    def spelt(found):
        nonlocal is_inside
        if found[1] and is_inside:
            if found[1] not in _CLASSES:
                raise re.error(f"there is no class {found[0]}", pattern, found.start())
            return _CLASSES[found[1]]
        if found[0] in "[]":
            is_inside = found[0] == "["             # one that is in a set already is itself
        return found[0]
    return _SETS.sub(spelt, pattern)


def no_tag(tag):
    """The error of a tag that isn't there."""
    return NoSuchTag(f"there is no tag {repr(readable(tag) if type(tag) is str else tag)} in the store")
