"""How long the thread that looks for messages sleeps between two looks."""

from wrp.capio.nodes import links


def test_naps_grow_with_the_quiet_and_stay_short():
    naps = [links._nap_s(quiet_s) for quiet_s in (0.0, 1e-4, 1e-3, 3e-3, 0.1, 0.4, 2.0, 60.0)]
    assert naps == sorted(naps) and naps[0] >= 50e-6 and naps[5] == 1e-3 and naps[-1] == 20e-3


def test_signs_of_life_are_no_messages():
    assert not links._says_more([["alive"], ["alive"]]) and links._says_more([["alive"], ["fetch", "a", 1, False]])
