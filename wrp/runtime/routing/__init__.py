"""Routing: which containers of a pool a task goes to, and how they are named over the nodes of a job."""

from wrp.runtime.routing.containers import Containers, home
from wrp.runtime.routing.query import PoolQuery
from wrp.runtime.routing.split import pieces

__all__ = ["Containers", "PoolQuery", "home", "pieces"]
