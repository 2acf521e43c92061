"""Ranks: the processes of a job and how they act together."""

from wrp.comm.ranks.agreement import is_common
from wrp.comm.ranks.ending import watch
from wrp.comm.ranks.group import Ranks
from wrp.comm.ranks.job import speaks, world
from wrp.comm.ranks.running import refuse, run

__all__ = ["Ranks", "is_common", "refuse", "run", "speaks", "watch", "world"]
