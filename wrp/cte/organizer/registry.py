"""The organizers by name."""

import difflib

from wrp.cte.organizer.frecency import Frecency
from wrp.cte.organizer.hotset import Hotset
from wrp.cte.organizer.lru import Lru
from wrp.cte.organizer.none import Nothing
from wrp.errors import UsageError

_ALL = {policy.name: policy for policy in (Nothing, Frecency, Lru, Hotset)}
NAMES = tuple(_ALL)


def make(name, tiers, **settings):
    """A new organizer of this name over `tiers` (list of Tier). UsageError naming the nearest known name.

    settings : what the class takes: score_threshold, score_difference_threshold of `frecency`
    """
    if name not in _ALL:
        near = difflib.get_close_matches(str(name), NAMES, 1, 0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"there is no organizer {name!r}: {hint}known are {', '.join(NAMES)}")
    return _ALL[name](tiers, **settings)
