"""What the storage of a node's store consists of: targets as configured, how they are numbered, how fast they are, which one takes what."""

from wrp.cte.targets.info import Lasting, TargetInfo, removable
from wrp.cte.targets.pace import Pace
from wrp.cte.targets.placing import Placing, Wish
from wrp.cte.targets.speed import with_speed
from wrp.cte.targets.watch import Watch
from wrp.cte.targets.wanted import Wanted, places_of, wanted_later, wanted_of

__all__ = ["Lasting", "Pace", "Placing", "TargetInfo", "Wanted", "Watch", "Wish", "places_of", "removable", "wanted_later", "wanted_of", "with_speed"]
