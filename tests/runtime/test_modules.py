"""Modules by name: those of other packages, and what is refused."""

from importlib import metadata
from types import SimpleNamespace

import pytest

from wrp.errors import ConfigError
from wrp.runtime import modules, pools


class Twice:
    methods = {10: "twice"}

    def __init__(self, pool_name):
        pass

    def twice(self, number):
        return 2 * number


@pytest.fixture
def installed(monkeypatch):
    """A package that offers two modules, one of which can't be imported."""
    entries = [metadata.EntryPoint("twice", f"{__name__}:Twice", modules.GROUP),
               metadata.EntryPoint("broken", "no_such_package:Module", modules.GROUP)]
    monkeypatch.setattr(modules, "metadata", SimpleNamespace(entry_points=lambda group: entries if group == modules.GROUP else []))
    monkeypatch.setattr(modules, "_registered", {})


def test_a_module_of_another_package(installed, runtime):
    assert runtime.pool("mine", "twice").call(10, 21).values[0] == 42


def test_one_that_cannot_be_imported(installed, runtime):
    with pytest.raises(ConfigError, match="module 'broken' can't be imported .*no_such_package"):
        runtime.pool("mine", "broken")


def test_what_is_refused():
    assert modules.kind_of("chimaera_bdev") == pools.BDEV_KIND
    with pytest.raises(ConfigError, match="is built in"):
        modules.register("bdev", Twice)
    with pytest.raises(ConfigError, match="no table `methods`"):
        modules.register("x", object)
    for number in (4, -3, 9, "ten"):
        with pytest.raises(ConfigError, match="give yours numbers from 10 on"):
            modules.register("low", type("Low", (), {"methods": {number: "twice"}}))


def test_a_name_is_of_one_class(monkeypatch):
    monkeypatch.setattr(modules, "_registered", {})
    modules.register("once", Twice)
    other = type("Other", (), {"methods": {10: "thrice"}})
    with pytest.raises(ConfigError, match=r"module 'once' is Twice of .*test_modules\.py already: give Other of .*test_modules\.py another name"):
        modules.register("once", other)
    assert modules.class_of("once") is Twice
    again = type("Twice", (Twice,), {})         # as after a reload of its file
    modules.register("once", again)
    assert modules.class_of("once") is again


def test_a_short_method_without_a_handler_is_refused(monkeypatch, runtime):
    monkeypatch.setattr(modules, "_registered", {})
    modules.register("odd", type("Odd", (), {"kernels": {}, "short": (3,), "__init__": lambda self, pool_name: None}))
    with pytest.raises(ConfigError, match="`short` of Odd names method 3, which it has no jitted handler for"):
        runtime.pool("odd", "odd")
    cls = type("Last", (), {"kernels": {0: None, 63: None}, "short": (0, 63)})
    assert modules.shorts_of(cls) & (1 << 64) - 1 == 1 << 63 | 1
