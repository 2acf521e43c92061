"""One streaming rule of a document: what its keys mean, in the spelling of every dialect. Knows nothing of the rest of the document."""

import re

from wrp.capio.language.plan import NO_UPDATE, ON_CLOSE, ON_FILE, ON_N_FILES, ON_TERMINATION, UPDATE
from wrp.capio.language.values import nearest
from wrp.capio.language.workflow import Commit

KEYS = ("name", "dirname", "committed", "mode", "file_deps", "n_files")
OLD_KEYS = ("batch_size", "files_deps")
_OLD_MODES = {"append": NO_UPDATE, "noupdate": NO_UPDATE}
_RULES = (ON_CLOSE, ON_FILE, ON_N_FILES, ON_TERMINATION)


def read(value, names, notes):
    """(patterns with their JSON paths, {property: value}, is_directory) of one item of `streaming`."""
    members = value.members(KEYS + OLD_KEYS)
    if ("name" in members) == ("dirname" in members):
        raise value.wrong("has both 'name' and 'dirname'; make two rules of it" if "name" in members else "lacks the key 'name' (of files) or 'dirname'")
    is_directory = "dirname" in members
    patterns = names.patterns(members["dirname" if is_directory else "name"], is_one_allowed=True)
    if "batch_size" in members:
        notes.append(f"{members['batch_size'].where} has no effect")
    found = {}
    if "mode" in members:
        found["mode"] = mode(members["mode"], notes)
    else:
        notes.append(f"{value.where}: without 'mode' a file is not read before its commit ('update', as the documentation of the language says)")
    if "committed" in members:
        found["commit"] = commit(members["committed"], members, names, is_directory, value)
    _note_unused(members, found.get("commit"), notes)
    return patterns, found, is_directory


def mode(value, notes):
    """"update" or "no_update", also in the words of older files."""
    if isinstance(value.data, str) and value.data in _OLD_MODES:
        notes.append(f"{value.where}: {value.data!r} is read as 'no_update'")
        return _OLD_MODES[value.data]
    return value.choice((UPDATE, NO_UPDATE))


def commit(value, members, names, is_directory, whole):
    """The Commit of a `committed`, in its plain form or with what it needs behind a colon."""
    rule, colon, more = value.text().partition(":")
    rule = ON_N_FILES if rule == "n_files" and colon else rule
    if rule not in _RULES:
        raise value.wrong(f"is {value.data!r}; known are {', '.join(_RULES)}{nearest(rule, _RULES)}")
    if rule == ON_CLOSE:
        return Commit(rule, _number(value, more) if colon else 1)
    if rule == ON_N_FILES:
        if not is_directory:
            raise value.wrong("is on_n_files, which counts the entries of a directory: name it with 'dirname'")
        return Commit(rule, n_files=_number(value, more) if colon else _needed(whole, members, "n_files", rule).count(1))
    if rule == ON_FILE:
        return Commit(rule, deps=_deps(value, more if colon else None, members, names, whole))
    if colon:
        raise value.wrong(f"is {value.data!r}, but {rule} takes nothing behind it")
    return Commit(rule)


def _number(value, text):
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
        raise value.wrong(f"is {value.data!r}; behind the colon must stand a whole number, 1 or more")
    return int(text)


def _needed(whole, members, key, rule):
    if key not in members:
        raise whole.wrong(f"commits {rule} and lacks the key {key!r}")
    return members[key]


def _deps(value, inline, members, names, whole):
    if inline is not None:
        found = names.named(type(value)(inline, value.source, value.where))
    else:
        deps = members.get("files_deps") or _needed(whole, members, "file_deps", ON_FILE)
        found = names.patterns(deps)
        if not found:
            raise deps.wrong("is empty: on_file needs the files it waits for")
    for pattern, where in found:
        if pattern.is_glob:
            raise type(value)(pattern.given, value.source, where).wrong(f"({pattern.given!r}) is a pattern; on_file waits for files of which the name is known")
    return tuple(dict.fromkeys(pattern.text for pattern, _ in found))


def _note_unused(members, found, notes):
    for key, rule in (("file_deps", ON_FILE), ("files_deps", ON_FILE), ("n_files", ON_N_FILES)):
        if key in members and (found is None or found.rule != rule):
            notes.append(f"{members[key].where} has no effect: it counts only with committed {rule!r}")
