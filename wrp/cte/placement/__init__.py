"""Which targets new bytes go to: policies by name, without devices, clocks or shared memory. One module per policy."""

from wrp.cte.placement.contract import Request, Target, automatic_score
from wrp.cte.placement.registry import NAMES, make

__all__ = ["NAMES", "Request", "Target", "automatic_score", "make"]
