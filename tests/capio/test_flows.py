"""Random small workflows with real processes: what readers see is what was written, nobody hangs, whoever is killed."""

import tempfile

import pytest

from capio import flows
from capio.flows import flow
from capio.playing import Play, leftovers
from capio.rules.model import Model
from capio.served import needs_compiler
from wrp.capio.commands import doctor, storage

pytestmark = needs_compiler


@pytest.mark.parametrize("via, seed", [*(("shim", seed) for seed in range(4)), ("python", 9), ("python", 24), ("seccomp", 5), ("seccomp", 19)])
def test_workflows_in_which_nothing_fails(tmp_path, via, seed):
    """The rules' model says whether steps wait for each other in a circle: then somebody is told, else all end well and all is read."""
    if via == "seccomp" and doctor._tried(doctor._seccomp):
        pytest.skip("the kernel doesn't let calls be held here")
    found = flow(seed, can_fail=False)
    model, play = Model(found).run(), Play(tmp_path / "play", found, via=via)
    play.check()
    assert bool(model.failures) == bool(play.failures()), (play.told, play.served.log())
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


@pytest.mark.skipif(storage.is_in_memory(tempfile.gettempdir()), reason="the folder of tests is in memory")
@pytest.mark.parametrize("seed, kills", [(300, {}), (400, {"kills": 2, "within_s": 0.4}), (500, {"server": True, "within_s": 0.4})])
def test_files_that_lie_in_memory(tmp_path, monkeypatch, seed, kills):
    plain = flows._document
    monkeypatch.setattr(flows, "_document", lambda *given: plain(*given) | {"storage": {"memory": ["*"]}})
    play = Play(tmp_path / "play", flow(seed, can_fail=False), **kills)
    play.check()
    assert not leftovers(play)
