"""A store folder and files to take in."""

import os

import pytest

import wrp_cee as cee


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "store")


@pytest.fixture
def interface(folder):
    """A ContextInterface on the test's store, closed at the end."""
    with cee.ContextInterface(store=folder) as made:
        yield made


@pytest.fixture
def raw(tmp_path):
    """A raw file of two chunks and a bit: (path, bytes)."""
    data = os.urandom((2 << 20) + 12345)
    (tmp_path / "data.bin").write_bytes(data)
    return str(tmp_path / "data.bin"), data
