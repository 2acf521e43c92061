"""The text that names a set's members."""

import pytest

from wrp.errors import UsageError
from wrp.runtime.devices.safe import layout


@pytest.mark.parametrize("members, failures, sentence", [(["a"], 1, "a safe device of 1 members can't outlive 1"), (["a", "b"], 2, "can't outlive 2"), (["a", "b"], 0, "can't outlive 0"),
                                                         (["a", "a"], 1, "each may stand there once"), (["a,b", "c"], 1, "without a comma")])
def test_what_no_set_can_be(members, failures, sentence):
    with pytest.raises(UsageError, match=sentence):
        layout.address(members, failures)


def test_an_address_names_the_members():
    assert layout.parsed(layout.address(["/a", "ram::b", "/c"], 2, "-7")) == (["/a-7", "ram::b-7", "/c-7"], 2)
    with pytest.raises(UsageError, match="is no address of a safe device"):
        layout.parsed("safe:x:a,b,")
