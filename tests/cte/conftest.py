"""Stores for the tests: small tiers, in memory or in a folder."""

import os
import shutil
import tempfile

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.runtime.config import load

SMALL = """
storage:
  - {path: "ram::test", bdev_type: ram, capacity_limit: %s}
  - {path: data, bdev_type: file, capacity_limit: %s}
"""


@pytest.fixture
def configured(tmp_path):
    """A function: Config with ram and file tiers of these sizes."""
    def make(ram="8m", file="64m"):
        path = tmp_path / f"conf-{ram}-{file}.yaml"
        path.write_text(SMALL % (ram, file))
        return load(path)
    return make


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def open_store(configured, folder):
    """A function that opens the test's store, in its folder or in memory; what is left open is closed at the end."""
    opened = []

    def make(memory=False, write=True, **sizes):
        store = Store.open(None if memory else folder, config=configured(**sizes), write=write)
        opened.append(store)
        return store
    yield make
    for store in opened:
        store.close()


@pytest.fixture
def shared_folder():
    """A folder that all ranks see, removed at the end."""
    ranks = world()
    path = ranks.share(tempfile.mkdtemp() if ranks.rank == 0 else None, "folder of the test")
    yield os.path.join(path, "store")
    ranks.barrier("the test is over")
    if ranks.rank == 0:
        shutil.rmtree(path)
