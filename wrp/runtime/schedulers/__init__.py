"""Which worker of a node runs a task that any of them may run: policies by name, without threads, clocks or memory of their own kind."""

from wrp.runtime.schedulers.contract import Came, Done, Part
from wrp.runtime.schedulers.cost import Cost
from wrp.runtime.schedulers.default import Default
from wrp.runtime.schedulers.local import Local

__all__ = ["Came", "Done", "NAMES", "Part", "make"]

_ALL = {"default": Default, "local": Local, "cost": Cost}
NAMES = tuple(_ALL)


def make(name, workers):
    """The scheduler of this name for so many workers."""
    return _ALL[name](workers)
