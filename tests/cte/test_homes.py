"""Homes of names, and that a store of several nodes has every call of one of one node."""

import inspect

from wrp.comm.checksum import hash64
from wrp.cte import Store
from wrp.cte.homes import home_of
from wrp.cte.nodes.store import NodesStore
from wrp.runtime.routing import Containers, PoolQuery

# what is right as it is in Store: it concerns no blob, or is made of other calls
_THE_SAME = {"open", "attach", "salvage", "compression", "set_compression", "aliases", "own_name", "children", "checkpoint",
             "telemetry"}


def test_every_call_of_a_store_is_one_of_several_nodes_too():
    for name, function in inspect.getmembers(Store, callable):
        if name.startswith("_") or name in _THE_SAME:
            continue
        own = getattr(NodesStore, name)
        assert own is not function, f"Store.{name} has no counterpart in NodesStore: say what it does over several nodes"
        assert str(inspect.signature(own)) == str(inspect.signature(function)), name


def test_the_home_is_where_a_task_by_hash_goes():
    for nodes in (1, 2, 3, 7):
        containers = Containers(0, nodes, 1)
        for number in range(50):
            word = hash64(f"t\0b{number}".encode())
            first, _ = PoolQuery.direct_hash(word).resolved(containers, 0, nodes)
            assert home_of("t", f"b{number}", nodes) == first
        assert {home_of("t", f"b{number}", nodes) for number in range(200)} == set(range(nodes))
