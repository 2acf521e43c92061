"""Random small workflows with real processes: what readers see is what was written, nobody hangs, whoever is killed."""

import pytest

from capio.flows import flow
from capio.playing import Play, leftovers
from capio.rules.model import Model
from capio.served import needs_compiler

pytestmark = needs_compiler


@pytest.mark.parametrize("seed", range(4))
def test_workflows_in_which_nothing_fails(tmp_path, seed):
    """The rules' model says whether steps wait for each other in a circle: then somebody is told, else all end well and all is read."""
    found = flow(seed, can_fail=False)
    model, play = Model(found).run(), Play(tmp_path / "play", found)
    play.check()
    assert bool(model.failures) == any(code for *_, code in play.told), (play.told, play.served.log())
    assert not leftovers(play)


@pytest.mark.parametrize("seed", range(100, 103))
def test_killed_processes(tmp_path, seed):
    play = Play(tmp_path / "play", flow(seed, can_fail=seed % 2), kills=2, within_s=0.4)
    play.check()
    assert not leftovers(play)


@pytest.mark.parametrize("seed", range(200, 202))
def test_a_killed_server(tmp_path, seed):
    play = Play(tmp_path / "play", flow(seed, can_fail=False), server=True, within_s=0.4)
    play.check()
    assert not leftovers(play)
