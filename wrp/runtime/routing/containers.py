"""Containers: where the numbered containers of a pool lie. Pure."""

from typing import NamedTuple

from wrp.errors import UsageError
from wrp.runtime.routing.query import BROADCAST, DIRECT_ID, DYNAMIC, LOCAL, PHYSICAL, RANGE, PoolQuery


class Containers(NamedTuple):
    """`shards` containers on each of `nodes` nodes from number `first_node` on; container c lies on node first_node + c // shards."""

    first_node: int
    nodes: int
    shards: int

    @property
    def size(self):
        return self.nodes * self.shards

    def place(self, container):
        """(node, shard) of a container."""
        return self.first_node + container // self.shards, container % self.shards

    def first_on(self, node):
        """The first container of a node. Raises UsageError where there is none."""
        if not self.first_node <= node < self.first_node + self.nodes:
            raise UsageError(f"the pool has no container on node {node}: its containers lie on {self}")
        return (node - self.first_node) * self.shards

    def __str__(self):
        last = self.first_node + self.nodes - 1
        return f"node {last}" if self.nodes == 1 else f"nodes {self.first_node} to {last}"


def home(query, nodes):
    """(first node, how many) that have containers of a pool with this `pool_query`, among `nodes`. Raises UsageError.

    Every node makes its own: `local`, `dynamic` and `broadcast` are all nodes.
    """
    query = PoolQuery.parse(query)
    if query.kind in (LOCAL, DYNAMIC, BROADCAST):
        return 0, nodes
    if query.kind not in (DIRECT_ID, PHYSICAL, RANGE):
        raise UsageError(f"a pool can't be made on {query}: give local, dynamic, broadcast, physical:N, direct_id:N or range:FIRST:COUNT")
    if nodes == 1:
        return 0, 1
    first, count = query.numbers if query.kind == RANGE else (query.numbers[0], 1)
    if first + count > nodes:
        raise UsageError(f"a pool can't be made on {query}: there are {nodes} nodes, numbered from 0")
    return first, count
