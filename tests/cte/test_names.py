"""Names and patterns."""

import pytest

from wrp.cte import names
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
