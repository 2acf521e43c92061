"""The targets of a store on one node as devices, and where new bytes go."""

from wrp.cte.tiers.space import PIECE
from wrp.cte.tiers.tiers import Tiers

__all__ = ["PIECE", "Tiers"]
