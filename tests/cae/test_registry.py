"""Assimilators by protocol: built-in ones, those of other packages, and the sentences when one can't be had."""

from importlib import metadata

import pytest

from wrp.cae import binary, registry
from wrp.errors import JobFileError, SourceError


class Foreign:
    """Stands for another package's assimilator."""


def with_entry(monkeypatch, value):
    entry = metadata.EntryPoint("parquet", value, registry.GROUP)
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [entry] if group == registry.GROUP else [])


def test_built_in():
    assert isinstance(registry.assimilator("file"), binary.Binary)


def test_entry_point(monkeypatch):
    with_entry(monkeypatch, f"{__name__}:Foreign")
    assert "parquet" in registry.known()
    assert type(registry.assimilator("parquet")).__name__ == "Foreign"


@pytest.mark.parametrize("value", ["no_such_module_anywhere:X", f"{__name__}:NoSuchClass"])
def test_import_that_fails(monkeypatch, value):
    with_entry(monkeypatch, value)
    with pytest.raises(SourceError, match="assimilator for 'parquet' can't be imported"):
        registry.assimilator("parquet")


def test_unknown_names_the_nearest():
    with pytest.raises(JobFileError, match="did you mean 'hdf5'"):
        registry.assimilator("HDF")
