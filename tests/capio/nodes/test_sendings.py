"""What node 0 is told of a sending whose file is gone by then counts for nothing: a file of the same name may be on its way."""

import pytest

from wrp.capio.nodes.nodes import Nodes
from wrp.capio.rules import events


class _Desk:
    """Keeps what the rules are told."""

    def __init__(self):
        self.told = []

    def tell(self, event):
        self.told.append(event)


class _Links:
    node, silent_s = 0, 15.0

    def tell_all(self, *message):
        pass


@pytest.fixture
def nodes():
    """Node 0's part, without servers."""
    found = Nodes.__new__(Nodes)
    found.node, found.folder, found.links, found._desk = 0, "/d", _Links(), _Desk()
    found._sendings, found._over, found._listed = {}, set(), {}
    found._renamed = lambda *_: None
    return found


def _arrives(nodes, key, nbytes, name="a"):
    kind, fields = events.to_record(events.Arrived(name, 2, nbytes, at=0.0))
    nodes._event(2, 1.0, [kind, fields], key)
    return [(event.path, event.nbytes) for event in nodes._desk.told]


def test_a_late_word_of_an_earlier_life_is_not_heard(nodes):
    nodes._sends(1, 0.0, "a", 2, 7)
    assert _arrives(nodes, [1, 7], 10) == [("/d/a", 10)]
    nodes.before(events.Removed("/d/a", at=0.0))
    nodes._sends(1, 0.0, "a", 2, 8)
    assert _arrives(nodes, [1, 7], 20) == [("/d/a", 10)]
    assert _arrives(nodes, [1, 8], 5) == [("/d/a", 10), ("/d/a", 5)]


def test_what_is_renamed_is_still_heard_of_and_what_it_replaces_is_not(nodes):
    nodes._sends(1, 0.0, "a", 2, 7)
    nodes._sends(1, 0.0, "b", 2, 8)
    nodes.before(events.Renamed("/d/a", "/d/b", "w", 0, at=0.0))
    assert _arrives(nodes, [1, 8], 1, "b") == [] and _arrives(nodes, [1, 7], 2, "b") == [("/d/b", 2)]
    nodes.before(events.Removed("/d/b", at=0.0))
    assert _arrives(nodes, [1, 7], 3, "b") == [("/d/b", 2)]
