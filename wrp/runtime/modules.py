"""Modules by name: the built-in ones, those registered in this process, and those of other packages (entry-point group `wrp.modules`).

A module of a user is a class. `methods` maps method numbers (10 and up) to the names of its methods, plain ones or `async def`,
which take up to six integers and return None, an integer or a tuple of up to four. `Class(pool_name, **params)` makes the
container of a pool on one rank of each node, one for each shard; `started(pool)`, where there is one, gets its Pool; `close()` ends it.
`save()`, bytes or an array, and `load(bytes)`, where there are such, let a container go to another node (see `migrating`).
Static methods, where there are such: `route(method, args)` says which containers a task goes to (PoolQuery or text), `aggregate(method,
replies)` gives code and values of several Replies, `combine(method, rows)` the arguments of tasks that become one. One thread
runs all of a rank's containers: a plain method that waits for a pool of the same rank waits for itself, until its deadline; one that awaits lets others run.
`on_every_rank = True`: each rank of the runtime has one container, and all are made together: `join(runtime)`, collective over all its ranks, comes before
`started`; `leave(together)` when the runtime ends, before its devices are closed and while tasks may still come: collective where `together`, else of this rank alone.
A class with `kernels` instead, method numbers (0 to 63) and jitted handlers (see `handlers`), is served by a jitted worker.
`state_nbytes` is the size of its pool's state; `prepare(words)`, where there is one, fills the zeroed words before the first task. `short`: methods that
are over in a moment, so that the postman of a node may run those that come from other nodes itself.
"""

import difflib
import importlib
import sys
from importlib import metadata

from wrp.comm import atomics
from wrp.errors import ConfigError
from wrp.runtime import calling, pools
from wrp.runtime.waiting.context import METHODS

GROUP = "wrp.modules"
_STATE_NBYTES = 4096
FIRST_METHOD = 10               # those below are the runtime's own
_BUILT_IN = {"bdev": pools.BDEV_KIND, "chimaera_bdev": pools.BDEV_KIND, "clio_bdev": pools.BDEV_KIND,
             "admin": pools.ADMIN_KIND, "chimaera_admin": pools.ADMIN_KIND, "clio_admin": pools.ADMIN_KIND}
# written in Python as those of users are
_OWN = {"meeting": "wrp.runtime.meeting.point:MeetingPoint", "monitor": "wrp.runtime.monitor.point:MonitorPoint"}
_registered = {}


def register(name, cls):
    """Make `cls` the module `name` in this process; every rank that makes its pools registers it. ConfigError where another class is; the same one,
    whose file was loaded again, takes its place."""
    if name in _BUILT_IN or name in _OWN:
        raise ConfigError(f"module {name!r} is built in: give yours another name")
    if not any(isinstance(getattr(cls, table, None), dict) for table in ("methods", "kernels")):
        raise ConfigError(f"module {name!r} has no table `methods` of numbers and names of methods, and no `kernels`")
    low = [method for method in getattr(cls, "methods", None) or {} if not isinstance(method, int) or method < FIRST_METHOD]
    if low:
        raise ConfigError(f"module {name!r} has a method of number {low[0]!r}: give yours numbers from {FIRST_METHOD} on")
    before = _registered.get(name, cls)
    if _origin(before) != _origin(cls):
        raise ConfigError(f"module {name!r} is {' of '.join(_origin(before))} already: give {' of '.join(_origin(cls))} another name")
    _registered[name] = cls


def _origin(cls):
    """By which a class is the same when its file was loaded again: its name there, and the file."""
    return cls.__qualname__, getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__


def kind_of(name):
    """The kind of a module in the pool table. ConfigError, naming the nearest known module, for an unknown one."""
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    known = sorted({*_BUILT_IN, *_OWN, *_registered, *_others()})
    if name in known:
        return pools.JITTED_KIND if isinstance(getattr(class_of(name), "kernels", None), dict) else pools.PYTHON_KIND
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(f"there is no module {name!r}; {hint}known are: {', '.join(known)}; "
                      f"install the package that has it in its entry-point group {GROUP}, or register it")


def class_of(name):
    """The class of a module of a user. ConfigError when it can't be imported."""
    if name in _OWN and name not in _registered:
        module, cls = _OWN[name].split(":")
        _registered[name] = getattr(importlib.import_module(module), cls)
    if name not in _registered:
        try:
            register(name, _others()[name].load())
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"module {name!r} can't be imported ({error}): repair the package that has it") from error
    return _registered[name]


def known(name):
    """The class of a module of a user, None for one that is built in or that this process hasn't got."""
    if name is None or name in _BUILT_IN:
        return None
    try:
        return class_of(name)
    except (ConfigError, KeyError):
        return None


def is_joint(module):
    """True for a module, or a container of one, that all ranks have a part of."""
    return getattr(module, "on_every_rank", False) is True


def prepared(cls, place, handlers, params):
    """The container of a pool with jitted handlers, on the rank whose worker serves it. `place`: (node, the pool's slot, its name);
    `handlers`: int64 array, METHODS addresses for each pool."""
    node, slot, pool_name = place
    container = cls(pool_name, **params)
    nbytes = -(-getattr(cls, "state_nbytes", _STATE_NBYTES) // 64) * 64
    offset, _ = node.segment.place(f"runtime.state.{slot.number}", nbytes)
    node.segment.reserve(offset, nbytes)
    if hasattr(container, "prepare"):
        with memoryview(node.segment.buffer)[offset:offset + nbytes] as state, state.cast("q") as words:
            container.prepare(words)
    atomics.store(slot.params, offset)
    for method, kernel in cls.kernels.items():
        if not 0 <= method < METHODS:
            raise ConfigError(f"method {method} of {cls.__name__}: jitted handlers have numbers from 0 to {METHODS - 1}")
        handlers[slot.number * METHODS + method] = calling.address_of(kernel, f"method {method} of {cls.__name__}")
    return container


def shorts_of(cls):
    """The methods that a class with jitted handlers says are over in a moment: a bit for each. ConfigError for others."""
    word = 0
    for method in getattr(cls, "short", ()):
        if method not in cls.kernels:
            raise ConfigError(f"`short` of {cls.__name__} names method {method}, which it has no jitted handler for")
        word |= 1 << method
    return word - (1 << 64) if word >> 63 else word


def _others():
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
