"""Sweeping by itself: what fails once is brought with the next try, what fails always keeps nothing else, and no error ends the thread."""

import threading

import pytest
from harness.interrupting import interrupted_behind_any_call

from wrp.cte.nodes.sweeping import Sweeping
from wrp.errors import Corrupt, WaitTimeout


@pytest.fixture
def sweeping():
    """A function: the Sweeping of `renewed(home, names)`, stopped at the end."""
    made = []

    def make(renewed, period_s=3600):
        made.append(Sweeping(renewed, period_s, 5))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_what_all_goes_by_itself_raises_nothing(sweeping):
    """A blob whose bytes are replaced while they are copied is Corrupt once."""
    asked = []

    def renewed(home, names):
        asked.append(names)
        if len(asked) == 1:
            raise Corrupt("once")
        return {}

    owing = sweeping(renewed)
    owing.owe(1, ["t\0a", "t\0b"])
    assert owing.sweep() == {} and len(owing) == 0
    assert asked == [["t\0a", "t\0b"], ["t\0a"], ["t\0b"]]


@pytest.mark.parametrize("error", [Corrupt("damaged"), KeyError("a fault")], ids=["of the store", "a fault"])
def test_one_that_always_fails_keeps_nothing_else(sweeping, error):
    def renewed(home, names):
        if "t\0bad" in names:
            raise error
        return {}

    owing = sweeping(renewed)
    owing.owe(0, ["t\0bad", "t\0well"])
    owing.owe(1, ["t\0other"])
    with pytest.raises(type(error)):
        owing.sweep()
    assert len(owing) == 1 and owing.owes(0, "t\0bad")


def test_a_silent_node_is_waited_for_once(sweeping):
    """Not once for each of its blobs."""
    asked = []

    def renewed(home, names):
        asked.append(names)
        raise Corrupt("damaged") if len(asked) == 1 else WaitTimeout("silent")

    owing = sweeping(renewed)
    owing.owe(0, ["t\0a", "t\0b", "t\0c"])
    with pytest.raises(WaitTimeout):
        owing.sweep()
    assert len(asked) == 2 and len(owing) == 3


def test_no_error_ends_the_thread(sweeping, caplog):
    """It is said once, with its place, and what is owed is brought when it works again."""
    asked, brought = [], threading.Event()

    def renewed(home, names):
        asked.append(names)
        if len(asked) < 3:
            raise KeyError("a fault")
        brought.set()
        return {}

    owing = sweeping(renewed, 0.002)
    owing.owe(0, ["t\0a"])
    assert brought.wait(20)
    assert [bool(record.exc_info) for record in caplog.records if "a fault" in record.message] == [True]


def test_one_that_a_handler_interrupts_keeps_no_later_one_from_its_turn():
    owing, step, goes_on = Sweeping(lambda home, names: {}, 3600, 0.3), 1, True
    while goes_on:
        owing.owe(0, ["t\0a"])
        goes_on = interrupted_behind_any_call(step, owing.sweep, "nodes/sweeping.py")
        assert owing.sweep() == {} and len(owing) == 0, step
        step += 1
    owing.stop()
    assert step > 10
