"""Which of two ways is quicker: both are tried, the better is kept, the other one isn't forgotten."""
from wrp.comm.quicker import _AGAIN, GOT, SENT, Quicker


def _turns(quicker, seconds, count, node=1):
    """The ways of so many turns, each of which takes the seconds of its way for a byte."""
    found = []
    for _ in range(count):
        found.append(quicker.way(node))
        quicker.took(node, found[-1], 1 << 24, seconds[found[-1]] * (1 << 24))
    return found


def test_the_quicker_way_is_taken_after_both_were_tried():
    for better in (SENT, GOT):
        quicker = Quicker()
        found = _turns(quicker, {better: 1e-10, 1 - better: 2e-10}, 100)
        assert set(found[:6]) == {SENT, GOT} and found[6:] == [better] * 94


def test_a_slow_first_time_is_forgiven():
    quicker = Quicker()
    for seconds in (5e-10, 1e-10, 1e-10):
        assert quicker.way(1) == SENT
        quicker.took(1, SENT, 1000, seconds * 1000)
        assert quicker.way(1) == GOT
        quicker.took(1, GOT, 1000, 2e-7)
    assert quicker.way(1) == SENT


def test_the_other_way_is_tried_again_and_taken_once_it_is_quicker():
    quicker = Quicker()
    _turns(quicker, {SENT: 1e-10, GOT: 3e-10}, _AGAIN)
    assert GOT in _turns(quicker, {SENT: 1e-10, GOT: 3e-10}, 2)
    assert _turns(quicker, {SENT: 9e-10, GOT: 3e-10}, 20)[-1] == GOT


def test_each_node_has_its_own():
    quicker = Quicker()
    assert _turns(quicker, {SENT: 1e-10, GOT: 2e-10}, 20, node=1)[-1] == SENT
    assert _turns(quicker, {SENT: 2e-10, GOT: 1e-10}, 20, node=2)[-1] == GOT
    assert quicker.way(1) == SENT
