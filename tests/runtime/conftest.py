"""Configurations and runtimes for the tests of this floor."""

import pytest
from harness.daemons import start_daemon  # noqa: F401 (a fixture)

from wrp.comm.ranks.solo import Solo
from wrp.runtime.config import load
from wrp.runtime.runtime import Runtime


@pytest.fixture
def configured(tmp_path):
    """Gives the Config of a text of YAML."""
    def config(text):
        path = tmp_path / "runtime.yaml"
        path.write_text(text)
        return load(str(path), {})
    return config


@pytest.fixture
def runtime(configured):
    with Runtime(Solo(), configured("runtime: {timeout_s: 20, segment_capacity: 256m}")) as runtime:
        yield runtime
