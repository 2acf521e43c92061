"""Stores of several nodes for the tests."""

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.runtime.config import load


@pytest.fixture
def opened(tmp_path):
    """A function that opens a store of all ranks, in a folder or (None) in memory, with a configuration given as YAML."""
    if world().nodes < 2:
        pytest.skip("one node has no others to have its blobs")

    def make(folder, conf):
        path = tmp_path / "conf.yaml"
        path.write_text(conf)
        return Store.open(folder, world(), load(path))
    return make
