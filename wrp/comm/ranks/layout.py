"""Layout: which ranks form a node."""

import os
from typing import NamedTuple

from wrp.comm.ranks.agreement import everywhere
from wrp.errors import UsageError


class Layout(NamedTuple):
    """`nodes[i]` = world ranks of node i, ascending; nodes are numbered by their lowest rank."""

    nodes: tuple

    def node_of(self, rank):
        for number, members in enumerate(self.nodes):
            if rank in members:
                return number
        raise KeyError(rank)


def layout(machines, ranks_per_node=None):
    """Layout from `machines[rank]` = any key of the memory the rank shares.

    With ranks_per_node=k, ranks k*i ... k*i+k-1 form a node where they share memory.
    """
    members = {}
    for rank, machine in enumerate(machines):
        part = rank // ranks_per_node if ranks_per_node else 0
        members.setdefault((machine, part), []).append(rank)
    return Layout(tuple(tuple(ranks) for ranks in members.values()))


def ranks_per_node_from_environment(environ=os.environ):
    """WRP_RANKS_PER_NODE as a positive number, None where it isn't set. Raises UsageError."""
    text = environ.get("WRP_RANKS_PER_NODE", "")
    if not text:
        return None
    if not text.isdigit() or int(text) == 0:
        raise everywhere(UsageError(f"WRP_RANKS_PER_NODE is {text!r}: give the number of ranks that form a node, 1 or more"))
    return int(text)
