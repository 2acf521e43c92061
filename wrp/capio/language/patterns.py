"""Names and patterns of paths, matched as fnmatch(3) does with FNM_NOESCAPE alone: `*` crosses `/`, a backslash is itself."""

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache

_CLASSES = {"alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9", "graph": "!-~",
            "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": "\\s", "upper": "A-Z", "xdigit": "0-9A-Fa-f"}
_NAMED = re.compile(r"\[:([a-z]+):\]")
_NOTHING, _ANYTHING = "(?!)", "."
STAR = "\0*"        # no path holds a NUL, so no literal looks like this


@dataclass(frozen=True, slots=True)
class Pattern:
    """A name or pattern of the language. `text`: absolute, without empty or `.` parts; `base`: the literal folder it was joined to (its
    wildcard characters are none); `given`: as it stands in the file; `is_folder`: it was written with a slash at its end."""

    text: str
    base: str = ""
    given: str = ""
    is_folder: bool = False
    is_glob: bool = field(init=False)
    tokens: tuple = field(init=False, compare=False, repr=False)

    def __post_init__(self):
        tokens = (*self.base, *tokens_of(self.text[len(self.base):]))
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "is_glob", any(len(token) > 1 or token == STAR for token in tokens[len(self.base):]))

    @property
    def rank(self):
        """Sorts the less specific before the more specific: a name beats patterns, then the longer, then the more literal characters."""
        return not self.is_glob, len(self.text), sum(len(token) == 1 and token != STAR for token in self.tokens)

    def matches(self, path):
        """True if this is the path, or matches it."""
        return path == self.text if not self.is_glob else self.test(path) is not None

    @property
    def test(self):
        """The quickest test of a path for a glob: true of all that it matches."""
        return _compiled(self.tokens).match

    def overlaps(self, other):
        """True if there can be a path that both match."""
        if not self.is_glob or not other.is_glob:
            return self.matches(other.text) if not other.is_glob else other.matches(self.text)
        return _overlap(self.tokens, other.tokens)


def tokens_of(text):
    """The pattern as a tuple: a literal character, STAR, or the regular expression of one character behind a NUL."""
    found, at = [], 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            if not found or found[-1] != STAR:
                found.append(STAR)
        elif char == "?":
            found.append("\0" + _ANYTHING)
        elif char == "[" and (bracket := _bracket(text, at)):
            expression, at = bracket
            found.append("\0" + expression)
        else:
            found.append(char)
    return tuple(found)


def _bracket(text, at):
    """(regular expression, place behind it) of the bracket whose inside begins at `at`; None if it doesn't end, and so is a literal."""
    is_negated = text[at:at + 1] in ("!", "^")
    start = at = at + is_negated
    parts = []
    while at < len(text) and (text[at] != "]" or at == start):
        named = _NAMED.match(text, at)
        if named:
            parts.append(_CLASSES.get(named[1], ""))
            at = named.end()
        elif text[at + 1:at + 2] == "-" and text[at + 2:at + 3] not in ("]", ""):
            parts += [f"{re.escape(text[at])}-{re.escape(text[at + 2])}"] if text[at] <= text[at + 2] else []
            at += 3
        else:
            parts.append(re.escape(text[at]))
            at += 1
    if at >= len(text):
        return None
    inside = "".join(parts)
    nothing = _ANYTHING if is_negated else _NOTHING
    return (f"[{'^' if is_negated else ''}{inside}]" if inside else nothing), at + 1


@lru_cache(4096)
def _compiled(tokens):
    return re.compile("".join(".*" if token == STAR else token[1:] if len(token) > 1 else re.escape(token) for token in tokens) + r"\Z", re.S)


def _overlap(left, right):
    """True if two token tuples have a common text: all pairs of places that can be reached together, STAR standing for any run."""
    waiting, seen = [(0, 0)], set()
    while waiting:
        pair = waiting.pop()
        if pair in seen:
            continue
        seen.add(pair)
        i, j = pair
        if i == len(left) and j == len(right):
            return True
        a, b = left[i:i + 1], right[j:j + 1]
        if a == (STAR,):
            waiting += [(i + 1, j)] + ([(i, j + 1)] if b and b != (STAR,) else [])
        if b == (STAR,):
            waiting += [(i, j + 1)] + ([(i + 1, j)] if a and a != (STAR,) else [])
        if a and b and STAR not in (a[0], b[0]) and _meet(a[0], b[0]):
            waiting.append((i + 1, j + 1))
    return False


def _meet(a, b):
    if len(a) == 1 and len(b) == 1:
        return a == b
    if len(a) == 1 or len(b) == 1:
        literal, expression = (a, b) if len(a) == 1 else (b, a)
        return re.match(expression[1:], literal, re.S) is not None
    return any(re.match(a[1:], char, re.S) and re.match(b[1:], char, re.S) for char in map(chr, range(1, 256)))


def joined(given, folder):
    """The Pattern of a name as it stands in the file, a relative one below `folder`. ValueError: it can't name a path."""
    if not given or "\0" in given:
        raise ValueError("is empty" if not given else "holds a NUL character")
    parts = [part for part in given.split("/") if part not in ("", ".")]
    is_folder = given.endswith(("/", "/.")) or not parts
    if ".." in parts or not parts:
        if tokens_of(given) != tuple(given):
            raise ValueError("goes up with '..' and holds a wildcard; write the folder that is meant")
        text = "/" + os.path.normpath(os.path.join(folder, given)).lstrip("/")
        return Pattern(text, text, given, is_folder)
    base = "/" if given[0] == "/" else folder.rstrip("/") + "/"
    return Pattern(base + "/".join(parts), base, given, is_folder)
