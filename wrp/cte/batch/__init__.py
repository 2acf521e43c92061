"""Batches: transactions of all ranks. What one rank has in it (share), and how all of it is there at once (commit). Over several nodes: wrp.cte.nodes.batch."""

from wrp.cte.batch.commit import Batch, Entry, stamped

__all__ = ["Batch", "Entry", "stamped"]
