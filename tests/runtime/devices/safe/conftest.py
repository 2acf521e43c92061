"""A set that the tests of several modules look at."""

import random

import pytest
from runtime.devices.safe.sets import Set


@pytest.fixture
def four(tmp_path):
    """A set of four data members and two of parity that holds something everywhere."""
    made = Set(tmp_path, 4, 2)
    with made.opened() as array:
        made.write(array, random.Random(1), 40)
    return made
