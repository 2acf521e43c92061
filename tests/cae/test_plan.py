"""The order of transfers by `depends_on`."""

import pytest

from wrp.cae import plan
from wrp.cae.omni import Transfer
from wrp.errors import JobFileError


def job(*specs):
    """Transfers from (name, depends_on) pairs; the destination of number N is iowarp::tagN."""
    return [Transfer(number, "file::x", f"iowarp::tag{number}", "binary", name=name, depends_on=needed)
            for number, (name, needed) in enumerate(specs, start=1)]


@pytest.mark.parametrize("specs, numbers", [
    ([("", ""), ("", ""), ("", "")], [1, 2, 3]),
    ([("a", "c"), ("b", ""), ("c", "")], [3, 1, 2]),
    ([("a", "tag2"), ("", "iowarp::tag3"), ("c", "")], [3, 2, 1]),
    ([("tag2", ""), ("b", ""), ("c", "tag2")], [1, 2, 3]),
])
def test_order(specs, numbers):
    transfers = job(*specs)
    assert [transfer.number for transfer in plan.order(transfers)] == numbers


def test_a_name_wins_over_a_destination():
    transfers = job(("tag2", ""), ("b", ""), ("c", "tag2"))
    assert plan.dependencies(transfers)[3] is transfers[0]


@pytest.mark.parametrize("specs, sentence", [
    ([("fields", ""), ("", "field")], "did you mean 'fields'"),
    ([("a", "b"), ("b", "c"), ("c", "b")], r"transfer 2 \(b\) -> transfer 3 \(c\) -> transfer 2 \(b\)"),
    ([("a", "a")], "in a circle"),
    ([("a", ""), ("a", ""), ("", "a")], "could be transfer 1"),
])
def test_refusals(specs, sentence):
    with pytest.raises(JobFileError, match=sentence):
        plan.order(job(*specs))
