"""How long a jitted client spins before it sleeps."""

import pytest

from wrp.runtime.asking import spin_next


@pytest.mark.parametrize("spin, took, wanted", [
    (50, 3, 50), (50, 60, 120), (50, 400, 800), (50, 401, 50),          # eight times the least is much
    (800, 3, 700), (120, 60, 120), (60, 3, 53), (51, 1000, 50)])
def test_spinning_follows_what_tasks_took(spin, took, wanted):
    assert spin_next(spin, 50, took) == wanted
