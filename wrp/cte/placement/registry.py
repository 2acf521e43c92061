"""The policies by name. A name that isn't known is refused with the nearest one; the reference system takes `max_bw` silently."""

import difflib

from wrp.cte.placement.cost import Cost
from wrp.cte.placement.max_bw import MaxBw
from wrp.cte.placement.random import Random
from wrp.cte.placement.round_robin import RoundRobin
from wrp.errors import UsageError

_ALL = {policy.name: policy for policy in (MaxBw, RoundRobin, Random, Cost)}
_ALIASES = {"maxbw": "max_bw", "roundrobin": "round_robin"}
NAMES = tuple(_ALL)


def make(name, seed=0):
    """A new policy of this name (or alias); `seed` is for those that draw. UsageError naming the nearest known name."""
    found = _ALL.get(_ALIASES.get(name, name))
    if found is None:
        near = difflib.get_close_matches(str(name), [*NAMES, *_ALIASES], 1, 0.4)
        hint = f"did you mean {_ALIASES.get(near[0], near[0])!r}? " if near else ""
        raise UsageError(f"there is no placement policy {name!r}: {hint}known are {', '.join(NAMES)}")
    return found(seed) if found is Random else found()
