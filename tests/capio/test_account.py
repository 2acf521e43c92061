"""Reports of one node and of several."""

import pytest

from wrp.capio.server.account import Account, merged


def _account(begin, *steps):
    account = Account()
    for step, first, last, code in steps:
        account.step_began(step, begin + first)
        account.step_ended(step, begin + last, code, None)
    return account


def test_steps_of_several_nodes_are_one():
    one, other = _account(100.0, ("w", 0, 4, 0), ("r", 1, 3, 0)), _account(700.0, ("r", 0, 6, 3))
    one.read("r", "/a/f", 10, 0.5)
    other.read("r", "/b/f", 20, 1.5)
    reports = one.report(104.0), other.report(706.0)
    reports[0]["begun"], reports[1]["begun"] = 1000.0, 1002.0           # by their clocks on the wall
    found = merged(reports)
    steps = {row["step"]: row for row in found["steps"]}
    assert (steps["r"]["begin_s"], steps["r"]["ran_s"], steps["r"]["exit_code"], steps["r"]["nodes"]) == (1, 7, 3, [0, 1])
    assert steps["r"]["waited_s"] == 2.0 and steps["r"]["overlapped_s"] == pytest.approx(3)
    assert (found["makespan_s"], found["sum_of_steps_s"]) == (8, 11)
    assert [(use["node"], use["path"], use["bytes_streamed"]) for use in found["reads"]] == [(0, "/a/f", 10), (1, "/b/f", 20)]


def test_a_run_without_steps_has_no_length():
    assert Account().report(5.0)["makespan_s"] == merged([Account().report(5.0)])["makespan_s"] == 0
