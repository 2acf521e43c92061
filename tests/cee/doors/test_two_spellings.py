"""Folders that are renamed and removed by path, where two blobs have one path."""

import pytest

from wrp.cee.doors import changing, tree


@pytest.fixture
def two(memory):
    """A store in which two blobs are `a/b/c/x`: one of tag `a/b` is seen, and one of tag `a` is hidden; another of the latter is seen."""
    for tag, blob, data in (("a/b", "c/x", b"seen"), ("a", "b/c/x", b"hidden"), ("a", "b/c/y", b"other")):
        memory.put(tag, blob, data)
    return memory


@pytest.mark.parametrize("old, new", [("a/b", "n"), ("a/b", "a/n"), ("a/b/c", "a/n")])
def test_a_renamed_folder_keeps_what_was_seen(two, old, new):
    changing.rename(two, old, new)
    rest = "a/b/c"[len(old):]
    assert tree.read(two, tree.find(two, f"{new}{rest}/x")) == b"seen" and tree.read(two, tree.find(two, f"{new}{rest}/y")) == b"other"
    assert two.get("a", "b/c/x") == b"hidden" and [path for path in tree.children(two, "a/b/c")] == ["a/b/c/x"]


def test_a_removed_folder_is_gone_with_what_was_hidden(two):
    changing.remove_all(two, "a/b")
    assert tree.find(two, "a/b") is None and two.list("a") == []
