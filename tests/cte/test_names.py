"""Names and patterns."""

import numpy as np
import pytest

from wrp.cte import names
from wrp.cte.client import Client
from wrp.errors import UsageError


def test_natural_order():
    shuffled = ["chunk_10", "chunk_2", "a", "chunk_1", "description", "b2c10", "b2c9", "10", "9"]
    assert sorted(shuffled, key=names.natural) == ["9", "10", "a", "b2c9", "b2c10", "chunk_1", "chunk_2", "chunk_10", "description"]


@pytest.mark.parametrize("bad", ["", "a\0b", "x" * 5000, None, 3, b"bytes"])
def test_bad_names_are_refused(bad):
    with pytest.raises(UsageError, match="can't be a name"):
        names.checked("tag", bad)


def test_patterns_match_whole_names():
    matches = names.matcher("tag", "run/.")
    assert matches("run/a") and not matches("run/ab") and not matches("a/run/a")
    with pytest.raises(UsageError, match="is not a regular expression"):
        names.matcher("tag", "(")


@pytest.mark.parametrize("pattern, fitting, others", [
    ("[[:alpha:]_]+[[:digit:]]", ("run_1", "R2"), ("1", "run_")),
    (r"[^[:space:]]+\[[:digit:]+", ("a[:", "b[digit"), ("a[1", "a [d")),         # behind an escaped bracket this is a set of letters
    ("[:alpha:]+", ("alpha", ":::"), ("beta",)),
    (r"[[:punct:]\]a-c]+", ("-]a/~", "c"), ("d", "A"))])
def test_classes_of_characters_are_those_of_the_reference(pattern, fitting, others, recwarn):
    matches = names.matcher("tag", pattern)
    assert all(map(matches, fitting)) and not any(map(matches, others)) and not recwarn.list
    with pytest.raises(UsageError, match="no class .:alpah:"):
        names.matcher("tag", "[[:alpah:]]")


def test_names_with_newlines_are_in_every_list(open_store):
    """A `.` matches no newline, as in the reference's patterns; lists that leave nothing out have all names."""
    store = open_store(memory=True)
    client = Client(store)
    tag = client.get_or_create_tag("two\nlines")
    store.put("two\nlines", "a\nb", b"x")
    assert store.tags() == client.tag_query(".*").results == ["two\nlines"] and store.tags("t.*") == []
    assert store.blobs(".*") == [("two\nlines", "a\nb")] and [change[1:] for change in store.changed()] == [("two\nlines", "a\nb")]
    assert Client(store).get_tag_name(tag) == "two\nlines"
    for pattern in (b".*", None, 3):
        with pytest.raises(UsageError, match="is no text"):
            store.tags(pattern)


def test_a_wait_for_what_cannot_be_named_is_refused_at_once(open_store):
    store = open_store(memory=True)
    for tag, blob in (("t", ""), ("t", "a\0b"), ("", "b"), ("t", 3)):
        with pytest.raises(UsageError, match="can't be a name"):
            store.wait(tag, blob)


@pytest.mark.parametrize("rows", [[b"one", b"two"], np.ones((2, 64), np.uint8), [b"x" * 40000] * 2])
def test_a_bad_name_among_many_puts_none(open_store, rows):
    store = open_store(memory=True)
    store.create("t")
    with pytest.raises(UsageError, match="can't be a name"):
        store.put_many("t", ["good", "a\0b"], rows)
    assert store.list("t") == []
