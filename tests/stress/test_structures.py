"""The short form of the stress of what processes share; `structures.py --minutes M` is the long one."""

import pytest
from stress import structures


@pytest.fixture(scope="module", autouse=True)
def compiled():
    structures.prepare()


@pytest.mark.parametrize("kills", [False, True], ids=["nobody dies", "one is killed"])
@pytest.mark.parametrize("kind", structures.KINDS)
def test_what_must_hold_holds(kind, kills):
    for seed in range(3):
        structures.round_of(kind, 0.15, 1 + seed, kills)
