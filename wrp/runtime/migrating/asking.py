"""Asks the worker of a container to bring it to another node."""

from wrp.errors import UsageError, WrpError
from wrp.runtime import pools
from wrp.runtime.migrating.codes import MEANINGS, MIGRATE, NO_SUCH_NODE, NOT_MOVABLE
from wrp.runtime.routing.query import PoolQuery

_LONGEST_S = 86400
_REFUSALS = (NOT_MOVABLE, NO_SUCH_NODE)


def migrate(pool, container, node, drain_s, timeout_s):
    """See `Pool.migrate`."""
    where = f"container {container} of pool {pool.name!r} can't go to node {node}"
    if pool._slot.kind != pools.PYTHON_KIND:
        raise UsageError(f"{where}: only containers of modules written in Python move, with `save` and `load`")
    if not 0 <= node < pool._node.count:
        raise UsageError(f"{where}: there are {pool._node.count} nodes, numbered from 0")
    if pool._node.count == 1:
        raise UsageError(f"{where}: there is no other node")
    if not 0 <= drain_s <= _LONGEST_S:
        raise UsageError(f"{where}: {drain_s:g} s for its tasks to end: give 0 to {_LONGEST_S}")
    if not 0 <= container < pool.containers.size:
        raise UsageError(f"{where}: the pool has {pool.containers.size} containers, numbered from 0")
    reply = pool.call(MIGRATE, node, int(1000 * drain_s), query=PoolQuery.direct_id(container), timeout_s=timeout_s)
    if reply.code:
        raise (UsageError if reply.code in _REFUSALS else WrpError)(
            f"{where}, and is where it was: {MEANINGS[reply.code]}" if reply.code in MEANINGS else
            f"{where} (code {reply.code}): {reply.meaning or 'see the messages of its worker'}")
