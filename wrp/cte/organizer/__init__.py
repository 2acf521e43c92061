"""Which blobs change their tier, and when: policies by name that see events and answer with actions. Nothing here moves a byte."""

from wrp.cte.organizer.contract import Action, Delete, Emptied, Filled, Get, Moved, Put, Tick, Tier
from wrp.cte.organizer.registry import NAMES, make

__all__ = ["Action", "Delete", "Emptied", "Filled", "Get", "Moved", "NAMES", "Put", "Tick", "Tier", "make"]
