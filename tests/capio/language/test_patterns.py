"""Patterns against the C library's fnmatch, and against each other."""

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrp.capio.language.patterns import joined

LIBC = ctypes.CDLL(None)
NO_ESCAPE = 2
PIECES = st.sampled_from(["a", "b", "c", "/", ".", "*", "?", "[ab]", "[!a]", "[^b]", "[a-c]", "[]a]", "[", "]", "-", "!", "\\", "[a-", "[c-a]", "[[:digit:]]", "[[:alpha:]b]", "1"])
PATHS = st.text("abc/.-!\\[]1", min_size=1, max_size=7)


def fnmatch(pattern, path):
    return LIBC.fnmatch(pattern.encode(), path.encode(), NO_ESCAPE) == 0


def pattern(text):
    return joined("/" + text, "/")


@settings(max_examples=600, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=6).map("".join), PATHS)
def test_patterns_match_what_fnmatch_matches(text, path):
    ours = pattern(text)
    assert ours.matches("/" + path) == (fnmatch(ours.text, "/" + path) if ours.is_glob else ours.text == "/" + path)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=4).map("".join), st.lists(PIECES, min_size=1, max_size=4).map("".join), PATHS)
def test_patterns_that_match_one_path_overlap(left, right, path):
    a, b = pattern(left), pattern(right)
    if a.matches("/" + path) and b.matches("/" + path):
        assert a.overlaps(b) and b.overlaps(a)


@pytest.mark.parametrize(("left", "right", "is_so"), [
    ("a*", "*b", True), ("a*", "b*", False), ("*.dat", "out/?", False), ("out/*", "*.dat", True), ("[ab]c", "[bc]c", True), ("[ab]c", "[cd]c", False),
    ("x", "x", True), ("x", "y", False), ("x", "?", True), ("*", "[!a]", True), ("a?c", "a", False), ("*a*", "*b*", True)])
def test_overlap(left, right, is_so):
    assert pattern(left).overlaps(pattern(right)) is is_so
    assert pattern(right).overlaps(pattern(left)) is is_so


@pytest.mark.parametrize(("given_", "text"), [
    ("a", "/d/a"), ("./a//b/", "/d/a/b"), ("/x/./y", "/x/y"), ("../a", "/a"), ("a/../b", "/d/b"), (".", "/d"), ("a/*", "/d/a/*")])
def test_relative_names_are_joined(given_, text):
    found = joined(given_, "/d")
    assert found.text == text and found.is_glob == ("*" in given_)
    assert found.is_folder == given_.endswith(("/", "."))


def test_wildcards_of_the_folder_are_none():
    found = joined("a", "/d[12]")
    assert not found.is_glob and found.matches("/d[12]/a") and not found.matches("/d1/a")
    assert joined("*", "/d*").matches("/d*/a") and not joined("*", "/d*").matches("/dx/a")


@pytest.mark.parametrize("name", ["", "a\0b", "*/../a"])
def test_names_that_name_no_path_are_refused(name):
    with pytest.raises(ValueError):
        joined(name, "/d")
