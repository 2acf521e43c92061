"""Daemons that serve a store, started and ended by the tests."""

import os

import pytest
from harness.daemons import Running

_CONF = """
runtime: {{timeout_s: {timeout_s}, segment_capacity: 256m, conf_dir: {kept}}}
compose:
  - mod_name: wrp_cte_core
    pool_name: cte_main
    folder: {folder}
    storage:
      - {{path: "ram::served", capacity_limit: {ram}}}
      - {{path: data, bdev_type: file, capacity_limit: 256m}}
"""
_IN_MEMORY = """
runtime: {{timeout_s: {timeout_s}, segment_capacity: 256m, conf_dir: {kept}}}
compose: [{{mod_name: wrp_cte_core, pool_name: cte_main, pool_id: "512.0", storage: [{{path: "ram::served", capacity_limit: {ram}}}]}}]
"""


@pytest.fixture(scope="package")
def started(tmp_path_factory):
    """started(name, ranks=0, folder=None, ram="128m", env=None, timeout_s=20) -> Running, of a daemon with a store in the folder, or in memory; ended after the tests."""
    running = []

    def start(name, ranks=0, folder=None, ram="128m", env=None, timeout_s=20):
        home = tmp_path_factory.mktemp(name)
        conf = home / "conf.yaml"
        conf.write_text((_CONF if folder else _IN_MEMORY).format(kept=home / "kept", folder=folder, ram=ram, timeout_s=timeout_s))
        running.append(Running(name, conf, ranks, {"WRP_STORE": "", **(env or {})}))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.end()


@pytest.fixture(scope="package")
def served(started):
    """The name of a daemon with a store in memory, for the tests that don't end it."""
    return started(f"served{os.getpid()}").name
