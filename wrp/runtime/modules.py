"""Modules by name: the built-in ones, those registered in this process, and those of other packages (entry-point group `wrp.modules`).

A module of a user is a class. `methods` maps method numbers (10 and up) to the names of its methods, which take up to six
integers and return None, an integer or a tuple of up to four. `Class(pool_name, **params)` makes the container of a pool on
one rank of each node; `close()`, where there is one, ends it.
One thread runs all of a rank's containers: a method that waits for a pool of the same rank waits for itself, until its deadline.
"""

import difflib
from importlib import metadata

from wrp.errors import ConfigError
from wrp.runtime import pools

GROUP = "wrp.modules"
_BUILT_IN = {"bdev": pools.BDEV_KIND, "chimaera_bdev": pools.BDEV_KIND, "clio_bdev": pools.BDEV_KIND,
             "admin": pools.ADMIN_KIND, "chimaera_admin": pools.ADMIN_KIND, "clio_admin": pools.ADMIN_KIND}
_registered = {}


def register(name, cls):
    """Make `cls` the module `name` in this process; every rank that makes its pools registers it."""
    if name in _BUILT_IN:
        raise ConfigError(f"module {name!r} is built in: give yours another name")
    if not isinstance(getattr(cls, "methods", None), dict):
        raise ConfigError(f"module {name!r} has no table `methods` of numbers and names of methods")
    _registered[name] = cls


def kind_of(name):
    """The kind of a module in the pool table. ConfigError, naming the nearest known module, for an unknown one."""
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    known = sorted({*_BUILT_IN, *_registered, *_others()})
    if name in known:
        return pools.PYTHON_KIND
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(f"there is no module {name!r}; {hint}known are: {', '.join(known)}; "
                      f"install the package that has it in its entry-point group {GROUP}, or register it")


def class_of(name):
    """The class of a module of a user. ConfigError when it can't be imported."""
    if name not in _registered:
        try:
            register(name, _others()[name].load())
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"module {name!r} can't be imported ({error}): repair the package that has it") from error
    return _registered[name]


def _others():
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
